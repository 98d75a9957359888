"""The backlog of the store in memory: who may be claimed, and how it grows by what the dead have left."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from pynenc_async.status import InvocationStatus
from pynenc_async.store.memory_changes import Writer
from pynenc_async.store.memory_tables import Tables, Transaction
from pynenc_async.store.recovering import INTERRUPTED, poison_error, recovery_steps, waiting_since
from pynenc_async.store.values import Backlog, Recovery, StoredInvocation

_CLAIMABLE: Final = frozenset(
    {status for status in InvocationStatus if status.is_available_to_run()}
    | {InvocationStatus.SCHEDULED, InvocationStatus.CONCURRENCY_CONTROLLED}
)


@dataclass(frozen=True, slots=True)
class Eligible:
    """What may be claimed."""

    runner_id: str
    task_ids: Collection[str]
    now: float
    only: Collection[str] | None
    """The ids, where not all are wanted."""


def claim(tables: Tables, transaction: Transaction, eligible: Eligible, limit: int) -> list[StoredInvocation]:
    """Take the first of the backlog."""
    ready = [
        row
        for row in _backlog(tables, eligible.runner_id, eligible.task_ids)
        if _is_due(row, eligible.now) and (eligible.only is None or row.invocation_id in eligible.only)
    ]
    ready.sort(key=lambda row: (-row.priority, row.registered_at, _number(row.invocation_id)))
    claimed = [msgspec.structs.replace(row, taken=True) for row in ready[: max(limit, 0)]]
    for row in claimed:
        transaction.put(tables.invocations, row.invocation_id, row)
    return claimed


def _number(invocation_id: str) -> int:
    """Return the number that the submitter gave an invocation; 0 where the id says none."""
    digits = invocation_id.rpartition("-")[2]
    return int(digits) if digits.isdecimal() else 0


def describe_backlog(tables: Tables, runner_id: str, task_ids: Collection[str], now: float) -> Backlog:
    """Count the backlog."""
    rows = list(_backlog(tables, runner_id, task_ids))
    return Backlog(
        ready=dict(Counter(row.priority for row in rows if _is_due(row, now))),
        next_due=min((row.due_at for row in rows if row.due_at is not None and not _is_due(row, now)), default=None),
    )


def _backlog(tables: Tables, runner_id: str, task_ids: Collection[str]) -> Iterator[StoredInvocation]:
    for row in tables.invocations.values():
        if tables.is_home(runner_id, row) and not row.taken and row.status in _CLAIMABLE and row.task_id in task_ids:
            yield row


def _is_due(row: StoredInvocation, now: float) -> bool:
    return row.due_at is None or row.due_at <= now


class Heir:
    """Takes over what belongs to dead runners."""

    def __init__(
        self, tables: Tables, transaction: Transaction, runner_id: str, now: float, stopping: Collection[str]
    ) -> None:
        self._tables: Final = tables
        self._transaction: Final = transaction
        self._runner_id: Final = runner_id
        self._writer: Final = Writer(tables, transaction, runner_id, is_alive=True)
        self._now: Final = now
        self._stopping: Final = stopping
        self._interrupted = 0
        self._poisoned: Final[list[str]] = []

    def inherit(self, is_dead: Callable[[str], bool], task_ids: Collection[str], found: Collection[str]) -> Recovery:
        """Take over what is of one of the tasks; `found` are those whose death was noticed just now."""
        runners, parked, adopted = dict.fromkeys(found), Counter[str](), 0
        for row in list(self._tables.invocations.values()):
            if row.ended_at is not None or not (row.invocation_id in self._tables.orphans or is_dead(row.home)):
                continue
            if row.task_id not in task_ids:
                parked[row.task_id] += 1
                continue
            adopted += self._take_over(row)
            runners[row.home] = None
        return Recovery(
            runners=tuple(runners),
            adopted=adopted,
            interrupted=self._interrupted,
            poisoned=tuple(self._poisoned),
            parked=dict(parked),
        )

    def let_stands_begin(self) -> None:
        """Let what stands since later than now, until a moment, stand since now."""
        for key, stand in list(self._tables.stands.items()):
            if stand.until is not None and stand.since is not None and stand.since > self._now:
                until = stand.until - (stand.since - self._now)
                moved = msgspec.structs.replace(stand, until=until, since=self._now)
                self._transaction.put(self._tables.stands, key, moved)

    def _take_over(self, row: StoredInvocation) -> bool:
        """Take over one; say whether it is in the backlog now."""
        self._transaction.drop(self._tables.orphans, row.invocation_id)
        row = waiting_since(row, self._now)
        interrupted = row.status in INTERRUPTED
        has_crashed = interrupted and row.home not in self._stopping
        crashes = row.crashes + has_crashed
        is_poison = has_crashed and crashes >= row.max_crashes
        mine = msgspec.structs.replace(
            row,
            home=self._runner_id,
            crashes=crashes,
            error=poison_error(row.invocation_id, crashes) if is_poison else row.error,
        )
        steps = recovery_steps(
            row.status, attempt=row.attempt, is_poison=is_poison, dead_runner=row.home, now=self._now
        )
        if steps:
            self._writer.advance(mine, steps, taken=False, due_at=None)
        else:
            stays = msgspec.structs.replace(mine, taken=False)
            self._transaction.put(self._tables.invocations, row.invocation_id, stays)
        self._interrupted += interrupted and not is_poison
        if is_poison:
            self._poisoned.append(row.invocation_id)
        return not is_poison
