"""The scheduler: every decision about invocations, each one synchronous, so atomic on an event loop by construction.

Events come in as method calls (a body suspended, failed, waits; somebody cancels); what follows from them is decided and
written to the records at once. Effects are callables handed in: a clock, a timer, waiters that are notified.

Invariants, checked by `tests/test_scheduler_model.py` after every step of random programs:

* `in_use` equals the number of records that are PENDING, RUNNING or RESUMED, and never exceeds `limit`;
* a record is queued exactly while it may be run, or its retry timer runs;
* a final status never changes; waiters are told exactly once.
"""

from asyncio import CancelledError
from collections import deque
from collections.abc import Callable, Sequence
from traceback import format_exception_only
from typing import Final, Protocol

from pynenc_async.errors import InvocationStatusError, RetryError
from pynenc_async.record import More, Record
from pynenc_async.scheduler.ready import Lane, ReadyQueue
from pynenc_async.status import InvocationStatus
from pynenc_async.store.memory import MemoryStore
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
HOLDS_SLOT: Final = frozenset({PENDING, RUNNING, RESUMED})


class Timer(Protocol):
    """A running timer."""

    def cancel(self) -> None:
        """Stop it."""
        ...


Comeback = tuple[Record, Callable[[], bool]]
"""A paused record that wants its slot back, and whether somebody still wants that: asked once, when a slot is free."""


class Scheduler:
    """Slots, the ready queue, and the way of every record through its statuses."""

    def __init__(
        self,
        *,
        store: MemoryStore,
        clock: Callable[[], float],
        max_concurrency: int | None,
        max_threads: int,
        format_id: Callable[[int], str],
    ) -> None:
        self.store: Final = store
        self.ready: Final = ReadyQueue()
        self._lanes: Final = self.ready.lanes
        self.in_use = 0
        self.limit: Final = float("inf") if max_concurrency is None else max_concurrency
        self.threads_in_use = 0
        self.max_threads = max_threads
        self.ahead = 0
        """How many records more than there are threads may be handed to them: see `execution.threads`."""
        self.now = clock()
        """The time of the last event: a batch of bodies reads the clock once for each, not for each transition."""
        self.clock = clock
        self.start_timer: Callable[[float, Callable[[], None]], Timer] = _no_timer
        self._for_threads: Final = ReadyQueue()
        """Records that came up while every thread was busy; older than anything in `ready`."""
        self._comebacks: Final[deque[Comeback]] = deque()
        self._thread_comebacks: Final[deque[Comeback]] = deque()
        self._format_id: Final = format_id
        self._finished: Final = store.finished
        self._retain_count: Final = store.retain_count

    # -- admission -----------------------------------------------------------------------------------------------------

    def startable(self, most: int) -> int:
        """How many records `take` could start now, counted up to `most`; stale entries count as well."""
        if self.in_use >= self.limit or self._comebacks:
            return 0
        queued = 0
        for lane in self._lanes:
            queued += len(lane.items) + len(lane.urgent)
        if self._for_threads.lanes and self._thread_is_free():
            queued += len(self._for_threads)
        return int(min(queued, most, self.limit - self.in_use))

    def take(self) -> Record | None:
        """Start the next record (PENDING, then RUNNING) and return it; None when there is none, or no slot for it."""
        if self.in_use >= self.limit or self._comebacks:
            return None
        if self._for_threads.lanes and self._thread_is_free():
            record = self._for_threads.pop()
            if record is not None:
                return self._begin(record)
        for lane in self._lanes:
            items = lane.items
            if items and not lane.urgent and items[0]._more is None and not items[0]._task.in_thread:
                # The usual way once more, without a call: see `succeeded`.
                record = items.popleft()
                if record._status is REGISTERED:
                    self.in_use += 1
                    record._status = RUNNING
                    record._started_at = self.now
                    return record
            while (record := lane.pop()) is not None:
                if not record._task.in_thread or self._thread_is_free():
                    return self._begin(record)
                self._for_threads.lane(lane.level).items.append(record)
        return None

    def _thread_is_free(self) -> bool:
        return self.threads_in_use < self.max_threads + self.ahead and not self._thread_comebacks

    def hasten(self, records: Sequence[Record]) -> None:
        """An invocation awaits `records` of one task, which are queued: move them ahead of their level."""
        for lane in self._lanes_of(records[0]):
            if lane.urgent or not lane.items or lane.items[0] is not records[0]:
                lane.hasten(records)

    def _lanes_of(self, record: Record) -> Sequence[Lane]:
        """Where a queued record may stand."""
        task = record._task
        lane = self.ready.lane(task.options.priority)
        return (lane, self._for_threads.lane(task.options.priority)) if task.in_thread else (lane,)

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
        if record._task.in_thread:
            self.threads_in_use += 1
        more, attempt = record._more, record._retries + 1
        if more is not None and more.trail is not None:
            more.trail.append((PENDING, self.now, attempt, ""))
        record._started_at = self.now
        if record._task.in_thread:
            record._status = PENDING  # the thread that begins the body makes it RUNNING
        else:
            record._status = RUNNING
            if more is not None and more.trail is not None:
                more.trail.append((RUNNING, self.now, attempt, ""))
        return record

    # -- endings -------------------------------------------------------------------------------------------------------

    def succeeded(self, record: Record, value: object) -> None:
        """The body returned `value`."""
        waiters = record._waiters
        if record._more is not None or isinstance(waiters, list) or record._status is not RUNNING:
            self._end(record, SUCCESS, value)
            return
        # The usual way once more, without the cases that such a record cannot be in: half of the time of a no-op is here.
        record._ended_at = self.now = self.clock()
        record._status = SUCCESS
        record._outcome = value
        record._context = record._driver = None
        self.in_use -= 1
        if record._task.in_thread:
            self.threads_in_use -= 1
        if self._comebacks or self._thread_comebacks:
            self._grant()
        if record._parent is not None:
            self._leave_family(record, record._parent)
        if waiters is not None:
            record._waiters = None
            waiters.notify(record)
        finished = self._finished
        finished.append(record)
        if len(finished) > self._retain_count:
            self.store.drop_oldest()

    def failed(self, record: Record, error: BaseException) -> None:
        """The body raised `error`: retry it, or end it."""
        more = record._more
        if isinstance(error, CancelledError):
            reason = more.cancel_reason if more is not None else None
            self._end(record, CANCELLED, error, "the body raised CancelledError" if reason is None else reason)
        elif self._retries(record, error):
            self._retry(record, error)
        else:
            record.need_more().traceback = error.__traceback__
            self._end(record, FAILED, error)

    def _retries(self, record: Record, error: BaseException) -> bool:
        if record._more is not None and record._more.cancel_reason is not None:
            return False
        retries: bool = record._task.options.retries(error, record._retries)
        return retries

    def _end(self, record: Record, status: InvocationStatus, outcome: object, reason: str = "") -> None:
        """Write the final status, give back what the record holds, and tell whoever waits."""
        now = self.now = self.clock()
        if record._status in HOLDS_SLOT:
            self._give_slot_back(record)
        elif not record._status.can_transition_to(status):
            raise InvocationStatusError(
                f"invocation {self._format_id(record._number)} is {record._status} and cannot become {status}"
            )
        more = record._more
        if reason or (more is not None and more.trail is not None):
            record.leave_path().append((status, now, self._attempt(record), reason))
            more = record._more
        record._status = status
        record._ended_at = now
        record._outcome = outcome
        record._context = record._driver = None
        parent = record._parent
        if parent is not None:
            self._leave_family(record, parent)
        if more is not None:
            self._clear(more)
        waiters, record._waiters = record._waiters, None
        if status is FAILED:
            self._sound_alarm(record)
        else:
            self.store.keep_finished(record)
        if isinstance(waiters, list):
            for waiter in waiters:
                waiter.notify(record)
        elif waiters is not None:
            waiters.notify(record)

    def _attempt(self, record: Record) -> int:
        """The attempt to which an end belongs: a retry that is handed out counts, though it has not begun."""
        if record._started_at is None:
            return 0
        return record._retries + (record._status is not RETRY)

    def _clear(self, more: More) -> None:
        more.children = more.blocked_on = None
        if more.retry_timer is not None:
            more.retry_timer.cancel()
            more.retry_timer = None
        if more.stream is not None:
            more.stream.close()

    def _leave_family(self, record: Record, parent: object) -> None:
        if isinstance(parent, Record):
            record._parent = parent._number
            if parent._more is not None and parent._more.children is not None:
                parent._more.children.pop(record._number, None)

    def _sound_alarm(self, record: Record) -> None:
        """Log the failure when the last handle goes without anybody having looked at the error."""
        record.need_more().alarm = Alarm(record._task.task_id, self._format_id(record._number), record._outcome)
        self.store.keep_twin(record)

    def _retry(self, record: Record, error: BaseException) -> None:
        now = self.now = self.clock()
        trail = record.leave_path()
        trail.append((RETRY, now, record._retries + 1, _describe(error)))
        self._give_slot_back(record)
        record._status = RETRY
        record._retries += 1
        record._driver = None
        delay = error.after if isinstance(error, RetryError) else None
        if delay is not None and delay > 0:
            record.need_more().retry_timer = self.start_timer(delay, lambda: self.retry_due(record))
        else:
            self.queue(record)

    def retry_due(self, record: Record) -> None:
        """The delay before the next attempt is over."""
        record.need_more().retry_timer = None
        self.queue(record)

    # -- waiting for another invocation --------------------------------------------------------------------------------

    def pause(self, record: Record) -> None:
        """The body awaits another invocation: its slot is free until it comes back."""
        now = self.now = self.clock()
        record.leave_path().append((PAUSED, now, record._retries + 1, ""))
        self._give_slot_back(record)
        record._status = PAUSED

    def come_back(self, record: Record, wanted: Callable[[], bool]) -> None:
        """The paused body can go on: give it a slot (RESUMED) now, or before any new work.

        `wanted` is called when the slot is there, and says whether to take it; it lets the body know.
        """
        (self._thread_comebacks if record._task.in_thread else self._comebacks).append((record, wanted))
        self._grant()

    def forget_comebacks(self) -> None:
        """Nobody comes back: the loop is gone."""
        self._comebacks.clear()
        self._thread_comebacks.clear()

    def _grant(self) -> None:
        while self._comebacks and self.in_use < self.limit:
            self._resume(*self._comebacks.popleft())
        while self._thread_comebacks and self.in_use < self.limit and self.threads_in_use < self.max_threads:
            self._resume(*self._thread_comebacks.popleft())

    def _resume(self, record: Record, wanted: Callable[[], bool]) -> None:
        if record._status is not PAUSED or not wanted():
            return
        self.now = self.clock()
        record.leave_path().append((RESUMED, self.now, record._retries + 1, ""))
        record._status = RESUMED
        self.in_use += 1
        if record._task.in_thread:
            self.threads_in_use += 1

    def _give_slot_back(self, record: Record) -> None:
        self.in_use -= 1
        if record._task.in_thread:
            self.threads_in_use -= 1
        if self._comebacks or self._thread_comebacks:
            self._grant()

    # -- cancellation --------------------------------------------------------------------------------------------------

    def cancel(self, record: Record, reason: str) -> None:
        """Cancel an invocation and its living children: at once where the body is not under way, else by asking it.

        A body is asked once: asking again would cut the cleaning up short.
        """
        waiting = deque([(record, reason)])
        while waiting:
            record, reason = waiting.popleft()
            more = record.need_more()
            if record._ended_at is None and more.cancel_reason is None:
                more.cancel_reason = reason
                children = list((more.children or {}).values())
                self._stop(record, reason)
                because = f"its parent {self._format_id(record._number)} was cancelled"
                waiting.extend((child, because) for child in children)

    def _stop(self, record: Record, reason: str) -> None:
        driver = record._driver
        if record._status is PENDING and driver.revoke():
            if record.need_more().trail is None:
                record._started_at = None  # it never began, and its history need not say that it was handed out
            self._end(record, CANCELLED, None, reason or "cancelled before it started")
        elif driver is not None:
            driver.cancel(reason)
        else:
            self._end(record, CANCELLED, None, reason or "cancelled before it started")
            for lane in self._lanes_of(record):
                lane.note_dead()

    def abandon(self, record: Record, reason: str) -> None:
        """The loop that ran the body is gone: the body will never report, so its end is written here."""
        if record._ended_at is None:
            if record._status is PENDING:
                record._driver.revoke()
            self._end(record, CANCELLED, None, reason)


def _no_timer(_delay: float, _callback: Callable[[], None]) -> Timer:
    raise RuntimeError("the scheduler is not bound to a loop")


def _describe(error: BaseException) -> str:
    return type(error).__name__ + ": " + "".join(format_exception_only(error)).strip().partition(": ")[2]
