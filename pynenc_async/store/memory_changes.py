"""How the store in memory makes the changes of a commit: the rules of `Store.commit`, one method for each."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from pynenc_async.pacing import NONE, Starts, as_of, refused_until, started
from pynenc_async.status import InvocationStatus
from pynenc_async.store.memory_tables import OWNED, Stand, Tables, Transaction
from pynenc_async.store.values import (
    REPLACED,
    CancelRequest,
    Change,
    JournalChange,
    NewInvocation,
    Permit,
    RatePermit,
    Refusal,
    RefusalKind,
    Step,
    StoredInvocation,
    StoredStep,
    Transition,
    Unique,
    WaitChange,
    check_steps,
)

_RUNNING: Final = InvocationStatus.RUNNING
_RETRY: Final = InvocationStatus.RETRY


class Writer:
    """Makes the changes of one runner, in one transaction."""

    def __init__(self, tables: Tables, transaction: Transaction, runner_id: str, *, is_alive: bool) -> None:
        self._tables: Final = tables
        self._transaction: Final = transaction
        self._runner_id: Final = runner_id
        self._is_alive: Final = is_alive

    def make(self, change: Change) -> Refusal | None:
        """Make one change, or say why not. Raises `InvocationStatusError`."""
        match change:
            case NewInvocation():
                return self._register(change)
            case Transition():
                return self._move(change)
            case JournalChange():
                return self._write_journal(change)
            case WaitChange():
                return self._say_wait(change)
            case CancelRequest():
                return self._ask_to_cancel(change)

    # -- new invocations -----------------------------------------------------------------------------------------------

    def _register(self, change: NewInvocation) -> Refusal | None:
        check_steps(None, change.steps)
        refusal = self._registration_obstacle(change)
        if refusal is not None:
            return refusal
        tables, put, invocation_id = self._tables, self._transaction.put, change.invocation_id
        if change.unique is not None:
            unique = change.unique
            standing = tables.standing(unique.key, _moment_of(unique, change.steps))
            if standing is not None:
                self._ask_to_cancel(CancelRequest(invocation_id=standing, reason=REPLACED))
            former = tables.stands.get(unique.key)
            if former is not None:
                self._transaction.drop(tables.spared, former.invocation_id)
            put(tables.stands, unique.key, Stand(invocation_id, unique.until_started, unique.until, unique.since))
            put(tables.keys, invocation_id, unique.key)
        if change.fire is not None:
            put(tables.fires, change.fire, None)
        put(tables.histories, invocation_id, ())
        self.advance(_blank(change, self._runner_id), change.steps, taken=change.taken, due_at=change.due_at)
        return None

    def _registration_obstacle(self, change: NewInvocation) -> Refusal | None:
        if change.invocation_id in self._tables.invocations:
            registrar = self._tables.histories[change.invocation_id][0].runner_id
            return Refusal(RefusalKind.EXISTS, "" if registrar == self._runner_id else registrar)
        if change.unique is not None and not change.unique.replace:
            standing = self._tables.standing(change.unique.key, _moment_of(change.unique, change.steps))
            if standing is not None:
                return Refusal(RefusalKind.DUPLICATE, standing)
        if change.fire is not None and change.fire in self._tables.fires:
            return Refusal(RefusalKind.FIRED)
        return None

    # -- transitions ---------------------------------------------------------------------------------------------------

    def _move(self, change: Transition) -> Refusal | None:
        row = self._tables.invocations.get(change.invocation_id)
        if row is None:
            return Refusal(RefusalKind.UNKNOWN)
        if not self._is_home(row) or row.revision != change.revision:
            return Refusal(RefusalKind.STALE)
        check_steps(row.status, change.steps)
        refusal = self._permit_obstacle(change)
        if refusal is not None:
            return refusal
        if change.rate is not None:
            self._start_at_rate(change.rate, _moment(change.steps))
        row = msgspec.structs.replace(
            row,
            result=row.result if change.result is None else change.result,
            error=row.error if change.error is None else change.error,
        )
        if change.since is not None:
            row = msgspec.structs.replace(row, since=change.since)
        self.advance(row, change.steps, taken=change.taken, due_at=change.due_at, permits=change.permits)
        return None

    def advance(
        self,
        row: StoredInvocation,
        steps: Sequence[Step],
        *,
        taken: bool,
        due_at: float | None,
        permits: Iterable[Permit] = (),
    ) -> None:
        """Write the steps of an invocation, and all that follows from them."""
        tables, invocation_id = self._tables, row.invocation_id
        row = msgspec.structs.replace(_after(row, steps), taken=taken, due_at=due_at)
        self._transaction.put(tables.invocations, invocation_id, row)
        told = tuple(
            StoredStep(status=status, timestamp=moment, attempt=attempt, reason=reason, runner_id=self._runner_id)
            for status, moment, attempt, reason in steps
        )
        self._transaction.put(tables.histories, invocation_id, tables.histories[invocation_id] + told)
        self._transaction.drop(tables.waits, invocation_id)
        self._settle_permits(row, steps, permits)
        self._settle_stand(row, steps)
        if row.ended_at is not None:
            self._transaction.drop(tables.asked, invocation_id)
            if invocation_id in tables.sparing:
                self._transaction.drop(tables.sparing, invocation_id)
                self._let_go(tables.journals[invocation_id])

    def _is_home(self, row: StoredInvocation) -> bool:
        return self._is_alive and self._tables.is_home(self._runner_id, row)

    # -- permits and stands --------------------------------------------------------------------------------------------

    def _permit_obstacle(self, change: Transition) -> Refusal | None:
        for permit in change.permits:
            others = self._tables.holders.get(permit.name, frozenset()) - {change.invocation_id}
            if len(others) >= permit.limit:
                return Refusal(RefusalKind.LIMIT, permit.name)
        rate = change.rate
        if rate is not None:
            retry_at = refused_until(rate, self._starts(rate, _moment(change.steps)), _moment(change.steps))
            if retry_at is not None:
                return Refusal(RefusalKind.RATE, rate.name, retry_at)
        return None

    def _start_at_rate(self, rate: RatePermit, now: float) -> None:
        self._transaction.put(self._tables.buckets, rate.name, started(rate, self._starts(rate, now), now))

    def _starts(self, rate: RatePermit, now: float) -> Starts:
        """Return what is remembered under a rate, brought to the clock of now."""
        known = self._tables.buckets.get(rate.name, NONE)
        starts = as_of(rate, known, now)
        if starts is not known:
            self._transaction.put(self._tables.buckets, rate.name, starts)
        return starts

    def _settle_permits(self, row: StoredInvocation, steps: Sequence[Step], permits: Iterable[Permit]) -> None:
        before = self._tables.held.get(row.invocation_id, frozenset())
        after = frozenset[str]() if any(status not in OWNED for status, *_ in steps) else before
        if row.status in OWNED:
            after |= {permit.name for permit in permits}
        for name in before - after:
            self._hold(name, self._tables.holders[name] - {row.invocation_id})
        for name in after - before:
            self._hold(name, self._tables.holders.get(name, frozenset()) | {row.invocation_id})
        if after:
            self._transaction.put(self._tables.held, row.invocation_id, after)
        else:
            self._transaction.drop(self._tables.held, row.invocation_id)

    def _hold(self, name: str, holders: frozenset[str]) -> None:
        if holders:
            self._transaction.put(self._tables.holders, name, holders)
        else:
            self._transaction.drop(self._tables.holders, name)

    def _settle_stand(self, row: StoredInvocation, steps: Sequence[Step]) -> None:
        key = self._tables.keys.get(row.invocation_id)
        stand = self._tables.stands.get(key) if key is not None else None
        if key is None or stand is None or stand.invocation_id != row.invocation_id or stand.until is not None:
            return
        has_started = any(status is _RUNNING for status, *_ in steps)
        if row.ended_at is not None or (stand.until_started and has_started):
            self._transaction.drop(self._tables.stands, key)

    # -- the rest ------------------------------------------------------------------------------------------------------

    def _write_journal(self, change: JournalChange) -> Refusal | None:
        row = self._tables.invocations.get(change.invocation_id)
        if row is None:
            return Refusal(RefusalKind.UNKNOWN)
        if not self._is_home(row):
            return Refusal(RefusalKind.STALE)
        before = self._tables.journals.get(change.invocation_id, ())
        self._let_go(before[change.index :])
        self._transaction.put(self._tables.journals, change.invocation_id, (*before[: change.index], *change.named()))
        return None

    def _let_go(self, entries: Iterable[tuple[bytes, str | None]]) -> None:
        """Let purges ask again about what these entries name."""
        for _, name in entries:
            if name is not None:
                self._transaction.drop(self._tables.spared, name)

    def _say_wait(self, change: WaitChange) -> Refusal | None:
        tables = self._tables
        row = tables.invocations.get(change.invocation_id)
        if row is None:
            return Refusal(RefusalKind.UNKNOWN)
        if not self._is_home(row) or row.revision != change.revision or row.status not in OWNED:
            return Refusal(RefusalKind.STALE)
        number, before = tables.waits.get(change.invocation_id, (0, None))
        if before is None or before.needs != change.needs:
            tables.waits_said += 1
            number = tables.waits_said
        self._transaction.put(tables.waits, change.invocation_id, (number, change))
        return None

    def _ask_to_cancel(self, change: CancelRequest) -> Refusal | None:
        row = self._tables.invocations.get(change.invocation_id)
        if row is None:
            return Refusal(RefusalKind.UNKNOWN)
        if row.ended_at is not None or not self._is_alive:
            return Refusal(RefusalKind.STALE)
        if row.cancel_reason is None:
            asked = msgspec.structs.replace(row, cancel_reason=change.reason)
            self._transaction.put(self._tables.invocations, row.invocation_id, asked)
            self._transaction.put(self._tables.asked, row.invocation_id, None)
        return None


def _moment(steps: Sequence[Step]) -> float:
    """Return when a change happened, as its runner has it."""
    return steps[-1][1]


def _moment_of(unique: Unique, steps: Sequence[Step]) -> float:
    """Return by which moment a call with a unique key is judged."""
    return _moment(steps) if unique.since is None else unique.since


def _after(row: StoredInvocation, steps: Sequence[Step]) -> StoredInvocation:
    """Return an invocation after some steps more."""
    status, moment, attempt, _ = steps[-1]
    has_ended = status.is_final()
    return msgspec.structs.replace(
        row,
        status=status,
        revision=row.revision + len(steps),
        attempt=attempt,
        num_retries=row.num_retries + sum(step[0] is _RETRY for step in steps),
        started_at=next((step[1] for step in reversed(steps) if step[0] is _RUNNING), row.started_at),
        ended_at=moment if has_ended else None,
        cancel_reason=None if has_ended else row.cancel_reason,
    )


def _blank(change: NewInvocation, home: str) -> StoredInvocation:
    """Return a new invocation before its first step."""
    status, moment, attempt, _ = change.steps[0]
    return StoredInvocation(
        invocation_id=change.invocation_id,
        task_id=change.task_id,
        arguments=change.arguments,
        parent_invocation_id=change.parent_invocation_id,
        status=status,
        revision=0,
        home=home,
        attempt=attempt,
        num_retries=0,
        crashes=0,
        max_crashes=change.max_crashes,
        priority=change.priority,
        registered_at=moment,
        started_at=None,
        ended_at=None,
        due_at=change.due_at,
        deadline_at=change.deadline_at,
        since=change.since,
        options=change.options,
        result=None,
        error=None,
        cancel_reason=None,
        taken=change.taken,
    )
