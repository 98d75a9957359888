"""The table of every option: its value, its default, and where the value comes from."""

import dataclasses
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, Final, cast

from pynenc_async.configuration.app_options import AppOptions
from pynenc_async.configuration.configuration import DEFAULT, Resolved
from pynenc_async.options import TaskOptions
from pynenc_async.printable import printable, printable_lines

_HEAD: Final = ("option", "value", "default", "origin")


def explain(
    app: Resolved[AppOptions], tasks: Mapping[str, Resolved[TaskOptions]], unused: Iterable[str], *, title: str
) -> str:
    """Return the tables of an app and of its tasks, and what is said about tasks that are not there."""
    blocks = [_table(title, app), *(_table(f"task {task_id}", tasks[task_id]) for task_id in sorted(tasks))]
    if lost := sorted(unused):
        blocks.append("\n".join(["Settings of tasks that this app does not have:", *(f"  {one}" for one in lost)]))
    return printable_lines("\n\n".join(blocks))


def _table(title: str, resolved: Resolved[Any]) -> str:
    rows = [_HEAD, *_rows(resolved)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = ("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join([title, *(line.rstrip() for line in lines)])


def _rows(resolved: Resolved[Any]) -> Iterable[tuple[str, ...]]:
    for field in dataclasses.fields(resolved.options):
        value = getattr(resolved.options, field.name)
        origin, problem = resolved.origins.get(field.name, DEFAULT), resolved.idle.get(field.name)
        yield field.name, _shown(value), _shown(field.default), f"{origin}; {problem}" if problem else origin


def _shown(value: Any) -> str:
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, type):
        return value.__name__ if value.__module__ == "builtins" else f"{value.__module__}:{value.__qualname__}"
    if isinstance(value, tuple):
        return ",".join(map(_shown, cast("Iterable[Any]", value))) or "none"
    return "none" if value is None else printable(str(value))
