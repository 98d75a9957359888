"""Slots and endings: the way of every record through its statuses.

Every decision is synchronous, so atomic on an event loop by construction. Events come in as method calls (a body returned,
failed, waits); what follows from them is decided and written to the records at once. Effects are callables handed in:
a clock, waiters that are notified.

Invariants, checked by `tests/test_scheduler_model.py` after every step of random programs:

* `in_use` equals the number of records that are PENDING, RUNNING or RESUMED, and never exceeds `limit`;
* a record is queued exactly while it may be run and nothing holds it back;
* a final status never changes; waiters are told exactly once.
"""

from asyncio import CancelledError
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from traceback import format_exception_only
from typing import Final

from pynenc_async.errors import InvocationStatusError
from pynenc_async.record import More, Record
from pynenc_async.scheduler.observers import Observers
from pynenc_async.scheduler.places import Comeback, Place
from pynenc_async.scheduler.ready import Lane, ReadyQueue
from pynenc_async.status import InvocationStatus
from pynenc_async.store.records import Records
from pynenc_async.telemetry import Alarm

REGISTERED: Final = InvocationStatus.REGISTERED
PENDING: Final = InvocationStatus.PENDING
RUNNING: Final = InvocationStatus.RUNNING
PAUSED: Final = InvocationStatus.PAUSED
RESUMED: Final = InvocationStatus.RESUMED
RETRY: Final = InvocationStatus.RETRY
SUCCESS: Final = InvocationStatus.SUCCESS
FAILED: Final = InvocationStatus.FAILED
CANCELLED: Final = InvocationStatus.CANCELLED
WAITS: Final = frozenset(
    {
        InvocationStatus.SCHEDULED,
        REGISTERED,
        InvocationStatus.CONCURRENCY_CONTROLLED,
        InvocationStatus.REROUTED,
        RETRY,
    }
)
HOLDS_SLOT: Final = frozenset({PENDING, RUNNING, RESUMED})


class SchedulerCore:
    """Slots, the ready queue, and what follows when a body returns, fails, waits or comes back."""

    def __init__(
        self,
        *,
        store: Records,
        clock: Callable[[], float],
        max_concurrency: int | None,
        places: Sequence[Place],
        format_id: Callable[[int], str],
        ageing_seconds: float | None,
    ) -> None:
        self.store: Final = store
        self.ready: Final = ReadyQueue(ageing_seconds)
        self._lanes: Final = self.ready.lanes
        self.in_use: int = 0
        self.paused = 0
        self.limit: Final = float("inf") if max_concurrency is None else max_concurrency
        self.now = clock()
        """The time of the last event: a batch of bodies reads the clock once for each, not for each transition."""
        self.clock = clock
        self._places: Final = places
        self._crowded: list[Place] = []
        """The places at which somebody has ever had to queue."""
        self._comebacks: Final[deque[Comeback]] = deque()
        self._returning = 0
        """How many want to come back, to the loop or to a place."""
        self.format_id: Final = format_id
        self.observers: Observers | None = None
        self._finished: Final = store.finished
        self._retain_count: Final = store.retain_count

    # -- what policies decide ------------------------------------------------------------------------------------------

    def retry_delay(self, record: Record, error: BaseException) -> float | None:
        """How many seconds the retry after `error` waits; None: there is none."""
        raise NotImplementedError

    def retry_after(self, record: Record, delay: float) -> None:
        """Let `record`, which is in RETRY, be run again in `delay` seconds."""
        raise NotImplementedError

    def verdict(self, record: Record, error: BaseException) -> BaseException:
        """What the error of a body means: one that was told to stop because of its timeout has timed out."""
        raise NotImplementedError

    def let_go(self, record: Record, more: More) -> None:
        """An attempt is over: what it held for its policies is free."""
        raise NotImplementedError

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
        queued = 0
        for lane in self._lanes:
            if lane.items or lane.urgent:
                queued += len(lane.items) + len(lane.urgent)
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
        lanes = self._lanes if len(self._lanes) == 1 else self.ready.in_turn(self.now)
        for lane in lanes:
            items = lane.items
            if items and not lane.urgent:
                # The usual way once more, without a call: see `succeeded`. With a permit it is still the usual way.
                record = items[0]
                more = record._more
                if (more is None or not (more.held or more.trail or more.watch)) and record._task.place is None:
                    items.popleft()
                    if record._status is REGISTERED:
                        self.in_use += 1
                        record._status = RUNNING
                        record._started_at = self.now
                        return record
            while (record := lane.pop()) is not None:
                place = record._task.place
                if place is None and record._more is None:
                    self.in_use += 1
                    record._status = RUNNING
                    record._started_at = self.now
                    return record
                if place is None or place.has_room():
                    return self._begin(record)
                self._queue_at(place, record, lane.level)
        return None

    def _take_from_place(self) -> Record | None:
        for place in self._crowded:
            if place.has_room() and (record := place.queue.pop()) is not None:
                return self._begin(record)
        return None

    def _queue_at(self, place: Place, record: Record, level: int) -> None:
        if place not in self._crowded:
            self._crowded.append(place)
        place.queue.lane(level).items.append(record)

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
        self.ready.lane(record._task.options.priority).items.append(record)

    def take_only(self, record: Record) -> bool:
        """Start `record`, which is all that is queued, if a slot is free; say whether it was started."""
        if self.in_use >= self.limit or self._comebacks or self.ready.pop() is not record:
            return False
        self.now = self.clock()
        self._begin(record)
        return True

    def _begin(self, record: Record) -> Record:
        self.in_use += 1
        record._started_at = self.now
        place = record._task.place
        on_loop = place is None or record._task.function.drive is not None
        record._status = RUNNING if on_loop else PENDING  # whoever begins the body at a place makes it RUNNING
        if place is not None:
            place.in_use += 1
        if record._more is not None:
            self.note(record, PENDING, record._retries + 1)
            if on_loop:
                self.note(record, RUNNING, record._retries + 1)
        return record

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

    # -- endings -------------------------------------------------------------------------------------------------------

    def succeeded(self, record: Record, value: object) -> None:
        """The body returned `value`."""
        waiters = record._waiters
        if record._more is not None or isinstance(waiters, list) or record._status is not RUNNING:
            self._succeeded_otherwise(record, value)
            return
        # The usual way once more, without the cases that such a record cannot be in: half of the time of a no-op is here.
        clock = self.clock  # looked up first: Python 3.11 is slow at calling what an attribute holds
        record._ended_at = self.now = clock()
        record._status = SUCCESS
        record._outcome = value
        record._context = record._driver = None
        self.in_use -= 1
        place = record._task.place
        if place is not None:
            place.in_use -= 1
        if self._returning:
            self._grant()
        parent = record._parent
        if isinstance(parent, Record):
            record._parent = parent._number
            more = parent._more
            if more is not None and more.children is not None:
                more.children.pop(record._number, None)
        if waiters is not None:
            record._waiters = None
            waiters.notify(record)
        finished = self._finished
        finished.append(record)
        if len(finished) > self._retain_count:
            self.store.drop_oldest()

    def _succeeded_otherwise(self, record: Record, value: object) -> None:
        more = record._more
        if more is not None and more.handed is not None:
            more.handed.deliver(value, returned=True)
        elif more is None or not self._end_simply(record, more, SUCCESS, value):
            self.end(record, SUCCESS, value)

    def failed(self, record: Record, error: BaseException) -> None:
        """The body raised `error`: retry it, or end it."""
        more = record._more
        if more is not None:
            if more.handed is not None:
                more.handed.deliver(error, returned=False)
                return
            if more.timed_out is not None:
                error = self.verdict(record, error)
        if isinstance(error, CancelledError):
            self._stopped(record, more)
            return
        cancelled = more is not None and more.cancel_reason is not None
        delay = None if cancelled else self.retry_delay(record, error)
        if delay is not None:
            self._retry(record, error, delay)
        else:
            record.need_more().traceback = error.__traceback__
            self.end(record, FAILED, error)

    def _stopped(self, record: Record, more: More | None) -> None:
        """The body ended by a cancellation. No error is kept: it would keep the body's frames, and waiters get their own."""
        if more is None or more.cancel_reason is None:
            self.end(record, CANCELLED, None, "the body raised CancelledError")
        elif not self._end_simply(record, more, CANCELLED, None):
            self.end(record, CANCELLED, None, more.cancel_reason)

    def _end_simply(self, record: Record, more: More, status: InvocationStatus, outcome: object) -> bool:
        """`end` once more, for a body of which the time slots say all and which has left little behind, if it is such a one.

        It is a third of what the scheduler does about such an end. The reason is that of its cancellation, if any.
        """
        if (
            more.trail is not None
            or more.watch is not None
            or more.children is not None
            or more.blocked_on is not None
            or more.journal is not None
            or more.stream is not None
            or record._status is not RUNNING
        ):
            return False
        clock = self.clock
        record._ended_at = self.now = clock()
        record._status = status
        record._outcome = outcome
        record._context = record._driver = None
        self.in_use -= 1
        task = record._task
        if task.place is not None:
            task.place.in_use -= 1
        if self._returning:
            self._grant()
        parent = record._parent
        if isinstance(parent, Record):
            self._leave_family(record, parent)
        if task.has_policies or more.deadline is not None:
            self.let_go(record, more)
        waiters, record._waiters = record._waiters, None
        self.store.keep_finished(record)
        if isinstance(waiters, list):
            for waiter in waiters:
                waiter.notify(record)
        elif waiters is not None:
            waiters.notify(record)
        return True

    def end(self, record: Record, status: InvocationStatus, outcome: object, reason: str = "") -> None:
        """Write the final status, give back what the record holds, and tell whoever waits."""
        self.end_at(self.clock(), record, status, outcome, reason)

    def end_at(self, now: float, record: Record, status: InvocationStatus, outcome: object, reason: str) -> None:
        """The same for an end that was reached at a moment that may have passed."""
        self.now = now
        if record._status in HOLDS_SLOT:
            self._give_slot_back(record)
        elif not record._status.can_transition_to(status):
            raise InvocationStatusError(
                f"invocation {self.format_id(record._number)} is {record._status} and cannot become {status}"
            )
        elif record._status is PAUSED:
            self.paused -= 1
        if reason:
            self._keep_reason(record, reason)
        self.note(record, status, self._attempt(record), reason)
        record._status = status
        record._ended_at = now
        record._outcome = outcome
        record._context = record._driver = None
        if isinstance(record._parent, Record):
            self._leave_family(record, record._parent)
        if record._more is not None:
            self._clear(record, record._more)
        waiters, record._waiters = record._waiters, None
        if status is FAILED:
            self._sound_alarm(record)
        else:
            self.store.keep_finished(record)
        for waiter in waiters if isinstance(waiters, list) else (waiters,):
            if waiter is not None:
                waiter.notify(record)

    def _keep_reason(self, record: Record, reason: str) -> None:
        record.need_more().end_reason = reason
        if record._status is not RUNNING and record._status is not REGISTERED:
            record.leave_path()  # the time slots say the rest only of the usual ways

    def _attempt(self, record: Record) -> int:
        """The attempt to which an end belongs: a retry that is handed out counts, though it has not begun."""
        if record._started_at is None:
            return 0
        return record._retries + (record._status is not RETRY)

    def _clear(self, record: Record, more: More) -> None:
        more.children = more.blocked_on = more.journal = more.watch = None
        if more.handed is not None:
            more.handed.abandon()
            more.handed = None
        self.let_go(record, more)
        if more.stream is not None:
            more.stream.close()

    def _leave_family(self, record: Record, parent: Record) -> None:
        record._parent = parent._number
        if parent._more is not None and parent._more.children is not None:
            parent._more.children.pop(record._number, None)

    def _sound_alarm(self, record: Record) -> None:
        """Log the failure when the last handle goes without anybody having looked at the error."""
        record.need_more().alarm = Alarm(record._task.task_id, self.format_id(record._number), record._outcome)
        self.store.keep_twin(record)

    def _retry(self, record: Record, error: BaseException, delay: float) -> None:
        self.now = self.clock()
        record.leave_path()
        self.note(record, RETRY, record._retries + 1, _describe(error))
        self._give_slot_back(record)
        record._status = RETRY
        record._retries += 1
        record._driver = None
        more = record.need_more()
        if more.journal is not None:
            more.journal.rewind(error)
        self.let_go(record, more)
        self.retry_after(record, delay)

    # -- waiting for another invocation --------------------------------------------------------------------------------

    def pause(self, record: Record) -> None:
        """The body awaits another invocation: its slot is free until it comes back."""
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

    def _give_slot_back(self, record: Record) -> None:
        self.in_use -= 1
        place = record._task.place
        if place is not None:
            place.in_use -= 1
        if self._returning:
            self._grant()


def _describe(error: BaseException) -> str:
    return type(error).__name__ + ": " + "".join(format_exception_only(error)).strip().partition(": ")[2]
