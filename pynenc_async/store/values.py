"""What goes into a store and comes out of it: frozen values, plain data only.

Arguments, results and errors are JSON text in bytes (`codec.encode`, `outcome.describe`); a store looks into none of them.
All moments are wall time, in seconds since the epoch.

There may be many of them at once, and they hold nothing that could lead back to them: so the garbage collector need not
look at them (`gc=False`).
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from itertools import chain, repeat
from typing import Any, Final

import msgspec

from pynenc_async.errors import InvocationStatusError
from pynenc_async.status import INITIAL, InvocationStatus

Step = tuple[InvocationStatus, float, int, str]
"""A transition: status, moment, attempt, reason. As in `record.Step`; who made it is said by whoever commits it."""


REPLACED: Final = "replaced by a later call"
"""The reason of such a cancellation."""


class Unique(msgspec.Struct, frozen=True):
    """Registration concurrency: no other invocation may stand under the same key."""

    key: str
    """Task and compared arguments, as one text."""
    until_started: bool = False
    """It stands only until it has started; else until it has ended."""
    until: float | None = None
    """It stands until this moment, whatever becomes of it."""
    since: float | None = None
    """With `until`: since when, by the same clock, and the moment by which this call is judged."""
    replace: bool = False
    """Whether the newcomer takes the place of the one that stands, which is asked to be cancelled."""


class Fire(msgspec.Struct, frozen=True):
    """One moment of one schedule: of all invocations that name it, in all processes, one is registered."""

    schedule: str
    """The name of the schedule."""
    moment: float
    """The scheduled one, not that at which it was carried out."""

    @property
    def at(self) -> datetime:
        """The moment, in UTC."""
        return datetime.fromtimestamp(self.moment, UTC)


class Permit(msgspec.Struct, frozen=True):
    """A running limit that a start must fit: at most `limit` invocations hold a permit of this name at once."""

    name: str
    limit: int


class RatePermit(msgspec.Struct, frozen=True):
    """A rate that a start must fit, kept as `pynenc_async.pacing` says: in any window, or evenly."""

    name: str
    interval: float
    """Seconds from one start to the next, on average."""
    capacity: int
    """How many may start at once."""
    window: float = 0.0
    """Seconds in which no more than `capacity` may start. 0: evenly, `capacity` at once, then one each `interval`."""


class NewInvocation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A change: an invocation that the store does not know. It belongs (`home`) to the runner that commits it."""

    invocation_id: str
    """`<runner id of its submitter>-<number>`."""
    task_id: str
    arguments: bytes
    """A JSON object, one member for each parameter."""
    steps: tuple[Step, ...]
    """Its history so far; the first is REGISTERED or SCHEDULED."""
    parent_invocation_id: str | None = None
    priority: int = 0
    due_at: float | None = None
    """When it may be run, if later than now."""
    deadline_at: float | None = None
    since: float | None = None
    """What time it was, by the clock of these two, when they were decided: what is further off than that has not waited."""
    max_crashes: int = 3
    """With so many, it is FAILED instead of tried again."""
    options: bytes = b""
    """What `with_options` said for this call: a JSON object; empty where nothing was said."""
    taken: bool = True
    """Whether the runner keeps it in memory. What is not taken is the backlog, for `Store.claim`."""
    unique: Unique | None = None
    fire: Fire | None = None


class Transition(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A change: an invocation of the runner that commits it goes on, if it is still in the revision named here."""

    invocation_id: str
    revision: int
    """How many steps its history has had: compared before anything is set. Every step counts one."""
    steps: tuple[Step, ...]
    """What has happened since; a path of the status table from the stored status on."""
    due_at: float | None = None
    """When it may be run again, for a RETRY that waits."""
    since: float | None = None
    """What time it was, by the same clock, when that was decided."""
    result: bytes | None = None
    """With SUCCESS."""
    error: bytes | None = None
    """With any other end; `outcome.ErrorData` as JSON."""
    permits: tuple[Permit, ...] = ()
    """Taken with this change, all of them or none; free again with the first status that nobody owns."""
    rate: RatePermit | None = None
    taken: bool = True
    """False puts it back into the backlog."""


class JournalChange(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A change: the journal of a workflow, from entry `index` on, is `entries`, and nothing more."""

    invocation_id: str
    index: int
    entries: tuple[bytes, ...]
    """`index` is at most the number of entries that are there."""
    names: tuple[str | None, ...] = ()
    """The invocation that each of the entries names, if any; shorter where the rest names none. See `Store.purge`."""

    def __post_init__(self) -> None:
        if len(self.names) > len(self.entries):
            raise ValueError(
                f"names: {len(self.names)} for {len(self.entries)} entries; give one for each entry at most"
            )

    def named(self) -> Iterator[tuple[bytes, str | None]]:
        """Yield each entry with the invocation that it names."""
        return zip(self.entries, chain(self.names, repeat(None)), strict=False)


class Awaited(msgspec.Struct, frozen=True, gc=False):
    """An invocation whose end somebody waits for."""

    invocation_id: str
    permits: tuple[Permit, ...] = ()
    """What each of its starts needs, as the options of its task say."""


class WaitChange(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A change: what an invocation waits for, in place of what was said of it before. See `Store.waits`.

    It is said of what waits for other processes, and of what waits for that in turn. It is true until the next step of the
    invocation, and needs not be taken back then. Said again in the same revision and with the same needs, it is the same
    wait, and keeps its number: so its home says that it still lasts.
    """

    invocation_id: str
    revision: int
    """As in `Transition`: the one in which it waits."""
    needs: tuple[tuple[Awaited, ...], ...]
    """It needs all of them; each is met as soon as one of its invocations has ended. Empty: it waits for nothing."""
    refusable: bool = True
    """Whether it may be told to wait no longer, where it waits in a ring."""
    seen: int = 0
    """The number of the last wait that its home has seen. What was begun before that, and lasts, it has waited beside."""


class CancelRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A change: whoever owns the invocation is to cancel it. Refused where it has ended; said twice, the first counts."""

    invocation_id: str
    reason: str


Change = NewInvocation | Transition | JournalChange | WaitChange | CancelRequest


class RefusalKind(StrEnum):
    """Why a change was not made."""

    UNKNOWN = "unknown"
    """The store has no such invocation."""
    STALE = "stale"
    """It is in another revision, of another runner, or has ended: somebody else has written meanwhile."""
    EXISTS = "exists"
    """The store has an invocation with this id already: committed before, by this runner or by another one."""
    DUPLICATE = "duplicate"
    """Another one stands under its unique key."""
    FIRED = "fired"
    """This moment of the schedule has had its invocation."""
    LIMIT = "limit"
    """A permit is not to be had."""
    RATE = "rate"


class Refusal(msgspec.Struct, frozen=True):
    """A change that was not made, alone of all that were committed with it."""

    kind: RefusalKind
    detail: str = ""
    """DUPLICATE: the id of the invocation that stands. LIMIT, RATE: the name of the permit. EXISTS: the id of the runner that
    has registered it, and empty where that is the one that asks."""
    retry_at: float | None = None
    """RATE: when it fits."""


class StoredInvocation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An invocation as a store knows it."""

    invocation_id: str
    task_id: str
    arguments: bytes
    parent_invocation_id: str | None
    status: InvocationStatus
    revision: int
    home: str
    """The runner that it belongs to; its owner, in a status that has one."""
    attempt: int
    """That of the last step: the present or the last one; 0 before the first."""
    num_retries: int
    """How many of its steps were a RETRY."""
    crashes: int
    """How many attempts were interrupted by the death of a runner."""
    max_crashes: int
    priority: int
    registered_at: float
    started_at: float | None
    """The moment of the last RUNNING."""
    ended_at: float | None
    due_at: float | None
    deadline_at: float | None
    since: float | None
    """When these two were decided, as far as was said."""
    options: bytes
    result: bytes | None
    error: bytes | None
    cancel_reason: str | None
    """Set while somebody waits for its cancellation; None again once it has ended."""
    taken: bool


class Need(msgspec.Struct, frozen=True):
    """Invocations of which at least so many have to end, or to give their permits back, before another one goes on."""

    invocation_ids: tuple[str, ...]
    at_least: int = 1


class StoredWait(msgspec.Struct, frozen=True, kw_only=True):
    """An invocation that does not go on by itself, as a store sees it."""

    invocation_id: str
    home: str
    needs: tuple[Need, ...]
    """It goes on when all of them are met."""
    number: int = 0
    """Waits are numbered in the order of their commits, by all runners. 0: none was said; it has not started, for want of a
    permit."""
    refusable: bool = False
    seen: int = 0


class StoredStep(msgspec.Struct, frozen=True, kw_only=True):
    """One transition of a stored history."""

    status: InvocationStatus
    timestamp: float
    attempt: int
    reason: str
    runner_id: str


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What to find: all conditions hold together; an empty one says nothing."""

    statuses: tuple[InvocationStatus, ...] = ()
    task_ids: tuple[str, ...] = ()
    parent_invocation_id: str | None = None
    parent_statuses: tuple[InvocationStatus, ...] = ()
    """The statuses of the invocation that submitted it, as long as the store has that."""
    home: str | None = None
    registered_from: float | None = None
    registered_before: float | None = None
    ended_from: float | None = None
    ended_before: float | None = None
    text: str = ""
    """A text that occurs in the task id, the arguments, the result or the error, whatever the case of its letters.

    It is found as JSON spells it and as it is: see `spellings`.
    """
    newest_first: bool = True
    """Ordered by registration; those registered at one moment have an order, too, which stays."""
    limit: int = 100
    after: str | None = None
    """`Page.next` of the page before."""


def spellings(text: str) -> tuple[str, ...]:
    """Return how a text may be spelled in JSON, in small letters: as it is, and with what JSON escapes (quotes, newlines)."""
    small = text.casefold()
    escaped = msgspec.json.encode(small).decode()[1:-1]
    return (small,) if escaped == small else (small, escaped)


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A part of what was found. `next` asks for the following one, and is None on the last."""

    invocations: tuple[StoredInvocation, ...]
    next: str | None


class Backlog(msgspec.Struct, frozen=True, kw_only=True):
    """What waits for a runner outside of its memory."""

    ready: dict[int, int]
    """How many could be claimed now, by priority."""
    next_due: float | None
    """When the next of the others could be; None: there are no others."""


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    """What a recovery has done."""

    runners: tuple[str, ...] = ()
    """Who was found dead now, and from whom something was taken over."""
    adopted: int = 0
    """How many invocations have a new home: they are in the backlog of who recovered."""
    interrupted: int = 0
    """How many of them had a body under way, and will have another attempt; not those that were only PENDING."""
    poisoned: tuple[str, ...] = ()
    """Which were FAILED, for they had crashed too often."""
    parked: dict[str, int] = {}
    """How many that are not over stay with the dead, by task: who recovers does not know the task."""


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """How much is kept of what has ended; None: no bound."""

    seconds: float | None = None
    count: int | None = None
    bytes: int | None = None
    """The size of the whole store."""


def check_steps(current: InvocationStatus | None, steps: tuple[Step, ...]) -> None:
    """Raise `InvocationStatusError` unless `steps` are a path of the status table that begins after `current`."""
    for status, *_rest in steps:
        allowed = status in INITIAL if current is None else current.can_transition_to(status)
        if not allowed:
            raise InvocationStatusError(f"an invocation cannot go from {current or 'nothing'} to {status}")
        current = status
    if not steps:
        raise InvocationStatusError("a change without a step changes nothing")


def encode_error(error: Any) -> bytes:
    """Return an `outcome.ErrorData` as a store keeps it."""
    return msgspec.json.encode(error)
