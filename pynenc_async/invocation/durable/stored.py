"""From a stored invocation to a handle: one that is only looked at, or one that lives here and is going to be run."""

from collections.abc import Iterator
from contextvars import Context
from functools import lru_cache
from itertools import chain
from typing import Any, Final, cast

import msgspec

from pynenc_async.arguments import decode_stored_values
from pynenc_async.codec import decode_with
from pynenc_async.errors import InvocationError, RemoteError
from pynenc_async.function import Values
from pynenc_async.invocation.distributed import DistributedInvocation
from pynenc_async.invocation.durable.overrides import read_fire, read_overrides
from pynenc_async.invocation.durable.unknown import UnknownTask
from pynenc_async.outcome import ErrorData, rebuild_error, value_error
from pynenc_async.record import BodyWaiter, Record, waiters_with_bodies
from pynenc_async.scheduler.durability import Durable, durable_of, lost_of
from pynenc_async.scheduler.telling import tell_waiters
from pynenc_async.status import InvocationStatus
from pynenc_async.store.values import StoredInvocation

Handle = DistributedInvocation[Any, Any]
_SUCCESS: Final = InvocationStatus.SUCCESS
_NOWHERE: Final = Context()
_decode_error: Final = msgspec.json.Decoder(ErrorData).decode
_plain_decoder: Final[msgspec.json.Decoder[Any]] = msgspec.json.Decoder()
"""Decodes a result whose type nobody here knows."""


def handle_of(stored: StoredInvocation, task: Any) -> Handle:
    """Return a handle to an invocation that belongs to another runner, or has ended.

    All but the arguments can be read where these cannot be decoded any more: `Durable.unreadable` says why.
    """
    return _make(stored, task, 0)


def living(stored: StoredInvocation, task: Any, number: int, watched: Handle | None) -> Handle:
    """Return an invocation that is going to be run here, under a number of this process.

    `watched` is a handle that looked at it from afar, and becomes it. Where it cannot be read, nor be run, its
    `Durable.unreadable` says why.
    """
    handle = _make(stored, task, number, watched)
    handle._context = _NOWHERE.copy()
    durable_of(handle).has_kin = stored.attempt > 0  # what an attempt that was interrupted has submitted
    return handle


def _read(stored: StoredInvocation, task: Any) -> tuple[Any, Values, Exception | None]:
    """Return the use of the task, the values, and why neither means anything here, if so."""
    if isinstance(task, UnknownTask):
        return task, (), task.problem
    try:
        return _with_overrides(task, stored.options), decode_stored_values(task.function, stored.arguments), None
    except BaseException as problem:  # noqa: BLE001  an option that is wrong by now; code of the annotated classes
        return task, (None,) * len(task.function.names), value_error(problem, "arguments")


def _make(stored: StoredInvocation, task: Any, number: int, handle: Handle | None = None) -> Handle:
    used, values, unreadable = _read(stored, task)
    kind: Any = DistributedInvocation
    record: Any = handle
    if record is None:
        record = kind.__new__(kind)
        record._waiters = None
    record._task, record._values, record._number = used, values, number
    record._parent = (stored.invocation_id, stored.parent_invocation_id, stored.home)
    record._context = record._driver = None
    record._registered_at, record._started_at = stored.registered_at, stored.started_at
    record._ended_at = record._outcome = None
    take_standing(record, stored)
    record._more = Durable(
        invocation_id=stored.invocation_id,
        parent_id=stored.parent_invocation_id,
        revision=stored.revision,
        interruptions=stored.crashes,
        known=True,
        deadline_at=stored.deadline_at,
        away=number == 0,
        unreadable=unreadable,
        trail=[(stored.status, stored.registered_at, stored.attempt, "")],
    )
    if stored.ended_at is not None:
        take_end(record, stored)
    return cast(Handle, record)


_BETWEEN_ATTEMPTS: Final = frozenset(
    {InvocationStatus.RETRY, InvocationStatus.REROUTED, InvocationStatus.CONCURRENCY_CONTROLLED}
)
"""In these, the attempt of the store is one that is over: the next one has the next number."""


def take_standing(record: Record, stored: StoredInvocation) -> None:
    """Let a handle know where the invocation stands in the store."""
    record._status, record._started_at = stored.status, stored.started_at
    record._retries = max(0, stored.attempt - (stored.status not in _BETWEEN_ATTEMPTS), stored.num_retries)


def take_end(record: Record, stored: StoredInvocation) -> None:
    """Let a handle know the end that the store has. Its waiters are told by whoever calls this."""
    record._outcome = _outcome(record, stored)
    record._ended_at = stored.ended_at


def _outcome(record: Record, stored: StoredInvocation) -> Any:
    task = record._task
    is_known = not isinstance(task, UnknownTask)
    try:
        if stored.status is _SUCCESS:
            decoder = task.function.result_decoder if is_known else _plain_decoder
            return decode_with(decoder, stored.result or b"null", "result")
        if stored.error is None:
            return None
        known = (
            {task.function.module, *(kind.__module__ for kind in task.options.retry_for)} if is_known else set[str]()
        )
        error = rebuild_error(_decode_error(stored.error), known_modules=known)
    except BaseException as problem:  # noqa: BLE001  code of the annotated classes runs here, too
        record._status = InvocationStatus.FAILED  # for readers here: there is an end, and no value that can be read
        return value_error(problem, "result" if stored.status is _SUCCESS else "error")
    cancelled = stored.status is InvocationStatus.CANCELLED and not isinstance(error, InvocationError | RemoteError)
    return None if cancelled else error


class _Follower(BodyWaiter):
    """Gives one handle the end of another. Who waits for the one waits, in effect, for the other."""

    def __init__(self, record: Record) -> None:
        self._record: Final = record

    @property
    def for_body(self) -> bool:
        """Whether a body awaits the handle."""
        return self._record.is_awaited_by_body()

    def bodies(self) -> Iterator[Record]:
        """Return the invocations whose bodies do."""
        return chain.from_iterable(waiter.bodies() for waiter in waiters_with_bodies(self._record))

    def refuse(self, body: Record, error: Exception, /) -> None:
        """Let those waits of this body raise `error`."""
        for waiter in waiters_with_bodies(self._record):
            waiter.refuse(body, error)

    def notify(self, leader: Record, /) -> None:
        """The other one has ended."""
        record = self._record
        record._status, record._outcome, record._retries = leader._status, leader._outcome, leader._retries
        record._started_at, record._ended_at = leader._started_at, leader._ended_at
        durable_of(record).failure = lost_of(leader)
        tell_waiters(record)


def become(record: Record, leader: Record) -> None:
    """Let `record`, which the store does not have, be another handle to the invocation of `leader`, and end as that does.

    What is known of it here is what is known of any handle to what is run elsewhere; whoever waits for it goes on waiting.
    """
    identity, before, known = cast(Handle, leader)._identity(), durable_of(record), durable_of(leader)
    record._task, record._values = leader._task, leader._values
    record._more = Durable(
        invocation_id=identity[0],
        parent_id=identity[1],
        known=True,
        away=True,
        unreadable=known.unreadable,
        progress=before.progress,
        trail=[(leader._status, leader._registered_at, 0, "")],
    )
    record._parent, record._number = identity, 0
    record._registered_at, record._started_at = leader._registered_at, leader._started_at
    record._status, record._retries = leader._status, leader._retries
    if before.stream is not None:
        before.stream.close()  # its readers learn that the items are elsewhere
    follow(record, leader)


def follow(record: Record, leader: Record) -> None:
    """Let `record` end as `leader` does."""
    durable_of(record).leader = leader
    follower = _Follower(record)
    if leader._ended_at is not None:
        follower.notify(leader)
    else:
        leader.add_waiter(follower)


@lru_cache(maxsize=1_024)
def _cached_overrides(task: Any, options: bytes) -> Any:
    used, fire = task.with_options_of_before(read_overrides(options, task.function)), read_fire(options)
    return used if fire is None else used.for_fire(fire, alone=False)


def _with_overrides(task: Any, options: bytes) -> Any:
    return _cached_overrides(task, options) if options else task
