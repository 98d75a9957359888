"""The ready queue: what may be run, by level, in the order of submission.

A level is a `Lane`: a deque, and a small heap of batches that other invocations await ("urgent"), which go first within
the level, the most awaited first. Nothing is ever searched for or removed from the middle: a record that was hastened,
or cancelled, leaves a stale entry behind, and an entry counts only while its record may be run (`is_due`). Stale entries
are dropped when they come up, and swept out when they are many.
"""

from bisect import insort
from collections import deque
from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import Final

from pynenc_async.record import Record
from pynenc_async.status import InvocationStatus

RUNNABLE: Final = frozenset(status for status in InvocationStatus if status.is_available_to_run())

_SWEEP_AT: Final = 64
"""How many dead entries a lane may hold before it is worth while to look for them."""


def is_due(record: Record) -> bool:
    """Whether a record may be run now: by its status, and because no retry delay holds it back."""
    return record._status in RUNNABLE and (record._more is None or record._more.retry_timer is None)


class Lane:
    """The queue of one priority level."""

    __slots__ = ("_dead", "_tickets", "items", "level", "urgent")

    def __init__(self, level: int) -> None:
        self.level: Final = level
        self.items: Final[deque[Record]] = deque()
        self.urgent: Final[list[tuple[int, int, Iterator[Record]]]] = []
        self._tickets: Final = count()
        self._dead = 0

    def __len__(self) -> int:
        return len(self.items) + len(self.urgent)

    def pop(self) -> Record | None:
        """Take the next record that may be run, or None."""
        urgent, items = self.urgent, self.items
        while urgent:
            for record in urgent[0][2]:
                if is_due(record):
                    return record
            heappop(urgent)
        while items:
            record = items.popleft()
            if record._more is None:  # the common case, without a call
                if record._status in RUNNABLE:
                    return record
            elif is_due(record):
                return record
        self._dead = 0
        return None

    def hasten(self, records: Sequence[Record]) -> None:
        """An invocation awaits `records`, which are queued: move them ahead of their level."""
        waiters = records[0]._waiters
        awaited = len(waiters) if isinstance(waiters, list) else 1
        heappush(self.urgent, (-awaited, next(self._tickets), iter(records)))

    def note_dead(self) -> None:
        """Count an entry that will never be run; sweep when more than half of the lane is dead."""
        self._dead += 1
        if self._dead >= _SWEEP_AT and self._dead * 2 > len(self.items):
            living = [record for record in self.items if is_due(record)]
            self.items.clear()
            self.items.extend(living)
            self._dead = 0


class ReadyQueue:
    """All lanes, the highest level first."""

    __slots__ = ("_by_level", "lanes")

    def __init__(self) -> None:
        self.lanes: Final[list[Lane]] = []
        self._by_level: Final[dict[int, Lane]] = {}

    def __len__(self) -> int:
        return sum(map(len, self.lanes))

    def lane(self, level: int) -> Lane:
        """Return the lane of a level, made on first use."""
        lane = self._by_level.get(level)
        if lane is None:
            lane = self._by_level[level] = Lane(level)
            insort(self.lanes, lane, key=lambda one: -one.level)
        return lane

    def pop(self) -> Record | None:
        """Take the next record, or None when nothing may be run."""
        for lane in self.lanes:
            if (record := lane.pop()) is not None:
                return record
        return None

    def peek_only(self) -> Record | None:
        """Return the one queued record, or None when there is none or more than one."""
        found: Record | None = None
        for lane in self.lanes:
            if lane.items or lane.urgent:
                if found is not None or lane.urgent or len(lane.items) != 1:
                    return None
                found = lane.items[0]
        return found
