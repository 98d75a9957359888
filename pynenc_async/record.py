"""The working record of one invocation: all that the scheduler and the executors read and write.

One object per invocation, because a second one would cost more than the work of a no-op. The public handle derives from
it and adds no state. The slots are private to the package.

**History without a list.** Nearly every invocation goes REGISTERED, PENDING, RUNNING, then to its end; PENDING and
RUNNING are one instant in memory. Three time slots say all of it, and `More` the reason of the end if there is one. The
first transition off that path writes the `trail` (a list) from the slots, and from then on every transition is appended
to it: `steps()` returns either.

**Rare state aside.** What few invocations need (children, trail, cancellation, streams) lives in `More`, made on demand.
"""

from collections.abc import Callable, Iterable, Iterator
from contextvars import Context
from copy import copy
from typing import Any, ClassVar, Final, Protocol

import msgspec
from msgspec import UNSET

from pynenc_async.function import Function, Values
from pynenc_async.options import TaskOptions
from pynenc_async.status import InvocationStatus

Step = tuple[InvocationStatus, float, int, str]
"""Status, wall time, attempt, reason."""

_SCHEDULED: Final = InvocationStatus.SCHEDULED
_REGISTERED: Final = InvocationStatus.REGISTERED
_PENDING: Final = InvocationStatus.PENDING
_RUNNING: Final = InvocationStatus.RUNNING
_CANCELLED: Final = InvocationStatus.CANCELLED


class TaskRecord(Protocol):
    """What the scheduler and the executors know of a task."""

    @property
    def task_id(self) -> str:
        """The module and name of the function."""
        ...

    @property
    def function(self) -> Function:
        """What to run."""
        ...

    @property
    def options(self) -> TaskOptions:
        """How to run it."""
        ...

    @property
    def place(self) -> Any:
        """The `Place` where the body runs; None: on the loop."""
        ...

    @property
    def refuses_repetition(self) -> bool:
        """Whether a call that repeats one of a living ancestor is refused."""
        ...


class Waiter(Protocol):
    """Somebody who is told once when an invocation has reached its final status."""

    def notify(self, record: "Record", /) -> None:
        """Take the news; called inside a decision, so it must neither block nor run user code."""
        ...


class Watch(Protocol):
    """Who is told of every transition of an invocation, from its submission to its end."""

    def moved(self, record: "Record", status: InvocationStatus, timestamp: float, attempt: int, reason: str, /) -> None:
        """Take the news; called inside a decision, in any thread: it must neither block nor run user code."""
        ...


class BodyWaiter:
    """A `Waiter` that may wait for the sake of a body: what bodies await goes ahead of its level."""

    __slots__ = ()

    @property
    def for_body(self) -> bool:
        """Whether a body awaits now."""
        raise NotImplementedError

    def bodies(self) -> "Iterable[Record]":
        """Return the invocations whose bodies wait here."""
        raise NotImplementedError

    def refuse(self, body: "Record", error: Exception, /) -> None:
        """Let this body wait no longer, if it waits here: its wait raises `error`."""
        raise NotImplementedError

    def notify(self, record: "Record", /) -> None:
        """Take the news."""
        raise NotImplementedError


class Driver(Protocol):
    """What drives a body that has begun and has not ended."""

    def cancel(self, reason: str) -> None:
        """Ask the body to stop. It may take its time, and it may refuse."""
        ...

    def revoke(self) -> bool:
        """Take the body back before it begins; say whether that was possible: not once it has begun."""
        ...

    def insist(self) -> bool:
        """Make a body stop that was asked before; say whether that can be done here, which is so once at most."""
        ...

    def leave_behind(self) -> bool:
        """Leave a body to itself that cannot be stopped; say whether that can be done here: in a thread, while it runs."""
        ...


class AnyOf:
    """What a body awaits of which one has to end, while a list has to end as a whole."""

    __slots__ = ("_living",)

    def __init__(self, living: "Callable[[], Iterable[Record]]") -> None:
        self._living: Final = living
        """Asked only when somebody looks for a ring: there may be thousands."""

    def __iter__(self) -> "Iterator[Record]":
        return iter(self._living())


class More(msgspec.Struct, eq=False):
    """What few invocations need. A msgspec Struct, because that is made in C: 80 ns instead of 450.

    To write a field costs as much as to make it with the struct, so those that are set first come first.
    """

    is_stored: ClassVar[bool] = False
    """Whether a store keeps the invocation: then it is a `scheduler.durability.Durable`."""

    permit: Any = UNSET
    """The key under which it counts in the limits of its task."""
    held: bool = False
    """Whether a delay or a limit keeps it out of the ready queue."""
    cancel_reason: str | None = None
    """Set once somebody has asked for cancellation."""
    told_at: float | None = None
    """When the attempt was told to stop, on the agenda's clock."""
    end_reason: str | None = None
    """The reason of the end, where there is no trail to say it; None: that of the cancellation, if it was cancelled."""
    trail: list[Step] | None = None
    children: "dict[int, Record] | None" = None
    """Living invocations that this one submitted and that are cancelled with it."""
    waits: int = 0
    """How many of the body's asyncio Tasks await another invocation now."""
    blocked_on: "dict[int, list[Record] | AnyOf] | None" = None
    """What the body awaits now, one entry for each of its waits, by the `id` of the entry: the edges of the wait graph."""
    journal: Any = None
    """What a workflow has asked for so far."""
    progress: Any = None
    registration: Any = None
    """The key under which further calls are its duplicates."""
    deadline: float | None = None
    """The moment, on the agenda's clock, at which it has to be over."""
    timeout_at: float | None = None
    """When the attempt times out."""
    timed_out: str | None = None
    """Why the body was told to stop, if it was because of its timeout or deadline."""
    handed: Any = None
    """The body while it is away from its carrier: see `execution.handing`."""
    stream: Any = None
    traceback: Any = None
    alarm: Any = None
    watch: Watch | None = None
    ancestry: Any = None
    """The index of ancestors in which it is: see `scheduler.ancestors`."""
    crashes: int = 0
    """How many worker processes have died while they ran its body."""

    def twin(self) -> "More":
        """Return a copy without the alarm, which belongs to the handles of users alone, and without waits."""
        twin = copy(self)
        twin.alarm = None
        twin.waits = 0  # those of a body that was abandoned end later, and for the original
        return twin


def each_waiter(waiters: Waiter | dict[Waiter, int] | None) -> list[Waiter]:
    """Return the waiters of a record, in order, each as often as it is to be notified."""
    if waiters is None:
        return []
    if isinstance(waiters, dict):
        return [waiter for waiter, times in waiters.items() for _ in range(times)]
    return [waiters]


def all_waiters(record: "Record") -> list[Waiter]:
    """Return those who wait for the end of a record, and those who wait for the next item of its stream."""
    waiters = each_waiter(record._waiters)
    more = record._more
    if more is not None and more.stream is not None:
        waiters += more.stream.waiting()
    return waiters


def waiters_with_bodies(record: "Record") -> "list[BodyWaiter]":
    """Return those of them that may wait for the sake of a body."""
    return [waiter for waiter in all_waiters(record) if isinstance(waiter, BodyWaiter)]


Identity = tuple[str, str | None, str | None]
"""Invocation id, parent invocation id, runner id."""


class Record:
    """One invocation, as the scheduler sees it."""

    __slots__ = (
        "__weakref__", "_context", "_driver", "_ended_at", "_more", "_number", "_outcome", "_parent", "_registered_at",
        "_retries", "_started_at", "_status", "_task", "_values", "_waiters",
    )  # fmt: skip

    def __init__(
        self, task: TaskRecord, values: Values, number: int, parent: "Record | None", context: Context, now: float
    ) -> None:
        self._task: Any = task
        self._values = values
        self._number = number
        self._parent: Record | int | Identity | None = parent
        """The submitter while this one lives, then its number: a chain of parents must not stay in memory.

        A handle that was read from JSON and is not known in this app keeps its whole identity here.
        """
        self._context: Context | None = context
        self._registered_at = now
        self._status: InvocationStatus = _REGISTERED
        self._retries = 0
        self._started_at: float | None = None
        self._ended_at: float | None = None
        self._outcome: Any = None
        """The value after SUCCESS, the exception after any other end."""
        self._waiters: Waiter | dict[Waiter, int] | None = None
        """One waiter, or several with how many times each is to be notified: any of them leaves without a search."""
        self._driver: Any = None
        """The coroutine during its first step, then the `Driver`; None while no body is under way."""
        self._more: More | None = None

    @property
    def _restored(self) -> Identity | None:
        parent = self._parent
        return parent if isinstance(parent, tuple) else None

    def need_more(self) -> More:
        """Return the rare state, made now if this is the first need."""
        more = self._more
        if more is None:
            more = self._more = More()
        return more

    def add_waiter(self, waiter: Waiter) -> None:
        """Tell `waiter` of the end: at once, where that comes in the midst of this, by a finalizer or a signal handler."""
        if self._more is not None and self._more.stream is not None:
            self._more.stream.drop_unread()  # who awaits the end must not wait for readers that may never come
        waiters = self._waiters
        if waiters is None:
            self._waiters = waiter
        else:
            if not isinstance(waiters, dict):
                waiters = self._waiters = {waiters: 1}
            waiters[waiter] = waiters.get(waiter, 0) + 1
        if self._ended_at is not None and self._waiters is not None:
            self.remove_waiter(waiter)
            waiter.notify(self)

    def is_awaited_by_body(self) -> bool:
        """Whether a body awaits it."""
        return any(isinstance(waiter, BodyWaiter) and waiter.for_body for waiter in each_waiter(self._waiters))

    def remove_waiter(self, waiter: Waiter) -> None:
        """Forget a waiter; nothing happens when it is not there any more."""
        waiters = self._waiters
        if waiters is waiter:
            self._waiters = None
        elif isinstance(waiters, dict) and (times := waiters.pop(waiter, 0)) > 1:
            waiters[waiter] = times - 1

    def steps(self) -> list[Step]:
        """Return every transition so far."""
        more = self._more
        if more is not None and more.trail is not None:
            return more.trail
        steps = [self.first_step()]
        attempt = 0
        if self._started_at is not None:
            attempt = 1
            steps.append((_PENDING, self._started_at, 1, ""))
            if self._status is not _PENDING:
                steps.append((_RUNNING, self._started_at, 1, ""))
        if self._ended_at is not None:
            steps.append((self._status, self._ended_at, attempt, self._end_reason()))
        return steps

    def first_step(self) -> Step:
        """Return the first of them."""
        more = self._more
        if more is not None and more.trail is not None:
            return more.trail[0]
        first = _SCHEDULED if self._status is _SCHEDULED else _REGISTERED
        return first, self._registered_at, 0, ""

    def _end_reason(self) -> str:
        """Why it ended as it did, where that is not in the trail."""
        more = self._more
        if more is None:
            return ""
        if more.end_reason is not None:
            return more.end_reason
        return more.cancel_reason or "" if self._status is _CANCELLED else ""

    def leave_path(self) -> list[Step]:
        """Return the trail, written from the slots if this is the first transition off the usual path."""
        more = self.need_more()
        if more.trail is None:
            more.trail = self.steps()
        return more.trail

    def clone(self) -> "Record":
        """Return a second object for the same invocation."""
        twin = type(self).__new__(type(self))
        for name in Record.__slots__:
            if name != "__weakref__":
                setattr(twin, name, getattr(self, name))
        if self._more is not None:
            twin._more = self._more.twin()
        return twin
