"""What limits compare: from the values of a call, a hashable key that tells 1 from True and from "1".

The functions here are chosen once for a task, so that no invocation asks again which scope its task has.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from pynenc_async.arguments import comparable, comparable_value
from pynenc_async.function import Values
from pynenc_async.limit import ConcurrencyControlType
from pynenc_async.options import TaskOptions

Key = Any
KeyOf = Callable[[Values], Key]

_DISABLED: Final = ConcurrencyControlType.DISABLED


@dataclass(frozen=True, slots=True)
class Mixed:
    """The key of a line in which all compete for the same permits, and for the same rate, where those differ."""

    permit: Key
    bucket: Key
    kind: int
    """The number of their limits: see `Limiter.kind_of`."""


def permit_key(options: TaskOptions, key_indexes: tuple[int, ...]) -> KeyOf:
    """Return what makes the key under which permits are counted: that of the running limit, else that of the rate."""
    if options.running_concurrency is not _DISABLED:
        return _key_of(options.running_concurrency, key_indexes)
    return _key_of(_rate_scope(options), key_indexes)


def bucket_key(options: TaskOptions, key_indexes: tuple[int, ...]) -> KeyOf:
    """Return what makes the key under which starts are counted: each rate counts its own."""
    rate, key_of = repr(options.rate_limit), _key_of(_rate_scope(options), key_indexes)
    if key_of is not _the_same_for_all:
        return lambda values: (rate, key_of(values))
    bucket = rate, None
    return lambda _values: bucket


def line_key(options: TaskOptions, key_indexes: tuple[int, ...], kind: int) -> KeyOf:
    """Return what makes the key of the line in which one waits: nobody in it could overtake another.

    `kind`: the number of the limits of this use of the task.
    """
    permit = permit_key(options, key_indexes)
    has_one_scope = options.rate_limit is None or options.running_concurrency in (_DISABLED, _rate_scope(options))
    if has_one_scope and kind == 0:
        return permit  # most are, and need no other key
    bucket = bucket_key(options, key_indexes)
    return lambda values: Mixed(permit(values), bucket(values), kind)


def _rate_scope(options: TaskOptions) -> ConcurrencyControlType:
    return _DISABLED if options.rate_limit is None else options.rate_limit.scope


def _key_of(scope: ConcurrencyControlType, key_indexes: tuple[int, ...]) -> KeyOf:
    if scope is ConcurrencyControlType.TASK or scope is _DISABLED:
        return _the_same_for_all
    if scope is ConcurrencyControlType.ARGUMENTS:
        return comparable
    index, *others = key_indexes
    if others:
        return lambda values: comparable(tuple([values[index] for index in key_indexes]))

    def key_of(values: Values) -> Key:
        value: object = values[index]
        kind = type(value)
        return value if kind is str or kind is int else comparable_value(value)  # most keys are, and need no call

    return key_of


def _the_same_for_all(_values: Values) -> Key:
    return None
