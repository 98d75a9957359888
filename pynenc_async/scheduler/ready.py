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
from pynenc_async.scheduler.statuses import RUNNABLE

_SWEEP_AT: Final = 64
"""How many dead entries a lane may hold before it is worth while to look for them."""


def is_due(record: Record) -> bool:
    """Whether a record may be run now: by its status, and because neither a delay nor a limit holds it back."""
    return record._status in RUNNABLE and (record._more is None or not record._more.held)


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
                if record._status in RUNNABLE and (record._more is None or not record._more.held):
                    return record
            heappop(urgent)
        while items:
            record = items.popleft()
            # `is_due`, without a call
            if record._status in RUNNABLE and (record._more is None or not record._more.held):
                return record
        self._dead = 0
        return None

    def aged_level(self, now: float, ageing_seconds: float | None) -> float:
        """The level, and one more for each `ageing_seconds` that the oldest entry has waited."""
        if not self.items or not ageing_seconds:
            return self.level
        return self.level + max(0.0, now - self.items[0]._registered_at) // ageing_seconds

    def hasten(self, records: Sequence[Record]) -> None:
        """An invocation awaits `records`, which are queued: move them ahead of their level."""
        waiters = records[0]._waiters
        awaited = len(waiters) if isinstance(waiters, dict) else 1
        heappush(self.urgent, (-awaited, next(self._tickets), iter(records)))

    def clear(self) -> None:
        """Forget everything."""
        self.items.clear()
        self.urgent.clear()

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

    __slots__ = ("_ageing_seconds", "_by_level", "_in_turn", "_valid_until", "lanes")

    def __init__(self, ageing_seconds: float | None = None) -> None:
        self.lanes: Final[list[Lane]] = []
        self._by_level: Final[dict[int, Lane]] = {}
        self._ageing_seconds: Final = ageing_seconds
        self._in_turn: list[Lane] = []
        self._valid_until = 0.0

    def __len__(self) -> int:
        return sum(map(len, self.lanes))

    def lane(self, level: int) -> Lane:
        """Return the lane of a level, made on first use."""
        lane = self._by_level.get(level)
        if lane is None:
            lane = self._by_level[level] = Lane(level)
            insort(self.lanes, lane, key=lambda one: -one.level)
            self._valid_until = 0.0
        return lane

    def in_turn(self, now: float) -> list[Lane]:
        """Return the lanes in the order in which they are served at `now`.

        A lane gains a level for each `ageing_seconds` that its oldest entry has waited, so nothing starves. The order is
        worked out anew ten times in that span: a decision costs the same, however many levels there are.
        """
        if self._ageing_seconds is None:
            return self.lanes
        if not self._valid_until > now > self._valid_until - self._ageing_seconds:
            self._valid_until = now + self._ageing_seconds / 10
            self._in_turn = sorted(self.lanes, key=lambda lane: -lane.aged_level(now, self._ageing_seconds))
        return self._in_turn

    def pop(self, now: float | None = None) -> Record | None:
        """Take the next record, or None when nothing may be run; without `now`, levels are not aged."""
        for lane in self.lanes if now is None else self.in_turn(now):
            if (record := lane.pop()) is not None:
                return record
        return None

    def top(self, now: float) -> float | None:
        """Return the level, aged, that is served next; None when nothing is queued."""
        for lane in self.in_turn(now):
            if lane.items or lane.urgent:
                return lane.aged_level(now, self._ageing_seconds)
        return None

    def clear(self) -> None:
        """Forget everything."""
        for lane in self.lanes:
            lane.clear()

    def peek_only(self) -> Record | None:
        """Return the one queued record, or None when there is none or more than one."""
        found: Record | None = None
        for lane in self.lanes:
            if lane.items or lane.urgent:
                if found is not None or lane.urgent or len(lane.items) != 1:
                    return None
                found = lane.items[0]
        return found
