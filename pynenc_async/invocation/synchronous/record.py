"""The way of an inline invocation through its statuses: every step is checked by the table before it is taken.

There is no scheduler that could own the records, and their readers may be in several threads: each change is made under
the lock of the runtime, which is never held while a body runs.
"""

from asyncio import CancelledError
from asyncio.events import _get_running_loop
from contextvars import Context, copy_context
from typing import Any, Final

from pynenc_async.clock import randomness_of, wall_clock_of
from pynenc_async.errors import InvocationTimeoutError
from pynenc_async.family import NOBODY_CANCELLED, adopt, guardian_of, leave_family
from pynenc_async.forks import UNDER_WAY_IN_PARENT
from pynenc_async.function import Values
from pynenc_async.invocation.synchronous.parties import Desk, Run
from pynenc_async.invocation.waiting import Wait
from pynenc_async.record import Record, each_waiter
from pynenc_async.scheduler.retrying import delay_before_retry
from pynenc_async.status import InvocationStatus, StatusRecord, advance
from pynenc_async.user_errors import brief, is_a, traceback_of

REGISTERED: Final = InvocationStatus.REGISTERED
PENDING: Final = InvocationStatus.PENDING
RUNNING: Final = InvocationStatus.RUNNING
PAUSED: Final = InvocationStatus.PAUSED
RESUMED: Final = InvocationStatus.RESUMED
RETRY: Final = InvocationStatus.RETRY
SUCCESS: Final = InvocationStatus.SUCCESS
FAILED: Final = InvocationStatus.FAILED
CANCELLED: Final = InvocationStatus.CANCELLED


class SynchronousRecord(Record):
    """One inline invocation. `_driver` is its `Run` from the claim to the end."""

    __slots__ = ("_lease",)

    def __init__(self, task: Any, values: Values, number: int, parent: "SynchronousRecord | None") -> None:
        super().__init__(task, values, number, parent, copy_context(), _now())
        self._lease: StatusRecord = advance(None, REGISTERED, runner_id=task.runtime.runner_of(number), attempt=0)
        """What the table goes by; `_status` repeats its status for the readers of any record."""
        self.leave_path()
        guardian = guardian_of(self)
        if isinstance(guardian, SynchronousRecord):
            guardian._adopt(self)

    @property
    def _desk(self) -> Desk:
        desk: Desk = self._task.runtime
        return desk

    def _move(self, to: InvocationStatus, reason: str = "") -> None:
        """Take one step, under the lock; raise `InvocationStatusError` where the table forbids it."""
        attempt = self._retries + 1 if to is PENDING else self._lease.attempt
        self._lease = advance(self._lease, to, runner_id=self._desk.runner_of(self._number), attempt=attempt)
        self._status = to
        now = _now()
        self.leave_path().append((to, now, attempt, reason))
        watch = self.need_more().watch
        if watch is not None:
            watch.moved(self, to, now, attempt, reason)

    # -- running -------------------------------------------------------------------------------------------------------

    def _claim(self, offered: Run) -> Run | None:
        """Return the run under way: `offered`, if there was none; None when the end has come already."""
        with self._desk.lock:
            run = self._under_way()
            if run is None and self._ended_at is None:
                run = self._driver = offered
                self._desk.hold(self)
            return run

    def _under_way(self) -> Run | None:
        """Return the run if there is one; one that will never report is written off."""
        with self._desk.lock:
            run: Run | None = self._driver
            if run is not None and run.gone:
                self._end(CANCELLED, None, "its event loop was closed")
                return None
            return run

    def _new_context(self) -> Context:
        """Return the context of an attempt: a copy of what the submitter had, unspoilt by earlier attempts."""
        context: Context = self._context.copy()  # type: ignore[union-attr]  # there until the end
        return context

    def _begin(self) -> None:
        """Start an attempt."""
        with self._desk.lock:
            self._move(PENDING)
            self._move(RUNNING)
            if self._started_at is None:
                self._started_at = self.steps()[-1][1]

    def _succeeded(self, value: object) -> None:
        """The body returned."""
        with self._desk.lock:
            if self._ended_at is None:  # else it was written off, and the late report is refused
                self._end(SUCCESS, value)

    def _failed(self, error: BaseException) -> float | None:
        """The body raised: return the delay before the next attempt, or None if this is the end."""
        error = self._verdict(error)
        # Here runs code of users, before anything has changed, and without the lock; it may cancel the invocation, too.
        delay = None if is_a(error, CancelledError) else self._delay_before_retry(error)
        words = "" if delay is None else brief(error)
        with self._desk.lock:
            if self._ended_at is not None:
                return None
            more = self.need_more()
            if is_a(error, CancelledError):
                reason = more.cancel_reason
                self._end(CANCELLED, error, NOBODY_CANCELLED if reason is None else reason)
            elif delay is not None and more.cancel_reason is None:
                self._retry(error, words)
                return delay
            else:
                more.traceback = traceback_of(error)
                self._end(FAILED, error)
            return None

    def _verdict(self, error: BaseException) -> BaseException:
        """What the error of the body means: one that was told to stop because its time was up has timed out."""
        with self._desk.lock:
            more = self.need_more()
            late, more.timed_out = more.timed_out, None
            if late is None or more.cancel_reason is not None or not is_a(error, CancelledError):
                return error
            return self._timeout(late, error)

    def _delay_before_retry(self, error: BaseException) -> float | None:
        more = self.need_more()
        if more.cancel_reason is not None:
            return None
        draw = randomness_of(_get_running_loop()).random
        delay = delay_before_retry(self._task.options, error, self._retries, draw)
        if delay is not None and more.deadline is not None and _now() + delay >= more.deadline:
            return None
        return delay

    def _timeout(self, reason: str, cause: BaseException) -> BaseException:
        error = InvocationTimeoutError(self._desk.format_id(self._number), reason)
        error.__cause__ = cause
        return error

    def _retry(self, error: BaseException, reason: str) -> None:
        self._come_back()
        self._move(RETRY, reason)
        journal = self.need_more().journal
        if journal is not None:
            journal.rewind(error)
        retries: int = self._retries + 1
        self._retries = retries

    # -- its end -------------------------------------------------------------------------------------------------------

    def _end(self, status: InvocationStatus, outcome: object, reason: str = "") -> None:
        """Write the end, under the lock, and tell whoever waits."""
        self._come_back()
        self._move(status, reason)
        self._ended_at = self.steps()[-1][1]
        self._outcome = outcome
        self._context = None
        run, self._driver = self._driver, None
        self._leave_family()
        self._desk.retain(self)
        waiters, self._waiters = self._waiters, None
        for waiter in each_waiter(waiters):
            waiter.notify(self)
        if run is not None:
            run.ended.set_result(None)

    def _write_off(self) -> None:
        """What drove the invocation is over: if that was not by its own end, it was cancelled."""
        with self._desk.lock:
            if self._ended_at is None:
                reason = self.need_more().cancel_reason
                self._end(CANCELLED, None, "it was interrupted" if reason is None else reason)

    def _leave_to_parent(self) -> None:
        """In a forked child: nothing here will ever report its end, and whoever waited for that is not here, either."""
        self._driver = self._waiters = None
        self.need_more().watch = None
        self._end(CANCELLED, None, UNDER_WAY_IN_PARENT)

    # -- time ----------------------------------------------------------------------------------------------------------

    def _let_deadline_begin(self) -> None:
        """It is claimed: from here on its deadline counts, for nothing has happened since its submission."""
        seconds = self._task.options.deadline
        if seconds is not None:
            self.need_more().deadline = _now() + seconds

    def _allowance(self) -> tuple[float, str] | None:
        """Return how many seconds an attempt that begins now may take, and what is said after that; None: any number."""
        timeout, deadline = self._task.options.timeout, self.need_more().deadline
        left = None if deadline is None else max(0.0, deadline - _now())
        if left is not None and (timeout is None or left < timeout):
            return left, "its deadline has passed"
        return None if timeout is None else (timeout, f"an attempt took longer than timeout={timeout:g} s")

    def _stop_for_time(self, reason: str) -> bool:
        """Note why the body is told to stop, and stop what it has submitted; False if it is told already, or over."""
        with self._desk.lock:
            more = self.need_more()
            if self._ended_at is not None or more.cancel_reason is not None:
                return False
            more.timed_out = reason
            children: list[Any] = list((more.children or {}).values())
        for child in children:
            child._cancel("its parent timed out")
        return True

    # -- waiting for others --------------------------------------------------------------------------------------------

    def _pause(self, wait: Wait, *, detect_cycles: bool) -> None:
        with self._desk.lock:
            wait.begin(hasten=False, detect_cycles=detect_cycles)
            if self._status in (RUNNING, RESUMED):
                self._move(PAUSED)

    def _resume(self, wait: Wait) -> None:
        with self._desk.lock:
            wait.end()
            if not self.need_more().waits:
                self._come_back()

    def _come_back(self) -> None:
        """Before its end, too: a Task that the body left behind may still wait for somebody."""
        if self._status is PAUSED:
            self._move(RESUMED)

    # -- family and cancellation ---------------------------------------------------------------------------------------

    def _adopt(self, child: "SynchronousRecord") -> None:
        with self._desk.lock:
            if self._ended_at is None:
                adopt(self, child)

    def _leave_family(self) -> None:
        more, parent = self.need_more(), self._parent
        more.children = more.blocked_on = more.journal = more.watch = None
        if more.ancestry is not None:
            more.ancestry.forget(self)
        if more.stream is not None:
            more.stream.close()
        if isinstance(parent, Record):
            leave_family(self, parent)

    def _cancel(self, reason: str) -> None:
        """End it if nobody runs it, else ask its body to stop; the same for what it has submitted."""
        with self._desk.lock:
            if self._ended_at is not None:
                return
            more = self.need_more()
            more.cancel_reason = reason if more.cancel_reason is None else more.cancel_reason
            children: list[Any] = list((more.children or {}).values())
            run = self._under_way()
            if run is not None:
                run.cancel()
            elif self._ended_at is None:
                self._end(CANCELLED, None, reason or "cancelled before it started")
        for child in children:
            child._cancel(f"its parent {self._desk.format_id(self._number)} was cancelled")


def _now() -> float:
    """The time of day, as the loop in which this is called tells it."""
    return wall_clock_of(_get_running_loop())()
