"""What a stored invocation has beside its record: where it stands in the store, and who waits to hear that it is there."""

from asyncio import AbstractEventLoop, Future
from typing import ClassVar, Final

from pynenc_async.errors import SerializationError
from pynenc_async.record import Identity, More, Record
from pynenc_async.store.values import Fire, Unique

LARGEST: Final = 512 << 20
"""Bytes of arguments, of a result or of an error. A store must never be given what it cannot take: nothing would pass it."""


def require_storable(data: bytes, field: str) -> None:
    """Raise `SerializationError` for what is too large to be stored."""
    if len(data) > LARGEST:
        raise SerializationError(
            field,
            f"takes {len(data):,} bytes, and no more than {LARGEST:,} are stored; keep it in a file, and pass its name",
        )


class Durable(More, eq=False, kw_only=True):
    """`More`, and what the store has to do with it: one object, for there may be many that wait.

    Of an invocation that waits on the usual way it holds plain values only, which the garbage collector never looks at.
    """

    is_stored: ClassVar[bool] = True

    invocation_id: str
    parent_id: str | None = None
    arguments: bytes = b""
    """As JSON, until they are stored."""
    options: bytes = b""
    revision: int = 0
    """How many steps the store has, or is about to have."""
    interruptions: int = 0
    """How many attempts were interrupted by the death of a runner."""
    taken: bool = True
    """Whether this process keeps it in memory; else it lies in the store alone, and here are only handles to it."""
    cleans_up: bool = False
    """Whether a body that had been told to stop has submitted it: it is not cancelled with that."""
    known: bool = False
    """Whether the store has it: its acceptance is durable."""
    ending: bool = False
    """Whether its end is decided and not committed: nothing else may happen to it any more."""
    away: bool = False
    """Whether another runner has it now, or will have it: this process only watches."""
    failure: Exception | None = None
    """Why the store does not have it: it did not take it, or has forgotten it, which is known of what another runner had."""
    unreadable: Exception | None = None
    """Why its arguments, or the options of this call, mean nothing to this release of the task; then it has no values."""
    acceptance: "list[Future[None]] | None" = None
    """Who waits for that."""
    leader: Record | None = None
    """The invocation that it ends with, which another process has registered first."""
    unique: Unique | None = None
    fire: Fire | None = None
    has_kin: bool = False
    """Whether the store may have something that its body has submitted, and that is not among its `children` here."""
    deadline_at: float | None = None
    """When it has to be over, on the clock of the session: by its own options, or by those of what it belongs to."""
    since: float | None = None
    """When its waits began, on that clock, if it has to wait or has a deadline."""


def make_durable(record: Record, durable: Durable) -> None:
    """Let `record` have `durable`, which takes over what it had beside itself so far."""
    before = record._more
    if before is not None:
        for name in More.__struct_fields__:
            setattr(durable, name, getattr(before, name))
    record._more = durable


def durable_of(record: Record) -> Durable:
    """Return what is known of a stored invocation."""
    return record._more  # type: ignore[return-value]  # made so when it was prepared or loaded


def is_ending(more: More) -> bool:
    """Whether the end of an invocation is decided, and only has to be stored."""
    return isinstance(more, Durable) and more.ending


def identity_of(record: Record) -> Identity:
    """Return the identity of an invocation that was submitted in this process, in whichever incarnation of it."""
    more = durable_of(record)
    return more.invocation_id, more.parent_id, more.invocation_id.rpartition("-")[0]


def is_away(record: Record) -> bool:
    """Whether another runner has it, as far as is known: a handle that was read from JSON knows no better."""
    more = record._more
    if record._restored is not None and (more is None or not more.is_stored):
        invocation_id, parent_id, _ = record._restored
        make_durable(record, Durable(invocation_id=invocation_id, parent_id=parent_id, known=True, away=True))
    return durable_of(record).away


def lost_of(record: Record) -> Exception | None:
    """Return why nobody will ever hear how an invocation has ended; None: it has ended here, or still may."""
    more = record._more
    if record._ended_at is not None or more is None or not more.is_stored:
        return None
    failure = durable_of(record).failure
    return None if failure is None else failure.with_traceback(None)


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
