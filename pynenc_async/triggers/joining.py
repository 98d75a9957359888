"""When a combination of conditions is met: a value of what has happened so far, and one occurrence after the other.

No clock (time is that of the occurrences), no loop, and no user code but that which compares keys. A condition has a *slot*
for each of its leaves, and every key has slots of its own. An occurrence is put into the slots of the leaves that it
meets, in place of an earlier one. If the condition is met then, the occurrences that met it are taken out.

Occurrences may be offered at any moment, in any thread. Who offers one takes the slots of its key away, in one step, and
works with them alone; where somebody else has put slots of the same key there meanwhile, the two are merged.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import Final

from pynenc_async.triggers.conditions import AllOf, AnyOf, Condition
from pynenc_async.triggers.occurrence import Occurrence

Slots = dict[int, tuple[int, Occurrence]]
"""By number of the leaf: the how manieth occurrence of all it was, and the occurrence."""


@dataclass(frozen=True, slots=True)
class _Choice:
    """How a condition is met, in numbers of leaves."""

    shown: tuple[int, ...]
    """Whose occurrences are passed on."""
    used: tuple[int, ...]
    """Whose occurrences are used up."""


class Joiner:
    """What has happened for one trigger, and has not been used up."""

    def __init__(self, condition: Condition, *, within: float | None, max_keys: int) -> None:
        self._condition: Final = condition
        self._within: Final = within
        self._max_keys: Final = max_keys
        self._pending: Final[dict[Hashable, Slots]] = {}
        """By key; the one that something has happened to last is the last one."""
        self._numbers: Final = count(1)
        self.dropped = 0
        """How many keys were forgotten because there were too many."""

    @property
    def pending(self) -> int:
        """How many keys wait for the rest."""
        return len(self._pending)

    def forget(self) -> None:
        """Forget what has happened."""
        self._pending.clear()

    def offer(self, occurrence: Occurrence, leaves: Sequence[int], key: Hashable) -> tuple[Occurrence, ...] | None:
        """Take in an occurrence that meets `leaves`; return what met the condition if it is met now."""
        now = occurrence.timestamp
        self._forget_late(now)
        number = next(self._numbers)
        slots: Slots = dict.fromkeys(leaves, (number, occurrence))
        met: tuple[Occurrence, ...] | None = None
        while True:
            slots = _merged(self._in_time(self._pending.pop(key, {}), now), slots)
            choice = None if met is not None else _choose(self._condition, slots, count())
            if choice is not None:
                met = tuple([slots[leaf][1] for leaf in choice.shown])
                for leaf in choice.used:
                    del slots[leaf]
            if not slots or self._pending.setdefault(key, slots) is slots:
                self._bound()
                return met

    def _bound(self) -> None:
        while len(self._pending) > self._max_keys:
            key = _first(self._pending)
            if self._pending.pop(key, None) is not None:
                self.dropped += 1

    def _forget_late(self, now: float) -> None:
        """Forget keys for which nothing has happened in time: it was longest ago for the first ones."""
        while self._within is not None and self._pending:
            key = _first(self._pending)
            slots = self._pending.get(key)
            if slots is not None and self._in_time(slots, now):
                return
            self._pending.pop(key, None)

    def _in_time(self, slots: Slots, now: float) -> Slots:
        if self._within is None:
            return slots
        return {leaf: slot for leaf, slot in slots.items() if now - slot[1].timestamp <= self._within}


def _first(pending: dict[Hashable, Slots]) -> Hashable:
    """Return the first key; whatever, where there is none any more."""
    for key in pending:
        return key
    return None


def _merged(earlier: Slots, later: Slots) -> Slots:
    """Return what is in either of two; what has happened last, where it is in both."""
    merged = dict(earlier)
    for leaf, slot in later.items():
        if leaf not in merged or merged[leaf][0] < slot[0]:
            merged[leaf] = slot
    return merged


def _choose(condition: Condition, slots: Slots, leaves: Iterator[int]) -> _Choice | None:
    """Return how the slots meet the condition, if they do; `leaves` numbers the leaves on the way."""
    if not isinstance(condition, (AllOf, AnyOf)):
        leaf = next(leaves)
        return _Choice((leaf,), (leaf,)) if leaf in slots else None
    choices = [_choose(part, slots, leaves) for part in condition.parts]
    met = [choice for choice in choices if choice is not None]
    if not met or (isinstance(condition, AllOf) and len(met) < len(choices)):
        return None
    shown = met if isinstance(condition, AllOf) else [max(met, key=lambda choice: _latest(choice, slots))]
    return _Choice(
        tuple(chain.from_iterable(choice.shown for choice in shown)),
        tuple(chain.from_iterable(choice.used for choice in met)),
    )


def _latest(choice: _Choice, slots: Slots) -> int:
    return max(slots[leaf][0] for leaf in choice.shown)
