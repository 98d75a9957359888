"""The scheduler: every decision about invocations.

`slots` says who gets a slot, `core` what follows an end, `policies` what options add; here is how invocations are cancelled.
"""

from collections.abc import Sequence

from msgspec import UNSET

from pynenc_async.record import More, Record
from pynenc_async.scheduler.core import CANCELLED
from pynenc_async.scheduler.policies import SCHEDULED, PolicedScheduler
from pynenc_async.scheduler.slots import PENDING


class Scheduler(PolicedScheduler):
    """Decides who runs next, who waits, who is told, who is stopped."""

    def cancel(self, record: Record, reason: str) -> None:
        """Cancel an invocation and its living children: at once where the body is not under way, else by asking it.

        A body is asked once: asking again would cut the cleaning up short.
        """
        now = self.agenda.now()
        told: list[Record] = []
        families: list[tuple[Sequence[Record], str]] = [((record,), reason)]
        for members, because in families:  # which grows meanwhile: a tree is told from its root down
            for member in members:
                more = member._more
                if member._ended_at is not None or (more is not None and more.cancel_reason is not None):
                    continue
                if more is None:
                    more = member._more = More(UNSET, False, because, now)
                else:
                    more.cancel_reason = because
                if more.children:
                    inherited = f"its parent {self.format_id(member._number)} was cancelled"
                    families.append((list(more.children.values()), inherited))
                if member._driver is None or (member._status is PENDING and member._driver.revoke()):
                    self.withdraw(member, None, because or "cancelled before it started")
                else:
                    self.ask_to_stop(member, more, because, now)
                    told.append(member)
        self.grace.begin(told, now)

    def stop_children(self, record: Record, reason: str) -> None:
        """Cancel what the body of `record` has submitted."""
        children = record._more.children if record._more is not None else None
        for child in list((children or {}).values()):
            self.cancel(child, reason)

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
            driver, place = record._driver, record._task.place
            self.end(record, CANCELLED, None, reason)
            if place is not None and driver is not None:
                place.abandon(driver)
