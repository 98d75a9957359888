"""The life of an invocation, as one table.

`RULES` is the only place that knows which status may follow which, and who may say so. Validation, the diagrams, the
SQL `CHECK` and the documentation are derived from it (see `status_render`); to change the machine, change its rows.

Ownership is a lease. A runner takes it by writing PENDING and holds it through every `required` status; in any other
status nobody has it. While the lease is held, only its owner (the same runner id, the same attempt) may write, except
for a recovery, which takes the lease from an owner that is thought dead. A recovery still names the attempt that it
recovers, so that one that arrives late cannot take the lease of the next attempt.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, auto
from types import MappingProxyType
from typing import Final

from pynenc_async.errors import InvocationStatusError


class InvocationStatus(StrEnum):
    """Where an invocation is in its life; equal to its own name in lower case."""

    SCHEDULED = auto()
    REGISTERED = auto()
    CONCURRENCY_CONTROLLED = auto()
    CONCURRENCY_CONTROLLED_FINAL = auto()
    REROUTED = auto()
    PENDING = auto()
    PENDING_RECOVERY = auto()
    RUNNING = auto()
    PAUSED = auto()
    RESUMED = auto()
    RUNNING_RECOVERY = auto()
    RETRY = auto()
    KILLED = auto()
    SUCCESS = auto()
    FAILED = auto()
    CANCELLED = auto()

    def is_final(self) -> bool:
        """Whether the invocation has ended: a final status never changes."""
        return self in _FINAL

    def is_available_to_run(self) -> bool:
        """Whether a runner may pick the invocation up."""
        return self in _MAY_BE_RUN

    def can_transition_to(self, other: "InvocationStatus") -> bool:
        """Whether `other` may come next, whoever writes it."""
        return other in _NEXT[self]


class Ownership(StrEnum):
    """What writing a status does to the lease on the invocation."""

    NONE = auto()
    """Nobody owns an invocation in this status; a lease that was held is given up by its owner."""
    ACQUIRES = auto()
    """The writer becomes the owner, and a new attempt may begin."""
    REQUIRED = auto()
    """The writer must be the owner, and stays it."""
    RELEASES = auto()
    """The owner, if there is one, must be the writer; it owns the invocation no longer."""
    OVERRIDES_AND_RELEASES = auto()
    """Anybody may write it: the lease is taken from its owner, and nobody has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusRule:
    """One row of the table."""

    meaning: str
    next: tuple[InvocationStatus, ...] = ()
    final: bool = False
    may_be_run: bool = False
    ownership: Ownership


_S: Final = InvocationStatus

INITIAL: Final = (_S.REGISTERED, _S.SCHEDULED)
"""The statuses in which an invocation may begin."""

RULES: Final[Mapping[InvocationStatus, StatusRule]] = MappingProxyType(
    {
        _S.SCHEDULED: StatusRule(
            meaning="waits for its time, or for its delay to pass",
            next=(_S.REGISTERED, _S.CANCELLED),
            ownership=Ownership.NONE,
        ),
        _S.REGISTERED: StatusRule(
            meaning="submitted; waits for a runner",
            next=(_S.PENDING, _S.CONCURRENCY_CONTROLLED, _S.CONCURRENCY_CONTROLLED_FINAL, _S.CANCELLED),
            may_be_run=True,
            ownership=Ownership.NONE,
        ),
        _S.CONCURRENCY_CONTROLLED: StatusRule(
            meaning="waits until a concurrency limit lets it through",
            next=(_S.REROUTED, _S.CANCELLED),
            ownership=Ownership.NONE,
        ),
        _S.CONCURRENCY_CONTROLLED_FINAL: StatusRule(
            meaning="dropped by the policy of a concurrency limit",
            final=True,
            ownership=Ownership.NONE,
        ),
        _S.REROUTED: StatusRule(
            meaning="handed back to be run; waits for a runner again",
            next=(_S.PENDING, _S.CONCURRENCY_CONTROLLED, _S.CANCELLED),
            may_be_run=True,
            ownership=Ownership.NONE,
        ),
        _S.PENDING: StatusRule(
            meaning="picked by a runner, which owns it from here on; not yet running",
            next=(_S.RUNNING, _S.REROUTED, _S.KILLED, _S.PENDING_RECOVERY, _S.CANCELLED),
            ownership=Ownership.ACQUIRES,
        ),
        _S.PENDING_RECOVERY: StatusRule(
            meaning="taken back from a runner that picked it and never ran it",
            next=(_S.REROUTED,),
            ownership=Ownership.OVERRIDES_AND_RELEASES,
        ),
        _S.RUNNING: StatusRule(
            meaning="its body runs",
            next=(_S.PAUSED, _S.RETRY, _S.SUCCESS, _S.FAILED, _S.KILLED, _S.RUNNING_RECOVERY, _S.CANCELLED),
            ownership=Ownership.REQUIRED,
        ),
        _S.PAUSED: StatusRule(
            meaning="its body awaits another invocation; its slot is free",
            next=(_S.RESUMED, _S.KILLED, _S.RUNNING_RECOVERY, _S.CANCELLED),
            ownership=Ownership.REQUIRED,
        ),
        _S.RESUMED: StatusRule(
            meaning="its body runs again after a pause",
            next=(_S.PAUSED, _S.RETRY, _S.SUCCESS, _S.FAILED, _S.KILLED, _S.RUNNING_RECOVERY, _S.CANCELLED),
            ownership=Ownership.REQUIRED,
        ),
        _S.RUNNING_RECOVERY: StatusRule(
            meaning="taken back from a runner that died while it ran; fails when it has crashed too often",
            next=(_S.REROUTED, _S.FAILED),
            ownership=Ownership.OVERRIDES_AND_RELEASES,
        ),
        _S.RETRY: StatusRule(
            meaning="an attempt failed; may be run again after its delay",
            next=(_S.PENDING, _S.CANCELLED),
            may_be_run=True,
            ownership=Ownership.RELEASES,
        ),
        _S.KILLED: StatusRule(
            meaning="given back by a runner that stops",
            next=(_S.REROUTED,),
            ownership=Ownership.RELEASES,
        ),
        _S.SUCCESS: StatusRule(meaning="ended with a result", final=True, ownership=Ownership.RELEASES),
        _S.FAILED: StatusRule(meaning="ended with an error", final=True, ownership=Ownership.RELEASES),
        _S.CANCELLED: StatusRule(meaning="ended because it was cancelled", final=True, ownership=Ownership.RELEASES),
    }
)
"""What holds for each status. `next` is a tuple: its order is the order of everything that is rendered."""

_FINAL: Final = frozenset(status for status, rule in RULES.items() if rule.final)
_MAY_BE_RUN: Final = frozenset(status for status, rule in RULES.items() if rule.may_be_run)
_NEXT: Final = {status: frozenset(rule.next) for status, rule in RULES.items()}
_OWNED: Final = frozenset({Ownership.ACQUIRES, Ownership.REQUIRED})

# help(InvocationStatus) shows the words of the table, which are written once.
InvocationStatus.__doc__ = "\n".join(
    [f"{InvocationStatus.__doc__}\n", *(f"* {status.name}: {rule.meaning}" for status, rule in RULES.items())]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusRecord:
    """Where an invocation is, which runner owns it (None: nobody), and in which attempt."""

    status: InvocationStatus
    runner_id: str | None
    attempt: int


def advance(current: StatusRecord | None, to: InvocationStatus, *, runner_id: str, attempt: int) -> StatusRecord:
    """Return the record after `runner_id` has moved the invocation from `current` (None: it is new) to `to`.

    Raise `InvocationStatusError` if the table forbids the move, if it is not the writer's to make, or if `attempt` is
    not the current one. Only a status that acquires ownership may begin a later attempt.
    """
    _check_transition(current.status if current else None, to)
    ownership = RULES[to].ownership
    if current is not None:
        _check_owner(current, to, ownership, runner_id)
        _check_attempt(current, to, ownership, attempt)
    return StatusRecord(status=to, runner_id=runner_id if ownership in _OWNED else None, attempt=attempt)


def _check_transition(current: InvocationStatus | None, to: InvocationStatus) -> None:
    allowed = INITIAL if current is None else _NEXT[current]
    if to not in allowed:
        raise InvocationStatusError(_forbidden(current, to))


def _forbidden(current: InvocationStatus | None, to: InvocationStatus) -> str:
    if current is None:
        return f"an invocation cannot begin as {to}; it begins as {' or '.join(INITIAL)}"
    allowed = ", ".join(RULES[current].next) or f"nothing, {current} is final"
    return f"an invocation cannot go from {current} to {to}; allowed from {current}: {allowed}"


def _check_owner(current: StatusRecord, to: InvocationStatus, ownership: Ownership, runner_id: str) -> None:
    if ownership is Ownership.OVERRIDES_AND_RELEASES or runner_id == current.runner_id:
        return
    # Nobody's invocation is anybody's to move, but not to a status that presumes an owner.
    if current.runner_id is None and ownership is not Ownership.REQUIRED:
        return
    raise InvocationStatusError(
        f"runner {runner_id!r} cannot move an invocation from {current.status} to {to}: "
        f"its owner is {current.runner_id!r}, in attempt {current.attempt}"
    )


def _check_attempt(current: StatusRecord, to: InvocationStatus, ownership: Ownership, attempt: int) -> None:
    if attempt == current.attempt or (attempt > current.attempt and ownership is Ownership.ACQUIRES):
        return
    state = "is over" if attempt < current.attempt else "has not begun"
    raise InvocationStatusError(
        f"attempt {attempt} {state}: the invocation is {current.status} in attempt {current.attempt}, "
        f"and cannot become {to} in another"
    )
