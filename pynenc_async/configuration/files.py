"""Configuration files: TOML, YAML, and the `pyproject.toml` of the current directory."""

import importlib
import os
import tomllib
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, cast

from pynenc_async.configuration.settings import Setting, Source
from pynenc_async.errors import ConfigurationError
from pynenc_async.options import RULES

PYPROJECT: Final = "pyproject.toml"
_TABLE: Final = ("tool", "pynenc_async")
_MISSPELT: Final = "pynenc-async"
_ALL_TASKS: Final = "task"
_BY_TASK: Final = "tasks"


def read_file(path: str | os.PathLike[str] | None) -> Source:
    """Return what a file says; without a path, the `pyproject.toml` here, if it has something to say.

    Raises `ConfigurationError` for what cannot be read, or has another form than it should.
    """
    file = Path(PYPROJECT if path is None else path)
    try:
        stat = file.stat()
    except OSError as error:
        if path is None:
            return Source()
        raise ConfigurationError(str(file), f"cannot be read: {error.strerror}") from error
    data = _parse(file.absolute(), stat.st_mtime_ns, stat.st_size)
    if file.name != PYPROJECT:
        return _source(file, "", data)
    if _MISSPELT in _section(file, _TABLE[0], data.get(_TABLE[0], {})):
        raise ConfigurationError(
            str(file), f"has a table [tool.{_MISSPELT}], which is not read; write [{'.'.join(_TABLE)}]"
        )
    for key in _TABLE:
        data = _section(file, key, data.get(key, {}))
    return _source(file, ".".join(_TABLE), data)


@lru_cache(maxsize=8)  # many apps are made in a process that tests, and most of them look into the same file
def _parse(file: Path, _changed_at: int, _size: int) -> dict[str, Any]:
    parse = _PARSERS.get(file.suffix.lower())
    if parse is None:
        raise ConfigurationError(str(file), f"has none of the endings {', '.join(_PARSERS)}")
    try:
        data: object = parse(file.read_text(encoding="utf-8"))
    except ConfigurationError:
        raise
    except OSError as error:
        raise ConfigurationError(str(file), f"cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigurationError(str(file), f"is not valid: {error}") from error
    return _section(file, "", {} if data is None else data)


def _parse_yaml(text: str) -> object:
    try:
        yaml: Any = importlib.import_module("yaml")
    except ImportError as error:
        message = "is YAML, which needs PyYAML: pip install 'pynenc-async[yaml]', or write it as TOML"
        raise ConfigurationError("in YAML", message) from error
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


_PARSERS: Final[dict[str, Callable[[str], object]]] = {
    ".toml": tomllib.loads,
    ".yaml": _parse_yaml,
    ".yml": _parse_yaml,
}


def _source(file: Path, table: str, data: Mapping[str, Any]) -> Source:
    def key(*names: str) -> str:
        return ".".join(name for name in (table, *names) if name)

    def settings(values: Mapping[str, Any], *names: str) -> dict[str, Setting]:
        return {name: Setting(value, f"{file}: {key(*names, name)}") for name, value in values.items()}

    by_task = _section(file, key(_BY_TASK), data.get(_BY_TASK, {}))
    for_all = _section(file, key(_ALL_TASKS), data.get(_ALL_TASKS, {}))
    for name, value in for_all.items():
        if isinstance(value, dict) and name not in RULES:
            hint = f'options of one task belong to [{key(_BY_TASK)}."module.name"]'
            raise ConfigurationError(str(file), f"[{key(_ALL_TASKS, name)}] is no option of all tasks; {hint}")
    return Source(
        app=settings({name: value for name, value in data.items() if name not in (_ALL_TASKS, _BY_TASK)}),
        all_tasks=settings(for_all, _ALL_TASKS),
        by_task={
            task_id: settings(_section(file, key(_BY_TASK, f'"{task_id}"'), values), _BY_TASK, f'"{task_id}"')
            for task_id, values in by_task.items()
        },
    )


def _section(file: Path, key: str, found: object) -> dict[str, Any]:
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in cast("dict[object, Any]", found)):
        raise ConfigurationError(str(file), f"{key or 'the whole'} must be a table of options, not {found!r}")
    return cast("dict[str, Any]", found)
