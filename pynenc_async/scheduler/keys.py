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
_OWN_TOTAL: Final = "own total"
"""Tells a total of None that is a use's own from that of most."""


def permit_key(options: TaskOptions, key_indexes: tuple[int, ...]) -> KeyOf:
    """Return what makes the key under which permits are counted: that of the running limit, else that of the rate."""
    if options.running_concurrency is not _DISABLED:
        return _key_of(options.running_concurrency, key_indexes)
    return bucket_key(options, key_indexes)


@dataclass(frozen=True, slots=True)
class Mixed:
    """The key of a line in which all compete for the same permits, and for the same rate, where those differ."""

    permit: Key
    bucket: Key
    total: int | None = None
    """Where it is not that of most uses of the task."""


def line_key(options: TaskOptions, key_indexes: tuple[int, ...], *, total_is_usual: bool) -> KeyOf:
    """Return what makes the key of the line in which one waits: nobody in it could overtake another."""
    permit, total = permit_key(options, key_indexes), options.running_total
    rate = options.rate_limit
    same = options.running_concurrency is _DISABLED or rate is None or rate.scope is options.running_concurrency
    if same and total_is_usual:
        return permit
    bucket = bucket_key(options, key_indexes)
    if total_is_usual:
        return lambda values: Mixed(permit(values), bucket(values))
    if same:
        return lambda values: Mixed(permit(values), _OWN_TOTAL, total)
    return lambda values: Mixed(permit(values), (_OWN_TOTAL, bucket(values)), total)


def bucket_key(options: TaskOptions, key_indexes: tuple[int, ...]) -> KeyOf:
    """Return what makes the key under which starts are counted."""
    return _key_of(_DISABLED if options.rate_limit is None else options.rate_limit.scope, key_indexes)


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
