"""The scheduler of an app with a store: the same decisions, each written down before its effect.

**Theory of operation.** Whatever moves an invocation is noted in the ledger as well (`note_at`). Two effects wait until
the store has them:

* *A body begins* after its RUNNING is committed: so an attempt that was interrupted is known to have been one. A record
  that was given a slot (PENDING) waits in `_begun` for a carrier until then.
* *An end is told* after it is committed, with its result: until then the record stays in the status in which its body
  ended, keeps its slot, and takes no further news (`Durable.ending`).

Everything else (pauses, retries, waiting for a limit) is committed in order, and nobody waits for it. What the store
refuses, and what belongs to other runners, is for `durable`.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, cast

from pynenc_async.clock import SteadyClock
from pynenc_async.errors import InvocationStatusError, SerializationError, StoreError
from pynenc_async.guard import report_failure
from pynenc_async.outcome import describe, value_error
from pynenc_async.record import Record
from pynenc_async.scheduler.drafts import Draft, End
from pynenc_async.scheduler.durability import LARGEST, Durable, durable_of, require_storable, tell_acceptance
from pynenc_async.scheduler.ledger import Ledger
from pynenc_async.scheduler.permits import permits_of, rate_of
from pynenc_async.scheduler.scheduler import Scheduler
from pynenc_async.scheduler.slots import Wiring, begins_on_loop
from pynenc_async.scheduler.statuses import (
    CANCELLED,
    CONCURRENCY_CONTROLLED_FINAL,
    FAILED,
    HOLDS_SLOT,
    PENDING,
    REGISTERED,
    RUNNABLE,
    RUNNING,
    SUCCESS,
    WAITS,
)
from pynenc_async.scheduler.unconnected import nobody_listens
from pynenc_async.status import InvocationStatus
from pynenc_async.store.values import Refusal, RefusalKind, encode_error
from pynenc_async.user_errors import is_a, name_of, traceback_of


class Ending:
    """The driver of an invocation whose end is being committed: nothing can be done about it any more."""

    def cancel(self, reason: str) -> None:
        """Too late."""

    def revoke(self) -> bool:
        """Too late."""
        return False

    def insist(self) -> bool:
        """Too late."""
        return False

    def leave_behind(self) -> bool:
        """Too late."""
        return False


ENDING: Final = Ending()
_OWN: Final = Refusal(RefusalKind.EXISTS)
"""The answer to a registration that this runner has committed before, without hearing of it."""


class WritingScheduler(Scheduler):
    """Decides, writes down, and lets happen."""

    def __init__(self, wiring: Wiring) -> None:
        super().__init__(wiring)
        self.ledger: Final = Ledger(self, self.turnstile)
        self.steady: Final = SteadyClock(self.agenda.now)
        """The clock of the session: the time of day at its start, and what has passed since. Stored waits go by it."""
        self._begun: Final[deque[Record]] = deque()
        """Bodies that may begin: their attempts are committed."""
        self._leaving: Final[set[int]] = set()
        """The numbers of those here that waited, and whose end is decided: they wait no more, though it is not stored yet."""
        self.went_on: Callable[[], None] = nobody_listens
        """Called after each batch: there may be room for more."""
        self.stored: Callable[[Record], None] = nobody_listens
        """Called when the store has a new invocation that is not kept here."""

    # -- admission -----------------------------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """How many have been submitted and have not begun, or wait for their next attempt; not those whose end is decided."""
        return super().waiting - len(self._leaving)

    def those_waiting(self) -> Iterator[Record]:
        """Them, the newest first."""
        return (record for record in super().those_waiting() if not durable_of(record).ending)

    def note_leaving(self, record: Record) -> None:
        """Count one that waits here, and whose end is decided, no more."""
        if record._status in WAITS and record._number in self.store.records:
            self._leaving.add(record._number)

    def put_away(self, record: Record) -> bool:
        """Keep a new invocation in memory no more, as it lies in the store; say whether it was kept until now."""
        self._leaving.discard(record._number)
        return self.store.records.pop(record._number, None) is not None

    # -- writing down --------------------------------------------------------------------------------------------------

    def note_at(self, now: float, record: Record, status: InvocationStatus, attempt: int, reason: str = "") -> None:
        """Write a transition down, in the history and in the ledger."""
        more = durable_of(record)
        if status is RUNNING:  # written down when it was decided, see `_begin`
            if more.trail is not None:
                now = more.trail[-1][1]
        elif not (more.ending or more.away):
            self.ledger.draft(record).write((status, now, attempt, reason))
        super().note_at(now, record, status, attempt, reason)

    def retry_after(self, record: Record, delay: float) -> None:
        """Let `record`, which is in RETRY, be run again in `delay` seconds."""
        if delay > 0:
            draft = self.ledger.draft(record)
            draft.since = now = self.steady()
            draft.due_at = now + delay
        super().retry_after(record, delay)

    # -- beginning -----------------------------------------------------------------------------------------------------

    def startable(self, most: int) -> int:
        """How many records `take` could start now; those that have a slot are written down as begun on this occasion."""
        if self.in_use < self.limit:
            self.turnstile.enter(self._decide_starts)
        return min(len(self._begun), most)

    def take(self) -> Record | None:
        """Start the next record whose attempt is committed."""
        begun = self._begun
        while begun:
            record = begun.popleft()
            more = durable_of(record)
            if record._status is not PENDING or more.ending or more.away:
                continue
            if begins_on_loop(record):
                record._status = RUNNING
                if more.trail is not None or more.watch is not None:
                    self.note(record, RUNNING, record._retries + 1)
            return record
        return None

    def take_only(self, record: Record) -> bool:
        """Nothing begins before it is committed, so nothing begins in place."""
        del record
        return False

    def _decide_starts(self) -> None:
        take = super().take
        while take() is not None:
            pass

    def _begin(self, record: Record) -> bool:
        """Give `record` a slot, and write its attempt down; its body begins once that is committed."""
        more = durable_of(record)
        if more.ending or more.away:
            return False
        self.in_use += 1
        self.now = now = self.clock()
        attempt = record._retries + 1
        task = record._task
        if task.place is not None:
            task.place.in_use += 1
            record.leave_path()  # its body may begin later than it was decided: the time slots cannot say both
        record._started_at = now
        record._status = PENDING
        if more.trail is not None or more.watch is not None:
            super().note_at(now, record, PENDING, attempt)
        draft = self.ledger.draft(record)
        draft.begin(now, attempt)
        if task.limiter is not None:
            draft.permits, draft.rate = permits_of(record), rate_of(record)
        return True

    # -- ending --------------------------------------------------------------------------------------------------------

    def succeeded(self, record: Record, value: object) -> None:
        """The body returned `value`."""
        handed = durable_of(record).handed
        if handed is not None:
            handed.deliver(value, returned=True)
        else:
            self.resume_late(record)
            self.end(record, SUCCESS, value)

    def end(self, record: Record, status: InvocationStatus, outcome: object, reason: str = "") -> None:
        """Write an end down; it is told once it is committed."""
        more = durable_of(record)
        if more.ending or more.away:
            return
        current = record._status
        if current is not RUNNING and current is not PENDING and not current.can_transition_to(status):
            raise InvocationStatusError(
                f"invocation {self.format_id(record._number)} is {current} and cannot become {status}"
            )
        # Here runs code of users, before anything has changed.
        result = error = None
        if status is SUCCESS:
            try:
                result = _encode_result(record, outcome)
            except BaseException as problem:  # noqa: BLE001  code of the value's class may raise anything
                status, outcome, reason = FAILED, value_error(problem, "result"), ""
        if status is not SUCCESS and is_a(outcome, BaseException):
            failure = cast(BaseException, outcome)
            error = _encode_failure(failure)
            if status is FAILED:
                more.traceback = traceback_of(failure)
        draft = self.ledger.draft(record)
        draft.result, draft.error = result, error
        self.now = now = self.clock()
        draft.finish((now, status, outcome, reason, self._attempt(record)))
        self._hold_still(record, more)

    def _hold_still(self, record: Record, more: Durable) -> None:
        more.ending = True
        self.note_leaving(record)
        if record._status in RUNNABLE:
            more.held = True
        more.told_at = None
        if more.timeout_at is not None:
            more.timeout_at = None
            self.agenda.note_dead()
        record._driver = ENDING

    def end_at(self, now: float, record: Record, status: InvocationStatus, outcome: object, reason: str) -> None:
        """Let it end, as it was decided: see `Endings.end_at`."""
        if self._leaving:
            self._leaving.discard(record._number)
        super().end_at(now, record, status, outcome, reason)

    def _attempt(self, record: Record) -> int:
        """The attempt to which an end belongs; a body that was given a slot has one, though it never began."""
        return record._retries + 1 if record._status is PENDING else super()._attempt(record)

    def withdraw(self, record: Record, outcome: object, reason: str) -> None:
        """End, as CANCELLED, an invocation whose body is not under way."""
        more = durable_of(record)
        if more.ending or more.away:
            return
        if record._status is PENDING:
            self.ledger.draft(record).spell_out()
            self.tell_start(record)
            record._started_at = None
        super().withdraw(record, outcome, reason)

    def tell_start(self, record: Record) -> None:
        """Say of one that is PENDING what the store says: that it was RUNNING, for that is written down before it is so."""
        record.leave_path()
        self.note(record, RUNNING, record._retries + 1)

    # -- what the ledger tells -----------------------------------------------------------------------------------------

    def settled(self, draft: Draft, refusal: Refusal | None) -> None:
        """The change of a draft was made, or refused."""
        self.turnstile.enter(self._settle, draft, refusal)

    def _settle(self, draft: Draft, refusal: Refusal | None) -> None:
        record = draft.record
        more = durable_of(record)
        if refusal is not None and not (draft.is_new and refusal == _OWN):
            self._refused(draft, refusal)
            return
        if draft.is_new:
            more.known = True
            if more.acceptance is not None:
                tell_acceptance(more)
            if not draft.taken and draft.end is None:
                self.stored(record)
        if more.away:
            return  # whoever watches it sees what the store has
        if draft.end is not None:
            self._tell_end(record, more, draft.end)
        elif draft.is_start:
            self._begun.append(record)

    def _tell_end(self, record: Record, more: Durable, end: End) -> None:
        now, status, outcome, reason, _ = end
        record._driver = None
        if not more.taken:
            self.store.records[record._number] = record  # from the backlog, where only its handles have kept it
        self.end_at(now, record, status, outcome, reason)

    def batch_settled(self) -> None:
        """All drafts of a batch were settled."""
        self.settle()
        self.went_on()

    def not_registered(self, record: Record, error: StoreError) -> None:
        """The store did not take a new invocation: it ends here, and whoever waits for it is told why."""
        more = durable_of(record)
        more.failure = error
        tell_acceptance(more)
        if record._ended_at is None:
            self.forget(record, CANCELLED, error, "the store did not take it")

    def forget(self, record: Record, status: InvocationStatus, outcome: object, reason: str) -> None:
        """End an invocation that the store never had."""
        more = durable_of(record)
        more.ending = True
        self._take_back_start(record, more)
        self.store.records[record._number] = record
        self.end_at(self.clock(), record, status, outcome, reason)

    def register_dropped(self, record: Record, arguments: bytes, outcome: object, reason: str) -> None:
        """Register, as dropped by the policy of its task, what the store has refused to register beside another one."""
        more = durable_of(record)
        self.ledger.drop(record)
        more.unique, more.arguments, more.revision, more.taken = None, arguments, 0, True
        self._take_back_start(record, more)
        self.ledger.register(record)
        self.ledger.draft(record).finish((self.clock(), CONCURRENCY_CONTROLLED_FINAL, outcome, reason, 0))
        self._hold_still(record, more)

    def _take_back_start(self, record: Record, more: Durable) -> None:
        """Of what was decided about an invocation that the store does not have, nothing has happened."""
        record._driver = record._started_at = None
        if record._status is not PENDING:  # which has a slot to give back
            record._status = REGISTERED
        if more.trail is not None:
            more.trail = [(REGISTERED, record._registered_at, 0, "")]

    def not_storable(self, draft: Draft, error: Exception) -> None:
        """The store can never make this change: whoever waits for its invocation is told so."""
        self._report(draft.record, error, "committing a change")
        failure = StoreError(f"the store cannot take a change of this invocation: {type(error).__name__}: {error}")
        if draft.is_new:
            self.not_registered(draft.record, failure)
        else:
            self._end_here(draft.record, failure)

    def _report(self, record: Record, error: BaseException, doing: str) -> None:
        report_failure(error, doing, invocation_id=durable_of(record).invocation_id, task_id=record._task.task_id)

    def _end_here(self, record: Record, error: BaseException) -> None:
        """End for this process what cannot go on; in the store it stands as before, for who takes over from this one."""
        more = durable_of(record)
        if record._ended_at is not None or more.away:
            return
        driver, more.ending = record._driver, True
        status = FAILED if record._status in HOLDS_SLOT else CANCELLED
        self.end_at(self.clock(), record, status, error, "what became of it cannot be stored")
        if driver is not None:
            driver.cancel("what became of it cannot be stored")

    def _refused(self, draft: Draft, refusal: Refusal) -> None:
        raise NotImplementedError

    def not_settled(self, draft: Draft, refusal: Refusal | None, error: BaseException) -> None:
        """What follows from a commit has raised."""
        raise NotImplementedError

    def lost(self, error: StoreError) -> None:
        """Nothing will be committed any more."""
        raise NotImplementedError


def _encode_result(record: Record, value: object) -> bytes:
    data: bytes = record._task.function.result_wire.encode(value, field="result")
    require_storable(data, "result")
    return data


def _encode_failure(error: BaseException) -> bytes:
    data = encode_error(describe(error))
    if len(data) <= LARGEST:
        return data
    too_large = SerializationError("error", f"{name_of(error)} takes {len(data):,} bytes, and is not stored")
    return encode_error(describe(too_large))
