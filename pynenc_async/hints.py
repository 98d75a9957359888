"""Annotations that are texts, or have texts in them, evaluated: a hint is arbitrary code, and its names may not be there."""

import inspect
import typing
from collections.abc import Callable
from functools import partial
from typing import Any, Final

UNRESOLVED: Final = object()
"""Stands for an annotation that cannot be evaluated here and now."""


def evaluate_hint(func: Callable[..., Any], name: str, hint: object) -> Any:
    """Return the annotation `name` of `func`, evaluated as far as it is text; raises whatever that raises."""
    holder = type(name, (), {"__annotations__": {name: hint}, "__module__": getattr(func, "__module__", None)})
    inner = written(func)
    known = {one.__name__: one for one in getattr(inner, "__type_params__", ())}
    names = getattr(inner, "__globals__", {})
    return typing.get_type_hints(holder, globalns=names, localns=known or None, include_extras=True)[name]


def resolve_hint(func: Callable[..., Any], name: str, hint: object) -> Any:
    """Return the annotation `name` of `func`, evaluated if it is a text; `UNRESOLVED` where that fails."""
    if not isinstance(hint, str):
        return hint
    try:
        return evaluate_hint(func, name, hint)
    except Exception:  # noqa: BLE001  user code
        return UNRESOLVED


def written(func: Any) -> Any:
    """Return the function that was written in Python, inside of partials, wrappers, methods and callable objects."""
    while True:
        if isinstance(func, partial):
            func = func.func
        elif hasattr(func, "__wrapped__"):
            func = inspect.unwrap(func)
        elif inspect.ismethod(func):
            func = func.__func__
        elif inspect.isroutine(func):
            return func
        else:
            func = type(func).__call__


def show_hint(hint: object) -> str:
    """Return an annotation as it was written."""
    return repr(hint) if isinstance(hint, str) or not isinstance(hint, type) else hint.__qualname__
