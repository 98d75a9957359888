"""All sources of one app, merged for whoever needs options. The package says which source wins."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar, get_type_hints

from pynenc_async.configuration.app_options import APP_DEFAULTS, APP_RULES, AppOptions
from pynenc_async.configuration.environment import CONFIG, as_variable, read_environment
from pynenc_async.configuration.files import read_file
from pynenc_async.configuration.reading import read
from pynenc_async.configuration.settings import Setting, Settings, Source, given
from pynenc_async.errors import InvalidTaskOptionsError
from pynenc_async.option_rules import Rule
from pynenc_async.options import RULES, TaskOptions, rule_of

DEFAULT: Final = "default"
IN_APP: Final = "Pynenc(...)"
IN_TASK_DEFAULTS: Final = "Pynenc(task_defaults=...)"
IN_DECORATOR: Final = "decorator"
_TASK_HINTS: Final = get_type_hints(TaskOptions)
_APP_HINTS: Final = get_type_hints(AppOptions)


Options = TypeVar("Options")


@dataclass(frozen=True, slots=True)
class Resolved(Generic[Options]):
    """Options, and where each that is not at its default was found."""

    options: Options
    origins: Mapping[str, str]


class Configuration:
    """What the environment, the file and the code say about one app and its tasks."""

    def __init__(
        self,
        *,
        config: str | os.PathLike[str] | None,
        environment: Mapping[str, str],
        task_defaults: Mapping[str, Any] | None,
    ) -> None:
        self._environment: Final = read_environment(environment)
        self._file: Final = read_file(config if config is not None else environment.get(CONFIG))
        self._defaults: Final = given(task_defaults or {}, IN_TASK_DEFAULTS)
        for name, setting in self._defaults.items():
            _checked(IN_TASK_DEFAULTS, name, Setting(setting.value, IN_DECORATOR), _task_rule, _TASK_HINTS)

    def app_options(self, values: Mapping[str, Any]) -> Resolved[AppOptions]:
        """Return the options of the app, to which `values` are given in code."""
        in_code = {name: value for name, value in values.items() if value != APP_DEFAULTS.get(name, _NOTHING)}
        merged = _merge(given(in_code, IN_APP), self._file.app, self._environment.app)
        checked = {name: _checked("Pynenc", name, one, _app_rule, _APP_HINTS) for name, one in merged.items()}
        return Resolved(AppOptions(**checked), _origins(merged))

    def task_options(self, task_id: str, values: Mapping[str, Any]) -> Resolved[TaskOptions]:
        """Return the options of a task, to which its decorator gives `values`; raises `InvalidTaskOptionsError`."""
        merged = _merge(
            self._defaults,
            self._file.all_tasks,
            self._environment.all_tasks,
            given(values, IN_DECORATOR),
            self._file.by_task.get(task_id, {}),
            self._environment.by_task.get(as_variable(task_id), {}),
        )
        owner = f"task {task_id}"
        checked = {name: _checked(owner, name, one, _task_rule, _TASK_HINTS) for name, one in merged.items()}
        return Resolved(TaskOptions.build(owner, checked), _origins(merged))

    def without_task(self, task_ids: Iterable[str]) -> list[str]:
        """Return where something is said about tasks that are not among `task_ids`."""
        known = set(task_ids)
        variables = {as_variable(task_id) for task_id in known}
        return [*_unused(self._file, known), *_unused(self._environment, variables)]


_NOTHING: Final = object()


def _merge(*layers: Settings) -> dict[str, Setting]:
    """Return what the layers say, each one overruling those before it."""
    merged: dict[str, Setting] = {}
    for layer in layers:
        merged.update(layer)
    return merged


def _origins(settings: Settings) -> dict[str, str]:
    return {name: setting.origin for name, setting in settings.items()}


def _unused(source: Source, known: set[str]) -> Iterator[str]:
    for name, settings in source.by_task.items():
        if name not in known:
            yield from (setting.origin for setting in settings.values())


def _checked(
    owner: str, name: str, setting: Setting, rule_of_option: Callable[[str, str], Rule], hints: Mapping[str, Any]
) -> Any:
    """Return the value of a setting as its option keeps it; what is wrong with it names the place, too."""
    in_code = setting.origin in (IN_APP, IN_DECORATOR)
    try:
        rule = rule_of_option(owner, name)
        try:
            value = setting.value if in_code else read(setting.value, hints[name], is_text=setting.is_text)
        except ValueError as error:
            raise InvalidTaskOptionsError(owner, name, str(error)) from None
        return rule.check(owner, name, value)
    except InvalidTaskOptionsError as error:
        if in_code:
            raise
        raise InvalidTaskOptionsError(owner, name, f"{error.problem}; found in {setting.origin}") from None


def _task_rule(owner: str, name: str) -> Rule:
    return rule_of(owner, name)


def _app_rule(owner: str, name: str) -> Rule:
    rule = APP_RULES.get(name)
    if rule is None:
        hint = f"; for all tasks it belongs to [task], or PYNENC__TASK__{name.upper()}" if name in RULES else ""
        raise InvalidTaskOptionsError(owner, name, f"is unknown{hint}; the options are {', '.join(APP_RULES)}")
    return rule
