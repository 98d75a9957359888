"""What becomes of an invocation whose runner has died: the same in every store."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from pynenc_async.errors import WorkerCrashedError
from pynenc_async.outcome import describe
from pynenc_async.status import InvocationStatus
from pynenc_async.store.values import Step, StoredInvocation, encode_error

_S: Final = InvocationStatus

INTERRUPTED: Final = frozenset({_S.RUNNING, _S.PAUSED, _S.RESUMED})
"""In these a body was under way: its attempt has crashed."""

RECOVERY_PATHS: Final[Mapping[InvocationStatus, tuple[InvocationStatus, ...]]] = MappingProxyType(
    {
        _S.PENDING: (_S.PENDING_RECOVERY, _S.REROUTED),
        _S.RUNNING: (_S.RUNNING_RECOVERY, _S.REROUTED),
        _S.PAUSED: (_S.RUNNING_RECOVERY, _S.REROUTED),
        _S.RESUMED: (_S.RUNNING_RECOVERY, _S.REROUTED),
        _S.KILLED: (_S.REROUTED,),
        _S.PENDING_RECOVERY: (_S.REROUTED,),
        _S.RUNNING_RECOVERY: (_S.REROUTED,),
    }
)
"""How a recovery leads from each status back to one that may be run; what is not named here stays in its status."""

POISON_PATH: Final = (_S.RUNNING_RECOVERY, _S.FAILED)
"""How it leads to the end of what has crashed too often."""


def recovery_steps(
    status: InvocationStatus, *, attempt: int, is_poison: bool, dead_runner: str, now: float
) -> tuple[Step, ...]:
    """Return the steps by which a recovery moves an invocation that was in `status`; none where it stays in it."""
    path = POISON_PATH if is_poison else RECOVERY_PATHS.get(status, ())
    reason = f"runner {dead_runner} died" if dead_runner else "its runner died"
    return tuple((step, now, attempt, "" if place else reason) for place, step in enumerate(path))


def waiting_since(row: StoredInvocation, now: float) -> StoredInvocation:
    """Return what waits since later than `now`, by a clock that was set back, as it waits since `now`; else what it is."""
    if row.since is None or row.since <= now:
        return row
    ahead = row.since - now
    return msgspec.structs.replace(
        row,
        since=now,
        due_at=None if row.due_at is None else row.due_at - ahead,
        deadline_at=None if row.deadline_at is None else row.deadline_at - ahead,
    )


def poison_error(invocation_id: str, crashes: int) -> bytes:
    """Return the error of an invocation that is not tried again, as a store keeps it."""
    return encode_error(
        describe(
            WorkerCrashedError(
                f"invocation {invocation_id} was interrupted {crashes} times by the death of its runner, "
                "and is not tried again: max_crashes is reached"
            )
        )
    )
