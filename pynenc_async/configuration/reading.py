"""Reading a setting as the type of its option: all text in variables, some text in files."""

import builtins
import sys
import types
from collections.abc import Callable, Iterable
from dataclasses import fields
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Union, cast, get_args, get_origin

from pynenc_async.errors import InvalidTaskOptionsError
from pynenc_async.limit import Rate
from pynenc_async.option_rules import is_unknown

_RATE_FIELDS: Final = tuple(field.name for field in fields(Rate))
_TRUE: Final = frozenset({"true", "yes", "on", "1"})
_FALSE: Final = frozenset({"false", "no", "off", "0"})
_NONE: Final = frozenset({"", "none", "null"})


def read(value: Any, hint: Any, *, is_text: bool) -> Any:
    """Return `value` in a form that the rule of the option checks; raise `ValueError` that says what was expected.

    Files have numbers, booleans and lists of their own, so there only what they lack is written as text.
    """
    kinds = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    if isinstance(value, str) and types.NoneType in kinds and value.strip().lower() in _NONE:
        return None
    (kind,) = (one for one in kinds if one is not types.NoneType)
    if kind is Rate:
        return _rate(value)
    if kind == tuple[type[BaseException], ...]:
        return _exceptions(value)
    if get_origin(kind) is Callable:
        raise ValueError("can only be given in code")
    return _from_text(value.strip(), kind) if is_text else value


def _from_text(text: str, kind: Any) -> Any:
    if kind is str:
        return text
    if get_origin(kind) is tuple:
        return _words(text)
    if issubclass(kind, StrEnum):
        return text.lower()
    parse, expected = _PARSERS[kind]
    try:
        return parse(text)
    except ValueError:
        raise ValueError(f"must be {expected}, not {text!r}") from None


def _flag(text: str) -> bool:
    if text.lower() not in _TRUE | _FALSE:
        raise ValueError(text)
    return text.lower() in _TRUE


_PARSERS: Final[dict[Any, tuple[Callable[[str], Any], str]]] = {
    bool: (_flag, "true or false"),
    int: (int, "an integer"),
    float: (float, "a number"),
    datetime: (datetime.fromisoformat, "a time as in 2030-12-31T23:59:00+00:00"),
}


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _rate(value: Any) -> Any:
    """Read `10/60`, or a table with the fields of a `Rate`."""
    if value is None or isinstance(value, Rate):
        return value
    if isinstance(value, str):
        count, _, per = value.partition("/")
        try:
            value = {"count": float(count), "per": float(per or 1)}
        except ValueError:
            raise ValueError(f"must be a rate as in 10/60, ten in sixty seconds, not {value!r}") from None
    if not isinstance(value, dict):
        raise ValueError(f"must be a rate as in '10/60', or a table with {', '.join(_RATE_FIELDS)}, not {value!r}")  # noqa: TRY004
    table = cast("dict[str, Any]", value)
    for name in table:
        if name not in _RATE_FIELDS:
            raise ValueError(f"is not a rate: {name!r} {is_unknown(name, _RATE_FIELDS, what='a rate has')}")
    if "count" not in table:
        raise ValueError("is not a rate: 'count' is missing")
    try:
        return Rate(**table)
    except InvalidTaskOptionsError as error:
        raise ValueError(f"is not a rate: {error.option!r} {error.problem}") from None


def _exceptions(value: Any) -> Any:
    """Read the names of exception classes."""
    if isinstance(value, str):
        value = _words(value)
    if not isinstance(value, (list, tuple)):
        return value
    return tuple(_exception(name) if isinstance(name, str) else name for name in cast("Iterable[Any]", value))


def _exception(name: str) -> Any:
    """Find a class among the builtins and in modules that are loaded; a setting never makes anything be imported."""
    module_name, separator, class_name = name.partition(":")
    module = sys.modules.get(module_name) if separator else builtins
    if module is None:
        raise ValueError(f"names {name!r}, but no module {module_name!r} is imported; import it before the task")
    found = getattr(module, class_name if separator else module_name, None)
    if not (isinstance(found, type) and issubclass(found, BaseException)):
        hint = "" if separator else "; write module:Class for what is no builtin"
        raise ValueError(f"names {name!r}, which is no exception class{hint}")  # noqa: TRY004  the caller knows this one
    return found
