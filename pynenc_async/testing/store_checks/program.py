"""Programs of operations on a store, by several runners; see `run` for how they are judged."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from pynenc_async.status import RULES
from pynenc_async.store.values import (
    CancelRequest,
    Change,
    Fire,
    JournalChange,
    NewInvocation,
    Permit,
    RatePermit,
    StoredInvocation,
    Transition,
    Unique,
)
from pynenc_async.testing.store_checks.bench import NOW, OTHER_TASK, TASK, S, steps_of

RUNNERS: Final = 3
SLOTS: Final = 8
"""How many different invocations a program can speak of."""
PERMITS: Final[Mapping[str, int]] = MappingProxyType({"one": 1, "two": 2})
RATES: Final = (RatePermit("rate", 3.0, 1), RatePermit("window", 1.5, 2, window=3.0))
UNIQUES: Final = (
    Unique("plain"),
    Unique("plain"),
    Unique("started", until_started=True),
    Unique("moment", until=NOW + 6),
    Unique("replaced", replace=True),
    Unique("replaced"),
)
_BY_RECOVERY: Final = (S.PENDING_RECOVERY, S.RUNNING_RECOVERY)


class Register(msgspec.Struct, frozen=True):
    """Register the invocation of a slot."""

    slot: int
    is_other_task: bool = False
    is_scheduled: bool = False
    taken: bool = True
    priority: int = 0
    delay: int | None = None
    unique: int | None = None
    fire: int | None = None
    max_crashes: int = 2


class Walk(msgspec.Struct, frozen=True):
    """Let the invocation of a slot go some steps further, from where it was before the batch."""

    slot: int
    choices: tuple[int, ...]
    """Which of the next statuses, at each step."""
    lag: int = 0
    """By how many revisions the change is wrong."""
    permits: tuple[str, ...] = ()
    has_rate: bool = False
    taken: bool = True
    delay: int | None = None


class Ask(msgspec.Struct, frozen=True):
    """Ask for the cancellation of the invocation of a slot."""

    slot: int
    reason: str = ""


class Note(msgspec.Struct, frozen=True):
    """Write into the journal of the invocation of a slot, as far from its beginning as it is long, or less."""

    slot: int
    index: int
    count: int
    named: int | None = None
    """The slot that the first of the entries names."""


Part = Register | Walk | Ask | Note


class Commit(msgspec.Struct, frozen=True):
    """Commit a batch."""

    runner: int | None
    """None: whoever is the home of the first invocation that it speaks of, if that is a runner."""
    parts: tuple[Part, ...]


class Claim(msgspec.Struct, frozen=True):
    """Claim out of the backlog."""

    runner: int
    limit: int
    tasks: tuple[str, ...] = (TASK, OTHER_TASK)
    slots: tuple[int, ...] | None = None
    """Of which only; None: of all."""


class Die(msgspec.Struct, frozen=True):
    """Die, and be declared dead by a runner that lives; not if there is none."""

    runner: int


class Return(msgspec.Struct, frozen=True):
    """Rejoin, if dead."""

    runner: int


class Recover(msgspec.Struct, frozen=True):
    """Take over what the dead have left."""

    runner: int
    tasks: tuple[str, ...] = (TASK, OTHER_TASK)


class Purge(msgspec.Struct, frozen=True):
    """Forget all that has ended, but some."""

    runner: int
    count: int


class Wait(msgspec.Struct, frozen=True):
    """Let time pass."""

    seconds: int


Operation = Commit | Claim | Die | Return | Recover | Purge | Wait


def name_of(slot: int) -> str:
    """Return the id of the invocation of a slot."""
    return f"invocation-{slot}"


def change_of(part: Part, row: StoredInvocation | None, journal_length: int, now: float) -> Change:
    """Return the change that a part of a batch is, where its invocation is `row` before the batch."""
    match part:
        case Register():
            return _registration(part, now)
        case Walk():
            return _transition(part, row, now)
        case Ask():
            return CancelRequest(invocation_id=name_of(part.slot), reason=part.reason)
        case Note():
            entries = tuple(b"%d at %d" % (number, now) for number in range(part.count))
            index = min(part.index, journal_length)
            names = () if part.named is None or not entries else (name_of(part.named),)
            return JournalChange(invocation_id=name_of(part.slot), index=index, entries=entries, names=names)


def _registration(part: Register, now: float) -> NewInvocation:
    return NewInvocation(
        invocation_id=name_of(part.slot),
        task_id=OTHER_TASK if part.is_other_task else TASK,
        arguments=b'{"slot":%d}' % part.slot,
        steps=steps_of(S.SCHEDULED if part.is_scheduled else S.REGISTERED, at=now),
        priority=part.priority,
        due_at=None if part.delay is None else now + part.delay,
        since=None if part.delay is None else now,
        max_crashes=part.max_crashes,
        taken=part.taken,
        unique=None if part.unique is None else UNIQUES[part.unique],
        fire=None if part.fire is None else Fire("schedule", NOW + part.fire),
    )


def _transition(part: Walk, row: StoredInvocation | None, now: float) -> Transition:
    status, attempt, revision = (S.REGISTERED, 0, 1) if row is None else (row.status, row.attempt, row.revision)
    if status.is_final() and 0 in part.choices:
        revision -= 1  # too late, mostly; else it is forbidden, and the whole batch with it
    steps: list[tuple[S, float, int, str]] = []
    for choice in part.choices:
        if steps and status.is_final():
            break
        ways = [way for way in RULES[status].next if way not in _BY_RECOVERY] or [S.RUNNING]
        status = ways[choice % len(ways)]
        attempt += status is S.PENDING
        steps.append((status, now, attempt, f"choice {choice}"))
    return Transition(
        invocation_id=name_of(part.slot),
        revision=revision - part.lag,
        steps=tuple(steps),
        due_at=None if part.delay is None else now + part.delay,
        since=None if part.delay is None else now,
        result=b'"done"' if status is S.SUCCESS else None,
        error=b'{"message":"no"}' if status in (S.FAILED, S.CANCELLED) else None,
        permits=tuple(Permit(name, PERMITS[name]) for name in part.permits),
        rate=RATES[part.slot % len(RATES)] if part.has_rate else None,
        taken=part.taken,
    )
