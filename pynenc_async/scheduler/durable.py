"""The scheduler of an app whose store other runners may use: what is given back to it, and what is taken from it.

A change that the store refuses means that another runner has the invocation now: this process stops what it does, and
watches. What the app cannot bring to its end before it stops is given back, for another runner or the next start.
"""

from asyncio import CancelledError
from collections.abc import Callable, Iterator, Sequence
from math import inf
from typing import Any, Final

from msgspec import UNSET

from pynenc_async.errors import StoreError
from pynenc_async.family import living_tree
from pynenc_async.guard import serve_each
from pynenc_async.record import More, Record
from pynenc_async.scheduler.agenda import Kind
from pynenc_async.scheduler.drafts import Draft, put_off_for
from pynenc_async.scheduler.durability import Durable, durable_of, tell_acceptance
from pynenc_async.scheduler.outward import Outward, refuse_wait
from pynenc_async.scheduler.permits import rule_of
from pynenc_async.scheduler.rules import Rule
from pynenc_async.scheduler.slots import Wiring
from pynenc_async.scheduler.statuses import (
    CANCELLED,
    CONCURRENCY_CONTROLLED,
    FAILED,
    HOLDS_SLOT,
    KILLED,
    PAUSED,
    PENDING,
    REGISTERED,
    REROUTED,
    RETRY,
    SCHEDULED,
)
from pynenc_async.scheduler.suspects import Suspects
from pynenc_async.scheduler.telling import tell_waiters
from pynenc_async.scheduler.unconnected import nobody_listens
from pynenc_async.scheduler.writing import ENDING, WritingScheduler
from pynenc_async.store.values import CancelRequest, Refusal, RefusalKind

_DUE_IN: Final = {Kind.START: SCHEDULED, Kind.RETRY: RETRY}
"""The status that ends when such an entry of the agenda is due: one that came from the store is not in it any more."""


class DurableScheduler(WritingScheduler):
    """Shares its invocations with other runners, by way of the store."""

    def __init__(self, wiring: Wiring) -> None:
        super().__init__(wiring)
        self._suspects: Final = Suspects(super().queue)
        self.outward: Final = Outward(self.store.records, self._bodies_asking_for_room)
        self.hand_over: Callable[[Record], None] = nobody_listens
        """Called with what belongs to another runner from now on, or to none."""
        self.refused: Callable[[Draft, Refusal], None] = nobody_listens
        """Called when a registration was refused because of what others have registered: see `forget`."""
        self.wanted: Callable[[Record], None] = nobody_listens
        """Called with what is not here, and is awaited by a body."""
        self.told_kin: Callable[[Record, str], None] = nobody_listens
        """Called with what was told to stop, and why, where the store may have what it has submitted."""
        self.leads_out: Callable[[], None] = nobody_listens
        """Called when a body here may have begun to wait for other processes, by way of others of this one."""
        self.stopping = False
        """Whether bodies are told to stop for the sake of the app, and are given back."""

    # -- the way in ----------------------------------------------------------------------------------------------------

    def failures(self, record: Record) -> int:
        """How many of its attempts have failed; those that were interrupted have not."""
        return super().failures(record) - durable_of(record).interruptions

    def queue(self, record: Record) -> None:
        """Put a record that may be run at the end of its level; one that may be poison waits for its turn among its kind."""
        if durable_of(record).interruptions:
            self._suspects.add(record)
        else:
            super().queue(record)

    def hasten(self, records: Sequence[Record]) -> None:
        """An invocation awaits `records` of one task: move those ahead of their level that are queued here."""
        here: list[Record] = []
        for record in records:
            if record._number and _is_here(durable_of(record)):
                here.append(record)
            else:
                self.wanted(record)
        if here:
            super().hasten(here)

    def take_back(self, record: Record, deadline_at: float | None) -> None:
        """Take in an invocation that was claimed from the store: what it was to wait, it has waited there in part."""
        left = inf if deadline_at is None else deadline_at - self.steady()
        if deadline_at is not None:
            self.set_deadline(record, self.agenda.now() + max(0.0, left))
        if record._ended_at is not None or durable_of(record).ending:
            self.note_leaving(record)
            return
        self._make_runnable(record)
        if left <= 0:
            self._deadline_due(record)
        elif self._has_expired(record):
            self._expiry_due(record)
        else:
            self._register(record, waited=self._waited(record))

    def _has_expired(self, record: Record) -> bool:
        expires_in = record._task.options.expires_in
        return expires_in is not None and record._started_at is None and self._waited(record) >= expires_in

    def _waited(self, record: Record) -> float:
        """Return for how many seconds it could have run, at least: the clock on the wall may have been set meanwhile."""
        return max(0.0, min(self.clock(), self.steady()) - record._registered_at - put_off_for(record))

    def _make_runnable(self, record: Record) -> None:
        if record._status is SCHEDULED:
            self._move(record, REGISTERED)
        elif record._status is CONCURRENCY_CONTROLLED:
            self._move(record, REROUTED)

    def fail_unrunnable(self, record: Record, error: BaseException) -> None:
        """End an invocation whose body cannot even be called."""
        self._make_runnable(record)
        if self._begin(record):
            self.end(record, FAILED, error)

    # -- waiting -------------------------------------------------------------------------------------------------------

    def pause(self, record: Record) -> None:
        """The body awaits another invocation: its slot is free until it comes back."""
        super().pause(record)
        if self.outward.concerns(record):
            self.leads_out()

    def refuse_wait(self, record: Record, invocation_id: str, error: Exception) -> None:
        """Let the waits of a body for an invocation, or for room, raise `error`: they are in a ring."""
        refuse_wait(record, invocation_id, error)
        if self.room is not None:
            self.room.refuse(record, error)

    def _bodies_asking_for_room(self) -> Iterator[Record]:
        return iter(()) if self.room is None else self.room.bodies()

    # -- beginning -----------------------------------------------------------------------------------------------------

    def _decide_starts(self) -> None:
        self._suspects.admit()
        super()._decide_starts()

    # -- ending --------------------------------------------------------------------------------------------------------

    def let_go(self, record: Record, more: More) -> None:
        """An attempt is over: what it held for its policies is free, and another suspect may come."""
        self._suspects.leave(record)
        super().let_go(record, more)

    def failed(self, record: Record, error: BaseException) -> None:
        """The body raised: give it back if that is because the app stops."""
        more = durable_of(record)
        told = self.stopping and isinstance(error, CancelledError) and more.handed is None
        if told and more.cancel_reason is None and more.timed_out is None:
            self.give_back(record, "the app was shut down")
        else:
            super().failed(record, error)

    def ask_to_stop(self, record: Record, more: More, reason: str, now: float) -> None:
        """Tell the body to stop, if there still is one."""
        if record._driver is not ENDING:
            super().ask_to_stop(record, more, reason, now)

    def abandon(self, record: Record, reason: str) -> None:
        """The loop that ran the body is gone: what was under way is given back to the store."""
        if record._ended_at is None:
            self.give_back(record, reason)

    def _is_live(self, when: float, kind: Kind, subject: Any) -> bool:
        """Whether an entry of the agenda still counts: not for what others have, nor for what only waits to be told."""
        if kind is not Kind.CALL:
            more = durable_of(subject)
            if more.away or more.ending or subject._status is not _DUE_IN.get(kind, subject._status):
                return False
        return super()._is_live(when, kind, subject)

    def _cancel_now(self, record: Record, reason: str) -> None:
        """Cancel an invocation of this runner; ask its owner where it is another's."""
        more = durable_of(record)
        if more.leader is not None:
            self._cancel_now(more.leader, reason)
        elif record._number == 0 or more.away:
            self.ledger.ask(CancelRequest(invocation_id=more.invocation_id, reason=reason))
        else:
            kin = (
                []
                if more.cancel_reason is not None
                else [one for one in living_tree(record) if durable_of(one).has_kin]
            )
            super()._cancel_now(record, reason)
            for one in kin:
                self.told_kin(one, "was cancelled")

    def stop_children(self, record: Record, reason: str) -> None:
        """Cancel what the body of `record` has submitted."""
        super().stop_children(record, reason)
        if durable_of(record).has_kin:
            self.told_kin(record, "timed out")

    def _end_broken_off(self, record: Record, reason: str, error: BaseException | None) -> None:
        if record._ended_at is None and not durable_of(record).known and not self.ledger.has(record):
            self.forget(record, CANCELLED, error, reason)
        else:
            super()._end_broken_off(record, reason, error)

    # -- giving back ---------------------------------------------------------------------------------------------------

    def stop(self, record: Record) -> None:
        """The app stops: a body that is under way is told so, and given back when it has ended; the rest stays as it is."""
        driver, more = record._driver, durable_of(record)
        if driver is None or driver is ENDING:
            if not more.ending:
                self.give_back(record, "the app was shut down")
        elif record._status is PENDING and driver.revoke():
            self.give_back(record, "the app was shut down")
        else:
            self.stopping = True
            (more.handed or driver).cancel("the app was shut down")

    def give_back(self, record: Record, reason: str) -> None:
        """Let another runner, or the next start, run what will not be run to its end here."""
        durable = durable_of(record)
        if durable.ending or durable.away:
            return
        if record._status.can_transition_to(KILLED):
            attempt = record._retries + 1
            if record._status is PENDING:
                self.tell_start(record)
            record.leave_path()
            self.note(record, KILLED, attempt, reason)
            self.note(record, REROUTED, attempt, reason)
            durable.taken = False
        self._leave(record)

    def leave_to(self, record: Record) -> None:
        """Have nothing to do with `record` any more: what it is, others decide."""
        more = durable_of(record)
        self._leaving.discard(record._number)
        record.leave_path()  # what is not committed yet is going to be what it says
        more.away = True
        if record._status in HOLDS_SLOT:
            self._give_slot_back(record)
        elif record._status is PAUSED:
            self.paused -= 1
        record._status = KILLED  # neither queued nor waiting for anything here; what it is, the store says
        more.held = False
        if more.registration is not None:
            self.registry.leave(more.registration, record)  # whether it stands in the way of others, the store says
        driver, record._driver = record._driver, None
        was_stopped = driver is None or driver.revoke()
        self.turnstile.step(self.release, record, more)  # now: the record may be about to stand for another invocation
        if driver is not None and not was_stopped:
            driver.cancel("another runner has the invocation")
            if record._task.place is not None:
                record._task.place.abandon(driver)

    def _leave(self, record: Record) -> None:
        self.leave_to(record)
        self.hand_over(record)

    # -- what the ledger tells -----------------------------------------------------------------------------------------

    def _refused(self, draft: Draft, refusal: Refusal) -> None:
        record = draft.record
        durable = durable_of(record)
        if record._ended_at is not None:
            return
        if draft.is_new:  # also where it was left to others meanwhile: nobody has it
            self.refused(draft, refusal)
            return
        if durable.away or not durable.known:  # what the store has never had is not lost to anybody
            return
        if refusal.kind in (RefusalKind.STALE, RefusalKind.UNKNOWN):  # somebody else has it now
            durable.ending = False
            self._leave(record)
            return
        durable.revision -= len(draft.steps)
        if durable.ending and draft.end is None:
            del record.leave_path()[-len(draft.steps) :]  # it was withdrawn meanwhile, and had not begun in the store
        else:
            self._wait_for_others(draft, refusal)

    def _wait_for_others(self, draft: Draft, refusal: Refusal) -> None:
        """Other processes hold what a start needs: it was none, and waits for its turn.

        A start that was tried in vain leaves no trace in the store, and so rings nobody's bell: else two processes that
        wait would wake one another for ever.
        """
        record = draft.record
        self._take_start_back(record, len(draft.steps) - 1)
        limiter, rule = record._task.limiter, rule_of(refusal)
        wait = 0.0 if refusal.retry_at is None else max(0.0, refusal.retry_at - self.clock())
        record.need_more().permit = UNSET
        has_room = limiter.refuse(record, rule, wait)
        self._wait_for_permit(record, limiter, rule)
        if rule is not Rule.RATE and self.outward.note_refused(record):
            self.leads_out()
        if has_room:
            self._grant_permits(limiter)

    def _take_start_back(self, record: Record, noted: int) -> None:
        trail = record.leave_path()
        del trail[-noted:]
        self._give_slot_back(record)
        record._status = trail[-1][0]
        if not any(step[0] is PENDING for step in trail):
            record._started_at = None

    def look_again(self) -> None:
        """Other processes may have given back what is waited for here."""
        for limiter in list(self._limiters.values()):
            self.turnstile.enter(limiter.look_again)

    def begin_session(self) -> None:
        """Of what was queued, or about to begin, in the session before, nothing is here any more."""
        self.steady.set(self.clock())
        self._begun.clear()
        self.outward.forget()
        for queue in (self.ready, *(place.queue for place in self._places)):
            queue.clear()

    def not_settled(self, draft: Draft, refusal: Refusal | None, error: BaseException) -> None:
        """What follows from a commit has raised here: an end that the store has counts, and nothing else goes on."""
        record = draft.record
        self._report(record, error, "settling a commit")
        if record._ended_at is not None:
            tell_waiters(record)
        elif draft.end is None or refusal is not None:
            self._end_here(record, error)
        elif not durable_of(record).away:
            self._leave(record)

    def lost(self, error: StoreError) -> None:
        """Nothing will be committed any more: no body can come to an end here that counts, and none must be waited for."""
        living = [record for record in self.store if record._ended_at is None and not durable_of(record).away]
        serve_each(living, lambda record: self._lose(record, error), "leaving what can end here no more")

    def _lose(self, record: Record, error: StoreError) -> None:
        durable = durable_of(record)
        self._leave(record)
        if not durable.known:
            durable.failure = error
            tell_acceptance(durable)
        tell_waiters(record)


def _is_here(durable: Durable) -> bool:
    return durable.taken and not durable.away
