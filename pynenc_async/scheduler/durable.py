"""The scheduler of an app with a store: the same decisions, each written down before its effect.

**Theory of operation.** Whatever moves an invocation is noted in the ledger as well (`note_at`). Two effects wait until
the store has them:

* *A body begins* after its RUNNING is committed: so an attempt that was interrupted is known to have been one. A record
  that was given a slot (PENDING) waits in `_begun` for a carrier until then.
* *An end is told* after it is committed, with its result: until then the record stays in the status in which its body
  ended, keeps its slot, and takes no further news (`Durable.ending`).

Everything else (pauses, retries, waiting for a limit) is committed in order, and nobody waits for it. A change that the
store refuses means that another runner has the invocation now: this process stops what it does, and watches.
"""

from asyncio import CancelledError
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from msgspec import UNSET

from pynenc_async.codec import encode
from pynenc_async.errors import InvocationStatusError, SerializationError, StoreError
from pynenc_async.outcome import describe
from pynenc_async.record import More, Record, Step
from pynenc_async.scheduler.core import CANCELLED, FAILED
from pynenc_async.scheduler.drafts import Draft, durable_of, tell_acceptance
from pynenc_async.scheduler.ledger import Ledger, is_lost
from pynenc_async.scheduler.permits import permits_of, rate_of, rule_of
from pynenc_async.scheduler.policies import CONCURRENCY_CONTROLLED, REROUTED, SCHEDULED, _nobody_settles
from pynenc_async.scheduler.ready import RUNNABLE
from pynenc_async.scheduler.scheduler import Scheduler
from pynenc_async.scheduler.slots import HOLDS_SLOT, PAUSED, PENDING, REGISTERED, RUNNING
from pynenc_async.scheduler.suspects import Suspects
from pynenc_async.status import InvocationStatus
from pynenc_async.store.values import CancelRequest, Refusal, RefusalKind, encode_error

SUCCESS: Final = InvocationStatus.SUCCESS
KILLED: Final = InvocationStatus.KILLED


class Ending:
    """The driver of an invocation whose end is being committed: nothing can be done about it any more."""

    def cancel(self, reason: str) -> None:
        """Too late."""

    def revoke(self) -> bool:
        """Too late."""
        return False


_ENDING: Final = Ending()


class DurableScheduler(Scheduler):
    """Decides, writes down, and lets happen."""

    def __init__(self, **wiring: Any) -> None:
        super().__init__(**wiring)
        self.ledger: Final = Ledger(self)
        self._begun: Final[deque[Record]] = deque()
        """Bodies that may begin: their attempts are committed."""
        self._suspects: Final = Suspects(super().queue)
        self.hand_over: Callable[[Record], None] = _nobody_takes_over
        """Called with what belongs to another runner from now on, or to none."""
        self.refused: Callable[[Record, Refusal], None] = _nobody_listens
        """Called when a registration was refused by a rule that holds across processes: see `forget`."""
        self.stopping = False
        """Whether bodies are told to stop for the sake of the app, and are given back."""
        self.went_on: Callable[[], None] = _nobody_settles
        """Called after each batch: there may be room for more."""
        self.stored: Callable[[Record], None] = _nobody_takes_over
        """Called when the store has a new invocation that is not kept here."""

    # -- the way in ----------------------------------------------------------------------------------------------------

    def register(self, record: Record, step: Step) -> Draft:
        """Write a new invocation down."""
        draft = self.ledger.register(record, step)
        if record._task.options.starts_later:
            options = record._task.options
            draft.due_at = step[1] + options.delay if options.at is None else max(step[1], options.at.timestamp())
        return draft

    def note_at(self, now: float, record: Record, status: InvocationStatus, attempt: int, reason: str = "") -> None:
        """Write a transition down, in the history and in the ledger."""
        durable = durable_of(record)
        if status is RUNNING:  # written down when it was decided, see `_begin`
            now = durable.begun_at or now
        elif not (durable.ending or durable.away):
            self.ledger.draft(record).steps.append((status, now, attempt, reason))
        super().note_at(now, record, status, attempt, reason)

    def retry_after(self, record: Record, delay: float) -> None:
        """Let `record`, which is in RETRY, be run again in `delay` seconds."""
        if delay > 0:
            self.ledger.draft(record).due_at = self.now + delay
        super().retry_after(record, delay)

    def retry_delay(self, record: Record, error: BaseException) -> float | None:
        """How many seconds the retry after `error` waits; None: there is none. Attempts that crashed are not counted."""
        crashes = durable_of(record).crashes
        record._retries -= crashes
        try:
            return super().retry_delay(record, error)
        finally:
            record._retries += crashes

    def queue(self, record: Record) -> None:
        """Put a record that may be run at the end of its level; one that may be poison waits for its turn among its kind."""
        if durable_of(record).crashes:
            self._suspects.add(record)
        else:
            super().queue(record)

    def take_back(self, record: Record, deadline_at: float | None) -> None:
        """Take in an invocation that was claimed from the store."""
        if deadline_at is not None:
            self.set_deadline(record, self.agenda.now() + max(0.0, deadline_at - self.clock()))
        if record._ended_at is not None or durable_of(record).ending:
            return
        self._make_runnable(record)
        self._register(record)

    def _make_runnable(self, record: Record) -> None:
        if record._status is SCHEDULED:
            self._move(record, REGISTERED)
        elif record._status is CONCURRENCY_CONTROLLED:
            self._move(record, REROUTED)

    def fail_unrunnable(self, record: Record, error: BaseException) -> None:
        """End an invocation whose body cannot even be called."""
        self._make_runnable(record)
        self._begin(record)
        self.end(record, FAILED, error)

    # -- beginning -----------------------------------------------------------------------------------------------------

    def startable(self, most: int) -> int:
        """How many records `take` could start now; those that have a slot are written down as begun on this occasion."""
        self._decide_starts()
        return min(len(self._begun), most)

    def take(self) -> Record | None:
        """Start the next record whose attempt is committed."""
        begun = self._begun
        while begun:
            record = begun.popleft()
            durable = durable_of(record)
            if record._status is not PENDING or durable.ending or durable.away:
                continue
            if record._task.place is None:
                record._status = RUNNING
                self.note(record, RUNNING, record._retries + 1)
            return record
        return None

    def take_only(self, record: Record) -> bool:
        """Nothing begins before it is committed, so nothing begins in place."""
        del record
        return False

    def _decide_starts(self) -> None:
        if self.in_use >= self.limit:
            return
        self._suspects.admit()
        while super().take() is not None:
            pass

    def _begin(self, record: Record) -> Record:
        """Give `record` a slot, and write its attempt down; its body begins once that is committed."""
        self.in_use += 1
        self.now = now = self.clock()
        record._started_at = now
        place = record._task.place
        if place is not None:
            place.in_use += 1
        attempt = record._retries + 1
        self.note(record, PENDING, attempt)
        record._status = PENDING
        durable_of(record).begun_at = now
        draft = self.ledger.draft(record)
        draft.steps.append((RUNNING, now, attempt, ""))
        draft.is_start = True
        if record._task.limiter is not None:
            draft.permits, draft.rate = permits_of(record), rate_of(record)
        return record

    # -- ending --------------------------------------------------------------------------------------------------------

    def end(self, record: Record, status: InvocationStatus, outcome: object, reason: str = "") -> None:
        """Write an end down; it is told once it is committed."""
        durable = durable_of(record)
        if durable.ending or durable.away:
            return
        if record._status is not PENDING and not record._status.can_transition_to(status):
            raise InvocationStatusError(
                f"invocation {self.format_id(record._number)} is {record._status} and cannot become {status}"
            )
        draft = self.ledger.draft(record)
        if status is SUCCESS:
            try:
                draft.result = encode(outcome, field="result")
            except SerializationError as error:
                status, outcome, reason = FAILED, error, ""
        if status is not SUCCESS and isinstance(outcome, BaseException):
            draft.error = encode_error(describe(outcome))
        if status is FAILED and isinstance(outcome, BaseException):
            record.need_more().traceback = outcome.__traceback__
        now = self.now = self.clock()
        draft.steps.append((status, now, self._attempt(record), reason))
        draft.end = (now, status, outcome, reason)
        self._hold_still(record)

    def _hold_still(self, record: Record) -> None:
        durable_of(record).ending = True
        more = record.need_more()
        if record._status in RUNNABLE:
            more.held = True
        more.told_at = None
        if more.timeout_at is not None:
            more.timeout_at = None
            self.agenda.note_dead()
        record._driver = _ENDING

    def _attempt(self, record: Record) -> int:
        """The attempt to which an end belongs; a body that was given a slot has one, though it never began."""
        return record._retries + 1 if record._status is PENDING else super()._attempt(record)

    def let_go(self, record: Record, more: More) -> None:
        """An attempt is over: what it held for its policies is free, and another suspect may come."""
        self._suspects.leave(record)
        super().let_go(record, more)

    def failed(self, record: Record, error: BaseException) -> None:
        """The body raised: give it back if that is because the app stops."""
        more = record._more
        told = self.stopping and isinstance(error, CancelledError)
        if told and more is not None and more.cancel_reason is None and more.timed_out is None:
            self.give_back(record, "the app was shut down")
        else:
            super().failed(record, error)

    def ask_to_stop(self, record: Record, more: More, reason: str, now: float) -> None:
        """Tell the body to stop, if there still is one."""
        if record._driver is not _ENDING:
            super().ask_to_stop(record, more, reason, now)

    def withdraw(self, record: Record, outcome: object, reason: str) -> None:
        """End, as CANCELLED, an invocation whose body is not under way."""
        if record._status is PENDING:
            record._started_at = None
        super().withdraw(record, outcome, reason)

    def abandon(self, record: Record, reason: str) -> None:
        """The loop that ran the body is gone: what was under way is given back to the store."""
        if record._ended_at is None:
            self.give_back(record, reason)

    def cancel(self, record: Record, reason: str) -> None:
        """Cancel an invocation of this runner; ask its owner where it is another's."""
        if record._number == 0 or durable_of(record).away:
            invocation_id: str = durable_of(record).identity[0]
            self.ledger.ask(CancelRequest(invocation_id=invocation_id, reason=reason))
        else:
            super().cancel(record, reason)

    # -- giving back ---------------------------------------------------------------------------------------------------

    def stop(self, record: Record) -> None:
        """The app stops: a body that is under way is told so, and given back when it has ended; the rest stays as it is."""
        driver = record._driver
        if driver is None or driver is _ENDING:
            if not durable_of(record).ending:
                self.give_back(record, "the app was shut down")
        elif record._status is PENDING and driver.revoke():
            self.give_back(record, "the app was shut down")
        else:
            self.stopping = True
            driver.cancel("the app was shut down")

    def give_back(self, record: Record, reason: str) -> None:
        """Let another runner, or the next start, run what will not be run to its end here."""
        durable = durable_of(record)
        if durable.ending or durable.away:
            return
        if record._status.can_transition_to(KILLED):
            attempt = record._retries + 1
            self.note(record, KILLED, attempt, reason)
            self.note(record, REROUTED, attempt, reason)
            self.ledger.draft(record).taken = False
        self._leave(record)

    def leave_to(self, record: Record) -> None:
        """Have nothing to do with `record` any more: what it is, others decide."""
        more = record.need_more()
        durable = durable_of(record)
        durable.away = True
        if record._status in HOLDS_SLOT:
            self._give_slot_back(record)
        elif record._status is PAUSED:
            self.paused -= 1
        record._status = KILLED  # neither queued nor waiting for anything here; what it is, the store says
        driver, record._driver = record._driver, None
        more.held = False
        self.let_go(record, more)
        if driver is not None:
            driver.cancel("another runner has the invocation")

    def _leave(self, record: Record) -> None:
        self.leave_to(record)
        self.hand_over(record)

    # -- what the ledger tells -----------------------------------------------------------------------------------------

    def settled(self, draft: Draft, refusal: Refusal | None) -> None:
        """The change of a draft was made, or refused."""
        record = draft.record
        durable = durable_of(record)
        if refusal is not None and not (draft.is_new and refusal.kind is RefusalKind.EXISTS):
            self._refused(draft, refusal)
            return
        if draft.is_new:
            durable.known = True
            if durable.acceptance is not None:
                tell_acceptance(durable)
            if not draft.taken:
                self.stored(record)
        if draft.end is not None:
            record._driver = None
            super().end_at(*draft.end[:1], record, *draft.end[1:])
        elif draft.is_start and not durable.away:
            self._begun.append(record)

    def _refused(self, draft: Draft, refusal: Refusal) -> None:
        record = draft.record
        durable = durable_of(record)
        if durable.away:
            return
        if is_lost(refusal):
            durable.ending = False
            self._leave(record)
            return
        durable.revision -= len(draft.steps)
        if draft.is_new:
            self.refused(record, refusal)
        elif not durable.ending:
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
        limiter.refuse(record, rule, wait)
        self._wait_for_permit(record, limiter, rule)

    def _take_start_back(self, record: Record, noted: int) -> None:
        trail = record.leave_path()
        del trail[-noted:]
        self._give_slot_back(record)
        record._status = trail[-1][0]
        if not any(step[0] is PENDING for step in trail):
            record._started_at = None

    def forget(self, record: Record, status: InvocationStatus, outcome: object, reason: str) -> None:
        """End an invocation that the store never had."""
        durable = durable_of(record)
        durable.ending = True
        record._driver = record._started_at = None
        super().end_at(self.clock(), record, status, outcome, reason)

    def look_again(self) -> None:
        """Other processes may have given back what is waited for here."""
        for limiter in self._limiters.values():
            limiter.look_again()

    def not_registered(self, record: Record, error: StoreError) -> None:
        """The store did not take a new invocation: it ends here, and whoever waits for it is told why."""
        durable = durable_of(record)
        durable.failure = error
        tell_acceptance(durable)
        if record._ended_at is None:
            self.forget(record, CANCELLED, error, "the store did not take it")

    def batch_settled(self) -> None:
        """All drafts of a batch were settled."""
        self.settle()
        self.went_on()

    def lost(self) -> None:
        """Nothing will be committed any more: no body can come to an end here that counts, and none must be waited for."""
        for record in self.store:
            if record._ended_at is None and not durable_of(record).away:
                self.leave_to(record)


def _nobody_takes_over(_record: Record) -> None:
    pass


def _nobody_listens(_record: Record, _refusal: Refusal) -> None:
    pass
