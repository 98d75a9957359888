"""What a value has lost on its way to JSON and back: the first place where the two differ, in type or in value.

Equality is not enough: `True == 1`, `Colour.RED == "red"`, an ordered dict equals a plain one, and moments in different
zones may be equal. So types are compared, too, and for objects all that they keep: fields, attributes, private ones.
"""

import dataclasses
import datetime as dt
import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from enum import Enum
from functools import cached_property, lru_cache
from itertools import chain, zip_longest
from pathlib import PurePath
from typing import Any, Final, NamedTuple, cast
from uuid import UUID

from pynenc_async.codec.models import is_model

_kind_of: Final = cast("Callable[[Any], Any]", type)
_ATOMS: Final = frozenset({type(None), bool, int, float, str, bytes, bytearray, UUID, dt.date, dt.timedelta})
"""Types of which equal values are the same in every respect."""
_ARRIVE_AS_BASE: Final = (float, dt.datetime, dt.date, dt.time, dt.timedelta, Decimal, UUID)
"""An equal value of a subclass that keeps nothing besides may arrive as the one of these that its annotation names.

Libraries have their own (numpy.float64, freezegun's datetime, asyncpg's UUID), and mean the same by them.
"""
_SCALARS: Final = (*_ARRIVE_AS_BASE, str, int, bytes, bytearray, Enum, PurePath)
_NOT_KEPT: Final = frozenset({"__dict__", "__weakref__", "__pydantic_fields_set__", "__orig_class__"})
"""What objects have that says nothing of their value."""
_IN_C: Final[Mapping[type, str]] = {defaultdict: "default_factory", deque: "maxlen"}
"""What is kept in neither a slot nor a `__dict__`."""
_NO_NAME: Final = re.compile(r"Z|(UTC)?([+-][\d:]+)?")
"""How zones are called that are nothing but their offset."""
_ABSENT: Final = object()
_LONGEST_KEY: Final = 60

_LOST: Final = "would be lost: its annotation does not read it; leave it out, or annotate what has it"
_ADDED: Final = "would be added on the way; pass it, or annotate what does not have it"
_CHANGED: Final = "would arrive changed: its type does not write all of it to JSON; pass it as plain data"
_REORDERED: Final = "would arrive with its keys in another order; pass it in that order"
_ZONE: Final = "is in a time zone of which only the offset would arrive; pass it in UTC: value.astimezone(datetime.UTC)"


class Difference(NamedTuple):
    """Where two values differ, as a path below them, and how."""

    path: str
    problem: str


_Pair = tuple[Any, Any, Any, str]
"""Two values that should be the same; the pair that they are in, or None, and the step from there."""


def first_difference(sent: object, back: object, *, lists_for_tuples: bool = False) -> Difference | None:
    """Return where `back` is not what was `sent`; None where it is, as far as a body could tell.

    With `lists_for_tuples` a list is as good as a tuple, though not as good as a named one.
    """
    pairs: list[_Pair] = [(sent, back, None, "")]
    for pair in pairs:  # which grows: values may be nested deeper than calls can be
        is_list = lists_for_tuples and type(pair[0]) is tuple and type(pair[1]) is list
        difference = _compare_sequences(pair, pairs) if is_list else _compare(pair, pairs)
        if difference is not None:
            step, problem = difference
            return Difference(_path(pair) + step, problem)
    return None


def _path(pair: _Pair | None) -> str:
    steps: list[str] = []
    while pair is not None:
        _, _, pair, step = pair
        steps.append(step)
    return "".join(reversed(steps))


def _compare(pair: _Pair, pairs: list[_Pair]) -> Difference | None:
    """Return what is wrong with a pair by itself, and add those that it consists of."""
    sent, back, _, _ = pair
    if sent is back:
        return None
    kind = _kind_of(sent)
    if kind is not _kind_of(back):
        return None if _arrives_as_base(sent, back) else _other_type(kind, _kind_of(back))
    if kind in _ATOMS:
        return None if sent == back else Difference("", _CHANGED)
    if isinstance(sent, _SCALARS):
        return _compare_scalars(sent, back) or (None if isinstance(sent, PurePath) else _compare_state(pair, pairs))
    compare = next((compare for kinds, compare in _CONTAINERS if isinstance(sent, kinds)), _compare_opaque)
    return compare(pair, pairs) or _compare_state(pair, pairs)


def _compare_opaque(pair: _Pair, _pairs: list[_Pair]) -> Difference | None:
    """Leave it to the objects whether they are equal, if they have nothing that could be compared."""
    sent, back, _, _ = pair
    return None if _state(sent) or _state(back) or sent == back else Difference("", _CHANGED)


# -- by themselves -----------------------------------------------------------------------------------------------------


def _arrives_as_base(sent: Any, back: Any) -> bool:
    """Whether a value of another type than was sent is as good: an int for a float, a library's own kind of moment."""
    if type(sent) is int and type(back) is float:
        return sent == back
    if type(back) not in _ARRIVE_AS_BASE or isinstance(sent, Enum) or not isinstance(sent, type(back)):
        return False
    return _compare_scalars(sent, back) is None and not _state(sent)


def _other_type(sent: type, back: type) -> Difference:
    one, other = sent.__qualname__, back.__qualname__
    if one == other:
        one, other = f"{sent.__module__}.{one}", f"{back.__module__}.{other}"
    return Difference("", f"is of type {one} and would arrive as {other}; annotate it as {one}, or pass {other}")


def _compare_scalars(sent: Any, back: Any) -> Difference | None:
    if isinstance(sent, Enum):
        return Difference("", _CHANGED)  # a member is one object
    if isinstance(sent, Decimal):
        return None if sent.as_tuple() == back.as_tuple() else Difference("", _CHANGED)  # which tells 1.0 from 1.00
    if sent != back:
        return Difference("", _CHANGED)
    if isinstance(sent, (dt.datetime, dt.time)):
        if not _is_same_zone(sent.tzinfo, back.tzinfo):
            return Difference("", _ZONE)
        return None if sent.fold == back.fold else Difference("", _CHANGED)
    return None


def _is_same_zone(one: dt.tzinfo | None, other: dt.tzinfo | None) -> bool:
    """Whether two zones are the same, or have the same offset at all times, under the same name or no own one."""
    if one is None or other is None:
        return one is other
    offset, names = one.utcoffset(None), [one.tzname(None) or "", other.tzname(None) or ""]
    has_names = names[0] != names[1] and not all(map(_NO_NAME.fullmatch, names))
    return offset is not None and offset == other.utcoffset(None) and not has_names


# -- by what they contain ----------------------------------------------------------------------------------------------


def _compare_dicts(pair: _Pair, pairs: list[_Pair]) -> Difference | None:
    sent, back = cast("tuple[dict[Any, Any], dict[Any, Any]]", pair[:2])
    keys, others = list(sent), list(back)
    for key, other in zip_longest(keys, others, fillvalue=_ABSENT):
        is_same = key is other or (type(key) is type(other) and key == other)
        if not (is_same or _arrives_as_base(key, other)):
            return _other_key(key, other, sent, back)
    _add(pair, pairs, keys, others, lambda index: f"[key {index}]")
    _add(pair, pairs, sent.values(), back.values(), lambda index: _member(keys[index]))
    return None


def _other_key(key: Any, other: Any, sent: dict[Any, Any], back: dict[Any, Any]) -> Difference:
    if len(sent) == len(back) and type(key) is not type(other):
        one, plain = type(key).__qualname__, type(other).__qualname__
        problem = f"has keys of type {one}, which would arrive as {plain}; annotate it as dict[{one}, ...]"
        return Difference("", problem)
    if key in back and other in sent:
        return Difference("", _REORDERED)
    return Difference(_member(other), _ADDED) if key is _ABSENT else Difference(_member(key), _LOST)


def _compare_sequences(pair: _Pair, pairs: list[_Pair]) -> Difference | None:
    sent, back = cast("tuple[list[Any], list[Any]]", pair[:2])
    if len(sent) != len(back):
        return Difference("", _CHANGED)
    _add(pair, pairs, sent, back, lambda index: f"[{index}]")
    return None


def _compare_sets(pair: _Pair, pairs: list[_Pair]) -> Difference | None:
    sent, back = cast("tuple[set[Any], set[Any]]", pair[:2])
    if sent != back:
        return Difference("", _CHANGED)
    found = {item: item for item in back}
    _add(pair, pairs, sent, [found[item] for item in sent], lambda _: "[...]")
    return None


_CONTAINERS: Final[tuple[tuple[Any, Callable[[_Pair, list[_Pair]], Difference | None]], ...]] = (
    (dict, _compare_dicts),
    ((list, tuple, deque), _compare_sequences),
    ((set, frozenset), _compare_sets),
)


def _add(pair: _Pair, pairs: list[_Pair], sent: Iterable[Any], back: Iterable[Any], step: Callable[[int], str]) -> None:
    """Add the pairs of elements, unless they are the same at a glance."""
    if not _are_same_atoms(sent, back):
        pairs.extend((one, other, pair, step(index)) for index, (one, other) in enumerate(zip(sent, back, strict=True)))


def _are_same_atoms(sent: Iterable[Any], back: Iterable[Any]) -> bool:
    """Whether two series consist of the same atoms; told in C, for most do."""
    kinds = list(map(type, sent))
    return kinds == list(map(type, back)) and _ATOMS.issuperset(kinds) and list(sent) == list(back)


def _member(key: object) -> str:
    return f".{key}" if isinstance(key, str) and key.isidentifier() else f"[{repr(key)[:_LONGEST_KEY]}]"


# -- by what they keep -------------------------------------------------------------------------------------------------


def _compare_state(pair: _Pair, pairs: list[_Pair]) -> Difference | None:
    sent, back, _, _ = pair
    before, after = _state(sent), _state(back)
    if list(before) == list(after) and _are_same_atoms(before.values(), after.values()):
        return None
    has_fields = _has_fields(_kind_of(sent))  # what is inside of any other object is its own business
    for name in chain(before, (name for name in after if name not in before)):
        one, other = before.get(name, _ABSENT), after.get(name, _ABSENT)
        step = f".{name}" if has_fields and name not in _OF_PYDANTIC else ""
        if one is _ABSENT or other is _ABSENT:
            return Difference(step, _LOST if other is _ABSENT else _ADDED)
        pairs.append((one, other, pair, step))
    return None


_OF_PYDANTIC: Final = frozenset({"__pydantic_private__", "__pydantic_extra__"})
"""Dicts of attributes: their keys are the steps."""


def _state(value: object) -> dict[str, Any]:
    """Return all that an object keeps besides what it contains."""
    kind = _kind_of(value)
    slots, passing = _slots(kind), _passing(kind)
    own: dict[str, Any] = getattr(value, "__dict__", {})
    if not own.keys().isdisjoint(passing):
        own = {name: found for name, found in own.items() if name not in passing}
    return (
        {name: found for name in slots if (found := getattr(value, name, _ABSENT)) is not _ABSENT} | own
        if slots
        else own
    )


@lru_cache(maxsize=1024)
def _passing(kind: Any) -> frozenset[str]:
    """Return the attributes that say nothing of the value, or what the rest of it says anyway."""
    names: set[str] = set()
    for base in kind.__mro__:
        attributes: dict[str, object] = dict(vars(base))  # pyright: ignore[reportUnknownArgumentType]
        names.update([name for name, one in attributes.items() if type(one) is cached_property])
    return _NOT_KEPT | names


@lru_cache(maxsize=1024)
def _slots(kind: Any) -> tuple[str, ...]:
    names: dict[str, None] = dict.fromkeys(getattr(kind, "__struct_fields__", ()))
    for base in kind.__mro__:
        for name in _declared_slots(base):
            private = name.startswith("__") and not name.endswith("__")
            names[f"_{base.__name__.lstrip('_')}{name}" if private else name] = None
    names |= {name: None for base, name in _IN_C.items() if issubclass(kind, base)}
    return tuple(name for name in names if name not in _NOT_KEPT)


def _declared_slots(kind: Any) -> Iterable[str]:
    slots = cast("str | Iterable[str]", cast("Any", vars(kind)).get("__slots__", ()))
    return (slots,) if isinstance(slots, str) else slots


@lru_cache(maxsize=1024)
def _has_fields(kind: Any) -> bool:
    is_struct = hasattr(kind, "__struct_fields__") or hasattr(kind, "__attrs_attrs__")
    return is_struct or dataclasses.is_dataclass(kind) or is_model(kind)
