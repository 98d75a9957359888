"""Slots: who gets one next, and how one is given up and taken again while a body awaits another invocation.

Every decision is synchronous, so atomic on an event loop by construction. `endings` has what follows when a body ends.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pynenc_async.record import Record
from pynenc_async.scheduler.observers import Observers
from pynenc_async.scheduler.places import Comeback, Place
from pynenc_async.scheduler.ready import Lane, ReadyQueue
from pynenc_async.scheduler.statuses import HOLDS_SLOT, PAUSED, PENDING, REGISTERED, RESUMED, RUNNABLE, RUNNING, WAITS
from pynenc_async.scheduler.turnstile import Turnstile
from pynenc_async.scheduler.unseen import Unseen
from pynenc_async.status import InvocationStatus
from pynenc_async.store.records import Records
from pynenc_async.telemetry import LogFailures


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What a scheduler is given."""

    store: Records
    clock: Callable[[], float]
    """The time of day."""
    max_concurrency: int | None
    """How many bodies run at once; None: any number."""
    places: Sequence[Place]
    """All places outside of the loop."""
    format_id: Callable[[int], str]
    ageing_seconds: float | None
    """After how long a wait who waits is served a level higher; None: never."""
    log_failures: LogFailures = LogFailures.UNSEEN


class Slots:
    """The slots, those who have one, the ready queue, and those who want their slot back."""

    def __init__(self, wiring: Wiring) -> None:
        self.store: Final = wiring.store
        self.format_id: Final = wiring.format_id
        self.clock = wiring.clock
        self.now = wiring.clock()
        """The time of the last event: a batch of bodies reads the clock once for each, not for each transition."""
        self.limit: Final = float("inf") if wiring.max_concurrency is None else wiring.max_concurrency
        self.in_use: int = 0
        self.paused: int = 0
        self.ageing_seconds: Final = wiring.ageing_seconds
        self.ready: Final = ReadyQueue(wiring.ageing_seconds)
        self._base: Final = self.ready.base
        self._other_lanes: Final = self.ready.others
        self._places: Final = wiring.places
        self._crowded: list[Place] = []
        """The places at which somebody has ever had to queue."""
        self._comebacks: Final[deque[Comeback]] = deque()
        self._returning = 0
        """How many want to come back, to the loop or to a place."""
        self.observers: Observers | None = None
        self.log_failures: Final = wiring.log_failures
        self.unseen: Final = Unseen()
        self._finished: Final = wiring.store.finished
        self.turnstile: Final = Turnstile()
        """For decisions of several steps: a finalizer or a signal handler may ask for another one in between."""

    # -- admission -----------------------------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """How many invocations have been submitted and have not begun, or wait for their next attempt."""
        return len(self.store.records) - len(self._finished) - self.in_use - self.paused

    def those_waiting(self) -> Iterator[Record]:
        """Them, the newest first: looked up one by one, and seldom."""
        return (record for record in reversed(self.store.records.values()) if record._status in WAITS)

    def startable(self, most: int) -> int:
        """How many records `take` could start now, counted up to `most`; stale entries count as well."""
        if self.in_use >= self.limit or self._comebacks:
            return 0
        queued = len(self._base.items) + len(self._base.urgent)
        for lane in self._other_lanes.values():
            if queued >= most:
                break
            queued += len(lane)
        for place in self._crowded:
            if place.has_room():
                queued += len(place.queue)
        return int(min(queued, most, self.limit - self.in_use)) if queued else 0

    def take(self) -> Record | None:
        """Start the next record (PENDING, then RUNNING) and return it; None when there is none, or no slot for it."""
        if self.in_use >= self.limit or self._comebacks:
            return None
        if self._crowded and (record := self._take_from_place()) is not None:
            return record
        if self._other_lanes:
            return self._take_by_level()
        lane = self._base
        items = lane.items
        if items and not lane.urgent:
            # The usual way once more, without a call: see `Endings.succeeded`. With a permit it is still the usual way.
            record = items[0]
            more = record._more
            usual = more is None or not (more.held or more.trail or more.watch or more.is_stored)
            if usual and record._task.place is None:
                items.popleft()
                if record._status is REGISTERED:
                    self.in_use += 1
                    record._started_at = self.now
                    record._status = RUNNING
                    return record
        return self._take_from(lane)

    def _take_by_level(self) -> Record | None:
        while (lane := self.ready.next_lane()) is not None:
            if (record := self._take_from(lane)) is not None:
                return record
        return None

    def _take_from(self, lane: Lane) -> Record | None:
        """Start the next of a lane; what has no room at its place queues there."""
        while (record := lane.pop()) is not None:
            place = record._task.place
            if place is None and record._more is None:
                self.in_use += 1
                record._started_at = self.now
                record._status = RUNNING
                return record
            if place is None or place.has_room():
                if self._begin(record):
                    return record
                continue
            self._queue_at(place, record, lane.level)
        return None

    def _take_from_place(self) -> Record | None:
        """Start what came up while its place was full, unless something of a higher level is queued for all."""
        chosen = None
        first = self.ready.next_rank()
        for place in self._crowded:
            rank = place.queue.next_rank() if place.has_room() else None
            if rank is not None and (first is None or rank <= first):
                chosen, first = place, rank
        record = None if chosen is None else chosen.queue.pop()
        return record if record is not None and self._begin(record) else None

    def _queue_at(self, place: Place, record: Record, level: int) -> None:
        if place not in self._crowded:
            self._crowded.append(place)
        place.queue.lane(level).push(record)

    def hasten(self, records: Sequence[Record]) -> None:
        """An invocation awaits `records` of one task, which are queued: move them ahead of their level."""
        for lane in self._lanes_of(records[0]):
            if lane.urgent or not lane.items or lane.items[0] is not records[0]:
                lane.hasten(records)

    def _lanes_of(self, record: Record) -> Sequence[Lane]:
        """Where a queued record may stand."""
        level, place = record._task.options.priority, record._task.place
        lane = self.ready.lane(level)
        return (lane,) if place is None else (lane, place.queue.lane(level))

    def queue(self, record: Record) -> None:
        """Put a record that may be run at the end of its level."""
        self.ready.lane(record._task.options.priority).push(record)

    def take_only(self, record: Record) -> bool:
        """Start `record`, which is all that is queued, if a slot is free; say whether it was started."""
        if self.in_use >= self.limit or self._comebacks or self.ready.pop() is not record:
            return False
        self.now = self.clock()
        return self._begin(record)

    def _begin(self, record: Record) -> bool:
        """Give `record` a slot, unless a finalizer or a signal handler has just cancelled it; say whether it has one."""
        place = record._task.place
        on_loop = place is None or record._task.function.drive is not None  # `begins_on_loop`
        # From here to the status without a call: nothing can come in between.
        if record._status not in RUNNABLE:
            return False
        self.in_use += 1
        if place is not None:
            place.in_use += 1
        record._started_at = self.now
        record._status = RUNNING if on_loop else PENDING  # whoever begins the body at a place makes it RUNNING
        if record._more is not None:
            self.note(record, PENDING, record._retries + 1)
            if on_loop:
                self.note(record, RUNNING, record._retries + 1)
        return True

    def note(self, record: Record, status: InvocationStatus, attempt: int, reason: str = "") -> None:
        """Write a transition down, unless the time slots of the record say it all, and tell who watches."""
        self.note_at(self.now, record, status, attempt, reason)

    def note_at(self, now: float, record: Record, status: InvocationStatus, attempt: int, reason: str = "") -> None:
        """The same for a transition that was made at another moment; callable in any thread."""
        more, observers = record._more, self.observers
        if more is None:
            return
        if more.trail is not None:
            more.trail.append((status, now, attempt, reason))
            if observers is not None and observers.observations:
                observers.announce(record, more.trail[-2][0], status, now, attempt, reason)
        if more.watch is not None:
            more.watch.moved(record, status, now, attempt, reason)

    # -- waiting for another invocation --------------------------------------------------------------------------------

    def pause(self, record: Record) -> None:
        """The body awaits another invocation: its slot is free until it comes back."""
        if record._status is PAUSED:
            return  # it has run the loop itself, and has not had its slot since
        self.now = self.clock()
        record.leave_path()
        self.note(record, PAUSED, record._retries + 1)
        self._give_slot_back(record)
        record._status = PAUSED
        self.paused += 1

    def come_back(self, record: Record, wanted: Callable[[], bool]) -> None:
        """The paused body can go on: give it a slot (RESUMED) now, or before any new work.

        `wanted` is called when the slot is there, and says whether to take it; it lets the body know.
        """
        place = record._task.place
        (self._comebacks if place is None else place.comebacks).append((record, wanted))
        self._returning += 1
        self._grant()

    def forget_comebacks(self) -> None:
        """Nobody comes back: the loop is gone."""
        self._returning = 0
        self._comebacks.clear()
        for place in self._places:
            place.comebacks.clear()

    def _grant(self) -> None:
        while self._comebacks and self.in_use < self.limit:
            self._resume(*self._comebacks.popleft())
        for place in self._places:
            while place.comebacks and self.in_use < self.limit and place.in_use < place.limit:
                self._resume(*place.comebacks.popleft())

    def _resume(self, record: Record, wanted: Callable[[], bool]) -> None:
        self._returning -= 1
        if record._status is not PAUSED:
            wanted()  # it has ended, abandoned while it waited here: what the body has left to do needs no slot
            return
        if wanted():
            self.resumed(record)

    def resume_late(self, record: Record) -> None:
        """The body ends: if it awaited others in a loop that it ran itself, it has gone on without a slot."""
        if record._status is PAUSED:
            self.resumed(record)

    def resumed(self, record: Record) -> None:
        """The paused body goes on."""
        self.now = self.clock()
        record.leave_path()
        self.note(record, RESUMED, record._retries + 1)
        record._status = RESUMED
        self.paused -= 1
        self.in_use += 1
        place = record._task.place
        if place is not None:
            place.in_use += 1

    def recount(self) -> None:
        """Count anew who has a slot: something was raised in the midst of a decision."""
        records = [record for record in self.store.records.values() if record._ended_at is None]
        holders = [record for record in records if record._status in HOLDS_SLOT]
        self.in_use = len(holders)
        self.paused = sum(record._status is PAUSED for record in records)
        for place in self._places:
            place.in_use = place.left_behind + sum(record._task.place is place for record in holders)
        self._grant()

    def _give_slot_back(self, record: Record) -> None:
        self.in_use -= 1
        place = record._task.place
        if place is not None:
            place.in_use -= 1
        if self._returning:
            self._grant()


def begins_on_loop(record: Record) -> bool:
    """Whether the loop begins an attempt: its body, or what surrounds a body at another place."""
    return record._task.place is None or record._task.function.drive is not None
