"""How much memory a value takes, roughly: found out by looking at a few of its parts, never by encoding it."""

import sys
from collections.abc import Iterable
from itertools import islice
from typing import Any, Final, cast

_LOOKED_AT: Final = 16
"""How many parts of a container are looked at; the others are taken to be as large on average."""
_DEEPEST: Final = 3
_CONTAINERS: Final = frozenset({list, tuple, set, frozenset, dict})


def estimate(value: object) -> int:
    """Return about how many bytes `value` takes, with what it holds; 0 for None, and for what cannot be looked at."""
    if value is None:
        return 0
    try:
        return _estimate(value, 0)
    except BaseException:  # noqa: BLE001  a class of the user may answer anything when it is asked for its size
        return 0


def _estimate(value: object, depth: int) -> int:
    size = sys.getsizeof(value)
    if depth >= _DEEPEST:
        return size
    if type(value) in _CONTAINERS:
        return size + _parts(value, depth)  # type: ignore[arg-type]
    fields: tuple[str, ...] = getattr(type(value), "__struct_fields__", ())
    size += sum(_estimate(getattr(value, name, None), depth + 1) for name in fields)
    attributes: Any = getattr(value, "__dict__", None)
    return size + _parts(cast("dict[object, object]", attributes), depth) if isinstance(attributes, dict) else size


def _parts(container: "dict[object, object] | list[object]", depth: int) -> int:
    several: Iterable[object] = container.values() if isinstance(container, dict) else container
    looked_at = [_estimate(part, depth + 1) for part in islice(several, _LOOKED_AT)]
    return sum(looked_at) * len(container) // max(1, len(looked_at))
