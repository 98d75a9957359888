"""How long an invocation may take: the timeout of an attempt, the deadline of them all, the expiry of what has not begun."""

from asyncio import CancelledError
from typing import Any, Final

from pynenc_async.errors import InvocationExpiredError, InvocationTimeoutError
from pynenc_async.record import More, Record
from pynenc_async.scheduler.admission import Admission
from pynenc_async.scheduler.agenda import Kind
from pynenc_async.scheduler.leftovers import Leftovers
from pynenc_async.scheduler.slots import Wiring
from pynenc_async.scheduler.statuses import PAUSED, PENDING, RETRY
from pynenc_async.user_errors import is_a

_SLACK: Final = 1e-6
"""Seconds by which a timer may ring early, as far as timeouts are concerned."""


class Timeouts(Admission):
    """Stops what has taken too long."""

    def __init__(self, wiring: Wiring) -> None:
        super().__init__(wiring)
        self.leftovers: Final = Leftovers(self.agenda, self._place_is_free)
        self._due_actions[Kind.TIMEOUT] = self._timeout_due
        self._due_actions[Kind.DEADLINE] = self._deadline_due
        self._due_actions[Kind.EXPIRY] = self._expiry_due

    def attempt_goes_on(self, record: Record) -> None:
        """An attempt of a task with a timeout has not ended at once."""
        more = record.need_more()
        if more.timeout_at is None and more.told_at is None:  # else it was handed on, and is measured already, or told
            more.timeout_at = self.agenda.put(record._task.options.timeout, Kind.TIMEOUT, record)

    def verdict(self, record: Record, error: BaseException) -> BaseException:
        """What the error of a body means: one that was told to stop because of its timeout has timed out."""
        more = record._more
        if more is None or more.timed_out is None or more.cancel_reason is not None:
            return error
        reason, more.timed_out = more.timed_out, None
        if not is_a(error, CancelledError):
            return error
        timeout = InvocationTimeoutError(self.format_id(record._number), reason)
        timeout.__cause__ = error
        return timeout

    # -- what is due ---------------------------------------------------------------------------------------------------

    def _is_live(self, when: float, kind: Kind, subject: Any) -> bool:
        if kind is Kind.TIMEOUT:
            return bool(subject._ended_at is None and subject._more.timeout_at == when)
        if kind is Kind.DEADLINE:
            return bool(subject._ended_at is None and subject._more.deadline == when)
        if kind is Kind.EXPIRY:
            return subject._ended_at is None and subject._started_at is None
        return super()._is_live(when, kind, subject)

    def _timeout_due(self, record: Record) -> None:
        more, timeout = record.need_more(), record._task.options.timeout
        left = timeout - self._seconds_under_way(record)
        if left > _SLACK:
            more.timeout_at = self.agenda.put(left, Kind.TIMEOUT, record)
        else:
            more.timeout_at = None
            self._time_out(record, f"an attempt took longer than timeout={timeout:g} s")

    def _seconds_under_way(self, record: Record) -> float:
        """For how long the attempt has run. One in a thread may have begun later than it was handed out, or not yet."""
        if record._task.place is not None and record._status is PENDING:
            return 0.0
        began: float | None = getattr(record._driver, "began", None)
        return float(record._task.options.timeout) if began is None else self.passed() - began

    def _deadline_due(self, record: Record) -> None:
        reason = "its deadline has passed"
        if record._driver is not None and not (record._status is PENDING and record._driver.revoke()):
            self._time_out(record, reason)
        elif record._status is RETRY:  # which can become CANCELLED, and not FAILED
            self.withdraw(record, InvocationTimeoutError(self.format_id(record._number), reason), reason)
        else:
            self._expire(record, reason)

    def _expiry_due(self, record: Record) -> None:
        self._expire(record, f"it has waited longer than expires_in={record._task.options.expires_in:g} s")

    def _expire(self, record: Record, reason: str) -> None:
        self.withdraw(record, InvocationExpiredError(self.format_id(record._number), reason), reason)

    def _time_out(self, record: Record, reason: str) -> None:
        more = record.need_more()
        if more.timed_out is None and more.cancel_reason is None:
            more.timed_out = reason
            self.stop_children(record, "its parent timed out")
            now, driver = self.agenda.now(), record._driver
            goes_on = record._status is not PAUSED and driver.leave_behind()
            self.ask_to_stop(record, more, reason, now)
            if goes_on:
                self._leave_behind(record, more, driver, InvocationTimeoutError(self.format_id(record._number), reason))
            else:
                self.grace.begin((record,), now)

    def _leave_behind(self, record: Record, more: More, driver: object, error: InvocationTimeoutError) -> None:
        """Let the attempt fail now, though its body goes on."""
        self.leftovers.add(record, driver, self.format_id(record._number))
        if more.handed is None:
            more.timed_out = None
            self.failed(record, error)
        else:  # what surrounds the body has its grace to clean up
            self.grace.begin((record,), self.agenda.now())
            more.handed.deliver(error, returned=False)

    def ended_late(self, driver: object, outcome: object, *, returned: bool) -> None:
        """A body has ended whose attempt was over before: one that was left behind, or revoked."""
        self.leftovers.ended(driver, outcome, returned=returned)

    def _place_is_free(self) -> None:
        if self._returning:
            self._grant()
