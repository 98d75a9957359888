"""The ready queue: what may be run, by level, in the order of submission.

A level is a `Lane`: a deque, and a small heap of batches that other invocations await ("urgent"), which go first within
the level, the most awaited first. Nothing is ever searched for or removed from the middle: a record that was hastened,
or cancelled, leaves a stale entry behind, and an entry counts only while its record may be run (`is_due`). Stale entries
are dropped when they come up, and swept out when they are many.

**Levels.** Nearly all invocations have level 0, whose lane is always looked at. Lanes of other levels are in a heap while
something is queued there, by a rank that does not change while they wait: a level is worth `ageing_seconds` of waiting,
so who is served first is known from the moments of submission alone. A decision costs the logarithm of the number of
levels in use, and a level that is no longer used leaves nothing behind.
"""

from bisect import bisect
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from heapq import heappop, heappush, heapreplace
from itertools import count
from operator import attrgetter
from typing import Final
from weakref import WeakValueDictionary

from pynenc_async.record import Record
from pynenc_async.scheduler.statuses import RUNNABLE

_SWEEP_AT: Final = 64
"""How many dead entries a lane may hold before it is worth while to look for them."""

_number_of: Final = attrgetter("_number")


def is_due(record: Record) -> bool:
    """Whether a record may be run now: by its status, and because neither a delay nor a limit holds it back."""
    return record._status in RUNNABLE and (record._more is None or not record._more.held)


class Lane:
    """The queue of one priority level."""

    __slots__ = ("__weakref__", "_awaited", "_dead", "_queue", "_tickets", "items", "level", "rank", "ticket", "urgent")

    def __init__(self, level: int, queue: "ReadyQueue") -> None:
        self.level: Final = level
        self._queue: Final = queue
        self.items: Final[deque[Record]] = deque()
        self.urgent: Final[list[tuple[int, int, Iterator[Record], int]]] = []
        """By how many await them: batches, each with the number of its first record."""
        self._awaited: Final[dict[int, int]] = {}
        """By that number, how many await it: a waiter that polls is not queued anew each time."""
        self._tickets: Final = count()
        self._dead = 0
        self.rank = 0.0
        """Its place among the lanes when it was last looked at: the lowest goes first."""
        self.ticket: int | None = None
        """The number of its entry in the order of the lanes; None while it has none."""

    def __len__(self) -> int:
        return len(self.items) + len(self.urgent)

    def push(self, record: Record) -> None:
        """Queue a record at the end."""
        self.items.append(record)
        if self.ticket is None:
            self._queue.note(self)

    def put_in_order(self, record: Record) -> None:
        """Queue a record before those that were submitted later."""
        items = self.items
        if not items or record._number < items[0]._number:
            items.appendleft(record)
        else:
            items.insert(bisect(items, record._number, key=_number_of), record)
        self._queue.note(self)

    def pop(self) -> Record | None:
        """Take the next record that may be run, or None."""
        urgent, items = self.urgent, self.items
        while urgent:
            for record in urgent[0][2]:
                if record._status in RUNNABLE and (record._more is None or not record._more.held):
                    self._awaited.pop(urgent[0][3], None)
                    return record
            self._awaited.pop(heappop(urgent)[3], None)
        while items:
            record = items.popleft()
            # `is_due`, without a call
            if record._status in RUNNABLE and (record._more is None or not record._more.held):
                return record
        self._dead = 0
        return None

    def hasten(self, records: Sequence[Record]) -> None:
        """An invocation awaits `records`, which are queued: move them ahead of their level."""
        waiters = records[0]._waiters
        awaited, first = len(waiters) if isinstance(waiters, dict) else 1, records[0]._number
        if self._awaited.get(first) == awaited:
            return
        self._awaited[first] = awaited
        heappush(self.urgent, (-awaited, next(self._tickets), iter(records), first))
        if self.ticket is None:
            self._queue.note(self, records[0])

    def clear(self) -> None:
        """Forget everything."""
        self.items.clear()
        self.urgent.clear()
        self._awaited.clear()

    def note_dead(self) -> None:
        """Count an entry that will never be run; sweep when more than half of the lane is dead."""
        self._dead += 1
        if self._dead >= _SWEEP_AT and self._dead * 2 > len(self.items):
            items = self.items
            for _ in range(len(items)):  # one by one: a finalizer may queue something meanwhile
                record = items.popleft()
                if is_due(record):
                    items.append(record)
            self._dead = 0
            self._queue.note(self)


class ReadyQueue:
    """All lanes, and the order in which they are served."""

    __slots__ = ("_ageing_seconds", "_by_level", "_order", "_tickets", "base", "others")

    def __init__(self, ageing_seconds: float | None = None) -> None:
        self._ageing_seconds: Final = ageing_seconds
        self.base: Final = Lane(0, self)
        """The lane of level 0, which is looked at always: what is queued there need not be noted."""
        self.others: Final[dict[int, Lane]] = {}
        """The lanes of other levels in which something is queued."""
        self._order: Final[list[tuple[float, int, int, Lane]]] = []
        """Their ranks, or lower ones: what a lane has lost since is seen when it comes up."""
        self._tickets: Final = count()
        self._by_level: Final[WeakValueDictionary[int, Lane]] = WeakValueDictionary()

    def __len__(self) -> int:
        return len(self.base) + sum(map(len, self.others.values()))

    def lane(self, level: int) -> Lane:
        """Return the lane of a level, made on first use; it lives as long as something is queued there, or it is held."""
        if level == 0:
            return self.base
        lane = self._by_level.get(level)
        if lane is None:
            lane = self._by_level[level] = Lane(level, self)
        return lane

    def appender(self, level: int) -> Callable[[Record], None]:
        """Return what queues a record at a level: chosen once for a task, not for each of its invocations."""
        return self.base.items.append if level == 0 else self.lane(level).push

    def note(self, lane: Lane, urgent: Record | None = None) -> None:
        """Give a lane its place in the order, where something was queued that may come before what was there."""
        if lane is self.base or not lane:
            return
        rank = self._rank(lane, urgent)
        if lane.ticket is None or rank < lane.rank:
            self.others[lane.level] = lane
            ticket = next(self._tickets)
            heappush(self._order, (rank, -lane.level, ticket, lane))
            lane.rank, lane.ticket = rank, ticket

    def _rank(self, lane: Lane, urgent: Record | None = None) -> float:
        oldest = lane.items[0] if lane.items else urgent
        if oldest is None:
            return lane.rank  # all that is left is urgent: it keeps the place of what was there
        return (oldest._registered_at / self._ageing_seconds if self._ageing_seconds else 0.0) - lane.level

    def next_lane(self) -> Lane | None:
        """Return the lane that is served next, in which there may be nothing but stale entries; None when all are empty."""
        base, order = self.base, self._order
        while order:
            # Between a look and what follows from it there is no call, so nothing is queued in between.
            rank, _, ticket, lane = order[0]
            if lane.ticket != ticket:
                heappop(order)  # it has another place by now
                continue
            if not lane.items and not lane.urgent:
                lane.ticket = None
                del self.others[lane.level]
                heappop(order)
                continue
            current = self._rank(lane)
            entry = (current, -lane.level, ticket, lane)
            if order[0][2] != ticket:
                continue  # something has been queued after all
            if current > rank:
                lane.rank = current
                heapreplace(order, entry)
            else:
                is_next = not base or (current, -lane.level) < (self._rank(base), 0)
                return lane if is_next else base
        return base or None

    def next_rank(self) -> tuple[float, int] | None:
        """Return what tells which of several queues is served first: the one where this is least."""
        lane = self.next_lane()
        return None if lane is None else (self._rank(lane), -lane.level)

    def pop(self) -> Record | None:
        """Take the next record, or None when nothing may be run."""
        while (lane := self.next_lane()) is not None:
            if (record := lane.pop()) is not None:
                return record
        return None

    def clear(self) -> None:
        """Forget everything."""
        for lane in (self.base, *self.others.values()):
            lane.clear()

    def peek_only(self) -> Record | None:
        """Return the one queued record, or None when there is none or more than one."""
        lane = self.base
        if self.others:
            if lane or len(self.others) > 1:
                return None
            (lane,) = self.others.values()
        if lane.urgent or len(lane.items) != 1:
            return None
        return lane.items[0]
