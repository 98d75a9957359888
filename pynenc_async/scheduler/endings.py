"""Endings: what follows when a body returns, fails or is stopped. Who gets a slot is decided in `slots`.

Every decision is synchronous, so atomic on an event loop by construction. Events come in as method calls (a body returned,
failed, waits); what follows from them is decided and written to the records at once. Effects are callables handed in:
a clock, waiters that are notified.

Invariants, checked by `tests/test_scheduler_model.py` after every step of random programs:

* `in_use` equals the number of records that are PENDING, RUNNING or RESUMED, and never exceeds `limit`;
* a record is queued exactly while it may be run and nothing holds it back;
* a final status never changes; waiters are told exactly once.
"""

from asyncio import CancelledError

from pynenc_async.errors import InvocationStatusError
from pynenc_async.family import NOBODY_CANCELLED, leave_family
from pynenc_async.record import More, Record
from pynenc_async.scheduler.slots import Slots
from pynenc_async.scheduler.statuses import (
    CANCELLED,
    FAILED,
    HOLDS_SLOT,
    PAUSED,
    REGISTERED,
    RETRY,
    RUNNING,
    SUCCESS,
)
from pynenc_async.scheduler.telling import tell_each, tell_waiters
from pynenc_async.status import InvocationStatus
from pynenc_async.telemetry import Alarm, LogFailures, log
from pynenc_async.user_errors import brief, is_a, traceback_of


class Endings(Slots):
    """What follows when a body returns, fails, or is stopped."""

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

    # -- endings -------------------------------------------------------------------------------------------------------

    def succeeded(self, record: Record, value: object) -> None:
        """The body returned `value`."""
        waiters = record._waiters
        if record._more is not None or isinstance(waiters, dict) or record._status is not RUNNING:
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
        finished, store = self._finished, self.store
        finished.append(record)
        if len(finished) > store.look_at:
            store.look()

    def _succeeded_otherwise(self, record: Record, value: object) -> None:
        more = record._more
        if more is not None and more.handed is not None:
            more.handed.deliver(value, returned=True)
        else:
            self.resume_late(record)
            self.end_at(self.clock(), record, SUCCESS, value, "")

    def failed(self, record: Record, error: BaseException) -> None:
        """The body raised `error`: retry it, or end it."""
        self.resume_late(record)
        more = record._more
        if more is not None:
            if more.handed is not None:
                more.handed.deliver(error, returned=False)
                return
            if more.timed_out is not None:
                error = self.verdict(record, error)
        if is_a(error, CancelledError):  # which is not kept: it would keep the body's frames
            reason = None if more is None else more.cancel_reason
            self.end(record, CANCELLED, None, NOBODY_CANCELLED if reason is None else reason)
            return
        # Here runs code of users, before anything has changed; it may cancel the invocation, too.
        delay = None if _is_cancelled(record) else self.retry_delay(record, error)
        reason = "" if delay is None else brief(error)
        self.turnstile.enter(self._retry_or_end, record, error, delay, reason)

    def _retry_or_end(self, record: Record, error: BaseException, delay: float | None, reason: str) -> None:
        if delay is not None and not _is_cancelled(record):
            self._retry(record, error, delay, reason)
        else:
            record.need_more().traceback = traceback_of(error)
            self.end(record, FAILED, error)

    def mend(self, record: Record, error: BaseException) -> None:
        """Bring an invocation to its end whose beginning or end was broken off, by a full stack or by a signal."""
        self.recount()
        if record._status is RETRY:
            self.retry_after(record, 0.0)  # what was broken off is its way back into the queue
            return
        if record._ended_at is None:
            self.failed(record, error)
            return
        record._context = record._driver = None
        if isinstance(record._parent, Record):
            leave_family(record, record._parent)
        if record._more is not None:
            self._clear(record, record._more)
        tell_waiters(record)
        if all(one._number != record._number for one in self._finished):
            self.store.keep_finished(record)

    def end(self, record: Record, status: InvocationStatus, outcome: object, reason: str = "") -> None:
        """Let an invocation end: with a store, once that is written down."""
        self.end_at(self.clock(), record, status, outcome, reason)

    def end_at(self, now: float, record: Record, status: InvocationStatus, outcome: object, reason: str) -> None:
        """Write the final status, give back what the record holds, and tell whoever waits; the moment may have passed."""
        more = record._more
        if more is not None and _is_simple(record, more, status, reason):
            self._end_simply(now, record, more, status, outcome)
        else:
            self._end_in_full(now, record, status, outcome, reason)

    def _end_simply(self, now: float, record: Record, more: More, status: InvocationStatus, outcome: object) -> None:
        """`end_at` once more, for what is simple: a third of the work."""
        record._ended_at = self.now = now
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
            leave_family(record, parent)
        if task.has_policies or more.deadline is not None:
            self.let_go(record, more)
        waiters, record._waiters = record._waiters, None
        if isinstance(waiters, dict):
            tell_each(waiters, record)
        elif waiters is not None:
            waiters.notify(record)
        self._finished.append(record)  # `keep_finished`, without a call
        if len(self._finished) > self.store.look_at:
            self.store.look()

    def _end_in_full(self, now: float, record: Record, status: InvocationStatus, outcome: object, reason: str) -> None:
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
            leave_family(record, record._parent)
        if record._more is not None:
            self._clear(record, record._more)
        waiters, record._waiters = record._waiters, None
        if status is FAILED:
            self._set_alarm(record)
        else:
            self.store.keep_finished(record)
        tell_each(waiters, record)

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
        more.children = more.journal = more.watch = None
        self.release(record, more)

    def release(self, record: Record, more: More) -> None:
        """Nothing more comes of it here: give back what it held, and tell those who wait for its body or its items."""
        more.blocked_on = None
        if more.ancestry is not None:
            more.ancestry.forget(record)
        if more.handed is not None:
            more.handed.abandon()
            more.handed = None
        self.let_go(record, more)
        if more.stream is not None:
            more.stream.close()

    def _set_alarm(self, record: Record) -> None:
        """Let the failure be logged: at once, or unless an awaiter takes it."""
        if self.log_failures is LogFailures.NONE:
            self.store.keep_finished(record)
            return
        alarm = Alarm(record._task.task_id, self.format_id(record._number), record._outcome)
        record.need_more().alarm = alarm
        self.store.keep_twin(record)
        if self.log_failures is LogFailures.ALL:
            alarm.sound()
        else:
            self.unseen.add(alarm)

    def _retry(self, record: Record, error: BaseException, delay: float, reason: str) -> None:
        self.now = self.clock()
        record.leave_path()
        self.note(record, RETRY, record._retries + 1, reason)
        self._give_slot_back(record)
        record._status = RETRY
        record._retries += 1
        record._driver = None
        more = record.need_more()
        if more.journal is not None:
            more.journal.rewind(error)
        self.let_go(record, more)
        self.retry_after(record, delay)
        if self.log_failures is not LogFailures.NONE:
            self._tell_of_retry(record, delay, reason)

    def _tell_of_retry(self, record: Record, delay: float, reason: str) -> None:
        invocation_id, task_id = self.format_id(record._number), record._task.task_id
        log.info(
            "attempt %d of invocation %s of task %s failed: %s; the next one begins in %.3g s",
            record._retries,
            invocation_id,
            task_id,
            reason,
            delay,
            extra={"invocation_id": invocation_id, "task_id": task_id},
        )


def _is_cancelled(record: Record) -> bool:
    return record._more is not None and record._more.cancel_reason is not None


def _is_simple(record: Record, more: More, status: InvocationStatus, reason: str) -> bool:
    """Whether the time slots say all about an end, and the body has left little behind."""
    return (
        record._status is RUNNING
        and (not reason or (status is CANCELLED and reason == more.cancel_reason))
        and status is not FAILED
        and more.trail is None
        and more.watch is None
        and more.children is None
        and more.blocked_on is None
        and more.journal is None
        and more.stream is None
        and more.handed is None
        and more.ancestry is None
    )
