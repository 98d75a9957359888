"""What the scheduler is told of a body in a worker: that it has begun, and how it has ended."""

from asyncio import AbstractEventLoop, CancelledError
from collections.abc import Callable
from typing import Final

from pynenc_async.execution.desk import Desk
from pynenc_async.execution.processes.driver import BodyDriver
from pynenc_async.record import Record
from pynenc_async.status import InvocationStatus

_PENDING: Final = InvocationStatus.PENDING
_RUNNING: Final = InvocationStatus.RUNNING
_PAUSED: Final = InvocationStatus.PAUSED


class Reporter:
    """Tells it, in the loop's thread, as long as the body has not lost its invocation."""

    def __init__(
        self, desk: Desk, loop: AbstractEventLoop, settle: Callable[[], None], work_ended: Callable[[], None]
    ) -> None:
        self._desk: Final = desk
        self._loop: Final = loop
        self._settle: Final = settle
        self._work_ended: Final = work_ended

    def began(self, body: BodyDriver) -> None:
        """A worker is about to run it."""
        record = body.record
        if record._driver is body:
            if record._status is _PENDING:
                self._mark_running(record)
            if record._task.options.timeout is not None:
                self._desk.attempt_goes_on(record)

    def conclude(self, body: BodyDriver) -> None:
        """Tell how it has ended (`final`); a paused one has to be resumed for any end but its cancellation."""
        record = body.record
        if record._driver is body and record._status is _PAUSED and not _is_cancelled(body):
            self._desk.come_back(record, lambda: self._report_soon(body))
        else:
            self._report(body)

    def _report_soon(self, body: BodyDriver) -> bool:
        self._loop.call_soon(self._report_late, body)  # the slot is there only after this answer
        return True

    def _report_late(self, body: BodyDriver) -> None:
        self._report(body)
        self._settle()

    def _report(self, body: BodyDriver) -> None:
        record = body.record
        if record._driver is body and body.final is not None:  # else it lost its ownership meanwhile
            if record._status is _PENDING:
                self._mark_running(record)
            has_returned, outcome = body.final
            (self._desk.succeeded if has_returned else self._desk.failed)(record, outcome)
        self._work_ended()

    def _mark_running(self, record: Record) -> None:
        record._started_at = now = self._desk.clock()
        if record._more is not None:
            self._desk.note_at(now, record, _RUNNING, record._retries + 1)
        record._status = _RUNNING


def _is_cancelled(body: BodyDriver) -> bool:
    """Whether the body has ended because somebody had it cancelled."""
    more = body.record._more
    if more is None or more.cancel_reason is None or body.final is None:
        return False
    has_returned, outcome = body.final
    return not has_returned and isinstance(outcome, CancelledError)
