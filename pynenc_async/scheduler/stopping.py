"""How invocations are stopped: at once where no body is under way, else by telling it, and giving it up after a grace."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from msgspec import UNSET

from pynenc_async.errors import InvocationTimeoutError
from pynenc_async.record import More, Record
from pynenc_async.scheduler.agenda import Agenda, Kind, TurnstileTimers
from pynenc_async.scheduler.endings import Endings
from pynenc_async.scheduler.grace import Grace
from pynenc_async.scheduler.room import Room
from pynenc_async.scheduler.slots import Wiring
from pynenc_async.scheduler.statuses import CANCELLED, FAILED, PAUSED, PENDING, SCHEDULED
from pynenc_async.scheduler.unconnected import nobody_listens
from pynenc_async.telemetry import log

KILLED_SECONDS: Final = 5.0
"""How long a process that was killed may take to be gone."""


class Stopping(Endings):
    """What follows when an invocation is to stop; and the agenda, on which its grace is the first thing that is due."""

    def __init__(self, wiring: Wiring) -> None:
        super().__init__(wiring)
        self.agenda: Final = Agenda(self._due, self._is_live)
        self._timers: Final = TurnstileTimers(self.agenda, self.turnstile)
        self._due_actions: Final[dict[Kind, Callable[[Any], None]]] = {}
        self.settle: Callable[[], None] = nobody_listens
        """Gets bodies going after something became ready that no body's end announces."""
        self.room: Room | None = None
        self.grace: Final = Grace(self._timers, self.store.records.get, self._grace_due)

    def passed(self) -> float:
        """Return what time it is on a clock that nobody sets."""
        return self.agenda.now()

    def _due(self, when: float, kind: Kind, subject: Any) -> None:
        if kind is Kind.CALL:
            subject.make()
        else:
            self.turnstile.enter(self._fall_due, when, kind, subject)
        self.settle()

    def _fall_due(self, when: float, kind: Kind, subject: Any) -> None:
        if self._is_live(when, kind, subject):
            self._due_actions[kind](subject)

    def _is_live(self, when: float, kind: Kind, subject: Any) -> bool:
        """Whether an entry of the agenda still counts."""
        del when
        return subject.callback is not None if kind is Kind.CALL else subject._ended_at is None

    # -- cancellation --------------------------------------------------------------------------------------------------

    def cancel(self, record: Record, reason: str) -> None:
        """Cancel an invocation and its living children: at once where the body is not under way, else by asking it.

        A body is asked once: asking again would cut the cleaning up short.
        """
        self.turnstile.enter(self._cancel_now, record, reason)

    def _cancel_now(self, record: Record, reason: str) -> None:
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
        if self.room is not None:
            self.room.offer()  # of what has not begun nobody else says that it waits no more

    def stop_children(self, record: Record, reason: str) -> None:
        """Cancel what the body of `record` has submitted."""
        children = record._more.children if record._more is not None else None
        for child in list((children or {}).values()):
            self._cancel_now(child, reason)

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

    # -- bodies that are told ------------------------------------------------------------------------------------------

    def ask_to_stop(self, record: Record, more: More, reason: str, now: float) -> None:
        """Tell the body to stop; the caller lets its grace begin, `now`, after which it is abandoned."""
        if more.told_at is not now:
            more.told_at = now
        if more.timeout_at is not None:
            more.timeout_at = None
            self.agenda.note_dead()
        (more.handed or record._driver).cancel(reason)

    def _grace_due(self, record: Record) -> None:
        driver = record._driver
        if record._status is PENDING:
            driver.revoke()
        elif driver.insist():
            self._timers.call_later(KILLED_SECONDS, lambda: self._killed_due(record, driver))
            return
        self._give_up(record)

    def _killed_due(self, record: Record, driver: Any) -> None:
        if record._ended_at is None and record._driver is driver:
            self._give_up(record)

    def _give_up(self, record: Record) -> None:
        more = record.need_more()
        driver, place = record._driver, record._task.place
        found = "is still waiting" if record._status is PAUSED else "ignored it"
        if more.timed_out is not None:
            error = InvocationTimeoutError(self.format_id(record._number), more.timed_out)
            if record._status is PAUSED:
                self.resumed(record)  # which alone can fail; it gives the slot back before anybody could miss it
            self.end(record, FAILED, error, f"{more.timed_out}; told to stop, it {found}")
        else:
            self.end(record, CANCELLED, None, f"{more.cancel_reason or 'cancelled'}; the body {found}")
        if place is not None:
            place.abandon(driver)
        self._report_given_up(record, found)

    def _report_given_up(self, record: Record, found: str) -> None:
        invocation_id, task_id = self.format_id(record._number), record._task.task_id
        log.error(
            "invocation %s of task %s was told to stop %g s ago, %s, and is abandoned",
            invocation_id,
            task_id,
            record._task.options.cancel_grace,
            found,
            extra={"invocation_id": invocation_id, "task_id": task_id},
        )
