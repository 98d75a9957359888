"""Annotations that are texts, evaluated: a hint is arbitrary code, and its names may not be there."""

import inspect
import typing
from collections.abc import Callable
from typing import Any, Final

UNRESOLVED: Final = object()
"""Stands for an annotation that cannot be evaluated here and now."""


def resolve_hint(func: Callable[..., Any], name: str, hint: object) -> Any:
    """Return the annotation `name` of `func`, evaluated if it is a text; `UNRESOLVED` where that fails."""
    if not isinstance(hint, str):
        return hint
    holder = type(name, (), {"__annotations__": {name: hint}, "__module__": getattr(func, "__module__", None)})
    try:
        names = getattr(inspect.unwrap(func), "__globals__", {})
        return typing.get_type_hints(holder, globalns=names, include_extras=True)[name]
    except Exception:  # noqa: BLE001  user code
        return UNRESOLVED
