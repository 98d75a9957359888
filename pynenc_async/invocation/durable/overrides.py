"""What `with_options` said for one call, as JSON: it holds for that invocation wherever it runs.

Options that are code (exception classes, a predicate) stand there by name, see `naming`; a call with one that has no name
by which it could be found again is refused. When it may start is kept as a moment, not as an option. For which moment a
schedule made it stands here, too.
"""

from collections.abc import Callable
from dataclasses import fields
from typing import Any, Final

import msgspec

from pynenc_async.codec import decode
from pynenc_async.errors import InvalidTaskOptionsError, SerializationError
from pynenc_async.function import Function
from pynenc_async.invocation.durable.naming import find_class, find_predicate, name_of
from pynenc_async.limit import Rate
from pynenc_async.options import TaskOptions
from pynenc_async.store.values import Fire

_CLASSES: Final = frozenset({"retry_for", "no_retry_for"})
_PREDICATES: Final = frozenset({"retry_if"})
_MOMENTS: Final = frozenset({"delay", "at"})
_FIRE: Final = "fire"
_KEPT: Final = tuple(field.name for field in fields(TaskOptions) if field.name not in _MOMENTS)


def write_overrides(function: Function, own: TaskOptions, used: TaskOptions, fire: Fire | None) -> bytes:
    """Return what differs in `used` from the task's `own` options; empty where nothing does.

    Raise `InvalidTaskOptionsError` for code that another process could not find again.
    """
    if used is own and fire is None:
        return b""
    different: dict[str, Any] = {
        name: _named(name, value, function) for name in _KEPT if (value := getattr(used, name)) != getattr(own, name)
    }
    if fire is not None:
        different[_FIRE] = fire
    return msgspec.json.encode(different) if different else b""


def read_overrides(data: bytes, function: Function) -> dict[str, Any]:
    """Return the options to give to `with_options`; none that this version does not know.

    Raise `SerializationError` for code that is not here under its name.
    """
    values = {name: value for name, value in decode(data, dict[str, Any], field="options").items() if name in _KEPT}
    for name in _CLASSES & values.keys():
        values[name] = tuple([_found(find_class, name, one, function) for one in values[name]])
    for name in _PREDICATES & values.keys():
        if values[name] is not None:
            values[name] = _found(find_predicate, name, values[name], function)
    rate = values.get("rate_limit")
    if rate is not None:
        values["rate_limit"] = msgspec.convert(rate, Rate)
    return values


def read_fire(data: bytes) -> Fire | None:
    """Return for which moment of which schedule the call was made."""
    fire = decode(data, dict[str, Any], field="options").get(_FIRE)
    return None if fire is None else msgspec.convert(fire, Fire)


def _named(option: str, value: Any, function: Function) -> Any:
    if option in _CLASSES:
        return [_name(option, one, function) for one in value]
    return value if value is None or option not in _PREDICATES else _name(option, value, function)


def _name(option: str, code: Any, function: Function) -> str:
    name = name_of(code, function)
    if name is None:
        raise InvalidTaskOptionsError(
            f"task {function.task_id}",
            option,
            f"has {getattr(code, '__qualname__', repr(code))}, which another process could not find by its name; define it "
            "(not by lambda) at the level of the module of the task, or import it there, or give the option to @app.task",
        )
    return name


def _found(find: Callable[[str, Function], Any], option: str, name: Any, function: Function) -> Any:
    code = find(name, function) if isinstance(name, str) else None
    if code is None:
        raise SerializationError(
            f"options.{option}",
            f"{name!r} is not here, where task {function.task_id} is; import what defines it before the app starts",
        )
    return code
