"""Whether a value surely comes back as it is, told by types alone and mostly in C; where that is unclear, it is tried.

What is plain JSON, annotated as such or not at all, is not worth more than a glance.
"""

from collections.abc import Callable, Iterable
from typing import Annotated, Any, Final, cast, get_args, get_origin

import msgspec

from pynenc_async.codec.stand_ins import UNIONS

Glance = Callable[[Any], bool]

_kind_of: Final = cast("Callable[[Any], Any]", type)
_NONE: Final = type(None)
_SCALARS: Final = frozenset({_NONE, bool, int, float, str})
_TEXT: Final = frozenset({str})
_EXACT: Final = (_NONE, bool, int, float, str, bytes)
_FREE: Final = (Any, object)
"""Annotations that take all plain types of JSON."""


def exact_kinds(annotation: Any) -> frozenset[type]:
    """Return the exact types of which all values come back from `annotation`, without any glance inside."""
    if _is_one_of(annotation, _FREE):
        return _SCALARS
    if annotation is None or _is_one_of(annotation, _EXACT):
        return frozenset({annotation or _NONE})
    if get_origin(annotation) not in UNIONS:
        return frozenset()
    members = get_args(annotation)
    if any(_is_one_of(member, _FREE) for member in members):
        return _SCALARS
    return frozenset[type]().union(*map(exact_kinds, members))


def glance_of(annotation: Any) -> Glance:
    """Return what tells of a value whether it surely comes back from `annotation`, which msgspec can decode."""
    kinds, inside = exact_kinds(annotation), _glances_inside(annotation)
    if not inside:
        return lambda value: _kind_of(value) in kinds
    return lambda value: _kind_of(value) in kinds or any(glance(value) for glance in inside)


def _glances_inside(annotation: Any) -> list[Glance]:
    """Return what looks into containers."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if _is_one_of(annotation, _FREE):
        return [is_plain]
    if _is_one_of(annotation, (list, dict)):
        return [lambda value: _kind_of(value) is annotation and is_plain(value)]
    if origin in UNIONS:
        is_free = any(_is_one_of(member, _FREE) for member in arguments)
        return [is_plain] if is_free else [glance for member in arguments for glance in _glances_inside(member)]
    if origin is Annotated:
        is_bound = any(isinstance(one, msgspec.Meta) for one in arguments[1:])
        return [] if is_bound else [glance_of(arguments[0])]
    return _container_glances(origin, arguments)


def _container_glances(origin: Any, arguments: tuple[Any, ...]) -> list[Glance]:
    if origin in (list, set, frozenset) or (origin is tuple and arguments[1:] == (...,)):
        each = _each(arguments[0])
        return [lambda value: _kind_of(value) is origin and each(value)]
    if origin is tuple:
        return [_tuple(list(map(glance_of, arguments)))]
    if origin is dict and arguments[0] is str:
        each = _each(arguments[1])
        return [lambda value: _kind_of(value) is dict and _TEXT.issuperset(map(type, value)) and each(value.values())]
    return []


def _each(annotation: Any) -> Callable[[Iterable[Any]], bool]:
    """Return what looks at all elements of a container."""
    if _is_one_of(annotation, _FREE):
        return lambda values: is_plain(list(values))
    kinds, glance = exact_kinds(annotation), glance_of(annotation)
    return lambda values: kinds.issuperset(map(type, values)) or all(map(glance, values))


def _tuple(glances: list[Glance]) -> Glance:
    def glance(value: Any) -> bool:
        if _kind_of(value) is not tuple or len(value) != len(glances):
            return False
        return all(fits(item) for fits, item in zip(glances, value, strict=True))

    return glance


def is_plain(value: Any) -> bool:
    """Whether a value, which has no cycle, consists of nothing but the plain types of JSON."""
    found = [value]
    for item in found:
        kind = _kind_of(item)
        if kind is list:
            inner = item
        elif kind is dict and _TEXT.issuperset(map(type, item)):
            inner = item.values()
        elif kind in _SCALARS:
            continue
        else:
            return False
        if not _SCALARS.issuperset(map(type, inner)):
            found.extend(inner)
    return True


def _is_one_of(annotation: Any, kinds: Iterable[Any]) -> bool:
    return any(annotation is kind for kind in kinds)
