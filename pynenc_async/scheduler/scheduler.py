"""The scheduler: every decision about invocations.

`core` has slots and endings, `policies` what options add; here is how invocations are cancelled.
"""

from collections import deque

from pynenc_async.record import Record
from pynenc_async.scheduler.core import CANCELLED, PENDING
from pynenc_async.scheduler.policies import SCHEDULED, PolicedScheduler


class Scheduler(PolicedScheduler):
    """Decides who runs next, who waits, who is told, who is stopped."""

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
                if children:
                    because = f"its parent {self.format_id(record._number)} was cancelled"
                    waiting.extend((child, because) for child in children)

    def stop_children(self, record: Record, reason: str) -> None:
        """Cancel what the body of `record` has submitted."""
        children = record._more.children if record._more is not None else None
        for child in list((children or {}).values()):
            self.cancel(child, reason)

    def _stop(self, record: Record, reason: str) -> None:
        if record._driver is None or (record._status is PENDING and record._driver.revoke()):
            self.withdraw(record, None, reason or "cancelled before it started")
        else:
            self.ask_to_stop(record, reason)

    def withdraw(self, record: Record, outcome: object, reason: str) -> None:
        """End, as CANCELLED, an invocation whose body is not under way."""
        more = record.need_more()
        if record._status is PENDING:
            if more.trail is None and more.watch is None:
                record._started_at = None  # it never began, and unless that was told, its history need not say so
            self.end(record, CANCELLED, outcome, reason)
            return
        queued = not more.held and record._status is not SCHEDULED
        self.end(record, CANCELLED, outcome, reason)
        if queued:
            for lane in self._lanes_of(record):
                lane.note_dead()

    def abandon(self, record: Record, reason: str) -> None:
        """The loop that ran the body is gone: the body will never report, so its end is written here."""
        if record._ended_at is None:
            if record._status is PENDING:
                record._driver.revoke()
            self.end(record, CANCELLED, None, reason)
