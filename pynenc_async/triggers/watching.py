"""The watch on a task: notes the transitions that its triggers wait for, and by which chain of fires they came."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final, NamedTuple, cast

from pynenc_async.invocation.distributed import DistributedInvocation
from pynenc_async.record import Record
from pynenc_async.status import InvocationStatus
from pynenc_async.triggers.occurrence import NO_CHAIN, Chain, Occurrence
from pynenc_async.triggers.trigger import Trigger
from pynenc_async.user_errors import is_a

CHAIN: Final[ContextVar[Chain]] = ContextVar("pynenc_async_trigger_chain", default=NO_CHAIN)
"""The fires that led to what runs here: it travels with the context, also into what a fired body submits."""
_SUCCESS: Final = InvocationStatus.SUCCESS


class Transition(NamedTuple):
    """A transition that triggers wait for, as it is noted inside the decision."""

    triggers: tuple[Trigger, ...]
    record: Record
    status: InvocationStatus
    timestamp: float
    attempt: int
    reason: str
    chain: Chain


class TaskWatch:
    """The triggers on one task, as they were at one moment: each invocation keeps those of its submission."""

    def __init__(
        self, triggers: tuple[Trigger, ...], statuses: frozenset[InvocationStatus], put: Callable[[Transition], None]
    ) -> None:
        self._triggers: Final = triggers
        self._statuses: Final = statuses
        self._put: Final = put

    def moved(self, record: Record, status: InvocationStatus, timestamp: float, attempt: int, reason: str, /) -> None:
        """Note the transition if a trigger waits for it."""
        if status in self._statuses:
            context = record._context
            chain = NO_CHAIN if context is None else context.get(CHAIN, NO_CHAIN)
            self._put(Transition(self._triggers, record, status, timestamp, attempt, reason, chain))


def occurrence_of(transition: Transition) -> Occurrence:
    """Return what users are shown; the decision that made the transition is complete."""
    record, status = transition.record, transition.status
    outcome: Any = record._outcome if status.is_final() else None
    is_error = status is not _SUCCESS and is_a(outcome, Exception)  # a bare CancelledError is none
    return Occurrence(
        timestamp=transition.timestamp,
        invocation_id=cast("DistributedInvocation[Any, Any]", record).invocation_id,
        task_id=record._task.task_id,
        status=status,
        attempt=transition.attempt,
        reason=transition.reason,
        arguments=dict(zip(record._task.function.names, record._values, strict=True)),
        result=outcome if status is _SUCCESS else None,
        error=outcome if is_error else None,
        chain=transition.chain,
    )
