"""Changes that are decided and not yet committed: one draft for each invocation, and what is to happen afterwards.

A draft is open until the ledger takes it; then its change is fixed, and what is decided next goes into another one. The
revision that a change names counts the steps of all drafts before it, so that they can be under way one behind the other.
"""

from asyncio import AbstractEventLoop, Future
from typing import Any, Final

import msgspec

from pynenc_async.record import Identity, Record, Step
from pynenc_async.status import InvocationStatus
from pynenc_async.store.values import Change, Fire, NewInvocation, Permit, RatePermit, Transition, Unique


class Durable(msgspec.Struct, eq=False):
    """What a stored invocation needs beside its record (`More.durable`)."""

    identity: Identity
    arguments: bytes = b""
    """As JSON, until they are stored."""
    options: bytes = b""
    revision: int = 0
    """How many steps the store has, or is about to have."""
    crashes: int = 0
    known: bool = False
    """Whether the store has it: its acceptance is durable."""
    ending: bool = False
    """Whether its end is decided and not committed: nothing else may happen to it any more."""
    away: bool = False
    """Whether another runner has it now, or will have it: this process only watches."""
    failure: Exception | None = None
    """Why the store did not take it."""
    acceptance: "list[Future[None]] | None" = None
    """Who waits for that."""
    leader: Record | None = None
    """The invocation that it ends with, which another process has registered first."""
    unique: Unique | None = None
    fire: Fire | None = None
    begun_at: float = 0.0
    """When its attempt was begun, as the store has it."""


class Draft:
    """What has been decided about one invocation since the last change."""

    __slots__ = (
        "due_at",
        "end",
        "error",
        "is_new",
        "is_start",
        "permits",
        "rate",
        "record",
        "result",
        "steps",
        "taken",
    )

    def __init__(self, record: Record, *, is_new: bool = False) -> None:
        self.record: Final = record
        self.is_new: Final = is_new
        self.steps: list[Step] = []
        self.due_at: float | None = None
        self.result: bytes | None = None
        self.error: bytes | None = None
        self.permits: tuple[Permit, ...] = ()
        self.rate: RatePermit | None = None
        self.taken = True
        self.is_start = False
        """Whether a body begins once this is committed."""
        self.end: tuple[float, InvocationStatus, Any, str] | None = None
        """Moment, status, outcome and reason of the end that is told once this is committed."""

    def parts(self) -> "tuple[Draft, ...]":
        """Return what is to be committed as one change each: a registration carries no outcome, and no start that may fail."""
        if not self.is_new or not (self.permits or self.rate or self.error or self.result):
            return (self,)
        rest = Draft(self.record)
        rest.steps, self.steps = self.steps[1:], self.steps[:1]
        rest.permits, rest.rate, rest.is_start, rest.end = self.permits, self.rate, self.is_start, self.end
        rest.result, rest.error = self.result, self.error
        self.is_start, self.end = False, None
        return self, rest

    def change(self) -> Change:
        """Return the change to commit, as the next one of its invocation."""
        durable: Durable = self.record.need_more().durable
        steps = tuple(self.steps)
        revision = durable.revision
        durable.revision = revision + len(steps)
        if self.is_new:
            return self._registration(durable, steps)
        return Transition(
            invocation_id=durable.identity[0],
            revision=revision,
            steps=steps,
            due_at=self.due_at,
            result=self.result,
            error=self.error,
            permits=self.permits,
            rate=self.rate,
            taken=self.taken,
        )

    def _registration(self, durable: Durable, steps: tuple[Step, ...]) -> NewInvocation:
        record = self.record
        invocation_id, parent_id, _ = durable.identity
        options = record._task.options
        arguments, durable.arguments = durable.arguments, b""
        return NewInvocation(
            invocation_id=invocation_id,
            task_id=record._task.task_id,
            arguments=arguments,
            steps=steps,
            parent_invocation_id=parent_id,
            priority=options.priority,
            due_at=self.due_at,
            deadline_at=None if options.deadline is None else record._registered_at + options.deadline,
            max_crashes=options.max_crashes,
            options=durable.options,
            taken=self.taken,
            unique=durable.unique,
            fire=durable.fire,
        )


def durable_of(record: Record) -> Durable:
    """Return what is known of a stored invocation."""
    durable: Durable = record._more.durable  # type: ignore[union-attr]  # set when it was prepared or loaded
    return durable


def is_away(record: Record) -> bool:
    """Whether another runner has it, as far as is known: a handle that was read from JSON knows no better."""
    more = record.need_more()
    if more.durable is None and record._restored is not None:
        more.durable = Durable(identity=record._restored, known=True, away=True)
    return durable_of(record).away


async def wait_for_acceptance(durable: Durable, loop: AbstractEventLoop) -> None:
    """Return once the store has the invocation; raise why it does not."""
    if not durable.known and durable.failure is None:
        future = loop.create_future()
        if durable.acceptance is None:
            durable.acceptance = []
        durable.acceptance.append(future)
        await future
    if durable.failure is not None:
        raise durable.failure


def tell_acceptance(durable: Durable) -> None:
    """The store has answered."""
    waiting, durable.acceptance = durable.acceptance, None
    for future in waiting or ():
        if not future.done():
            future.set_result(None)
