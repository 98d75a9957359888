"""The members of a group, how they have ended so far, and where more of them come from.

A group over a sized collection submits everything at once. Any other source is read as far as the window allows: at most
`window` members are submitted and not yet consumed, so a source that never ends needs bounded memory.
"""

import asyncio
import sys
from asyncio import CancelledError
from asyncio.events import _get_running_loop
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
    Sized,
)
from itertools import chain, islice
from typing import Any, Final

from pynenc_async.arguments import Arguments
from pynenc_async.function import Function, Values
from pynenc_async.headroom import add_headroom
from pynenc_async.invocation.distributed import DistributedInvocation
from pynenc_async.invocation.intake import Intake
from pynenc_async.invocation.steps import source_error
from pynenc_async.invocation.thread_wait import Reader
from pynenc_async.record import BodyWaiter, Record
from pynenc_async.scheduler.room import Room
from pynenc_async.status import InvocationStatus
from pynenc_async.user_errors import is_a

Member = DistributedInvocation[Any, Any]
_SUCCESS: Final = InvocationStatus.SUCCESS
_NEVER: Final = float("inf")


def bind_params(function: Function, params: object) -> Values:
    """Return the values of one element of `parallelize`: a tuple, a dict or `Arguments`."""
    if isinstance(params, Arguments):
        return params.values_for(function)
    if isinstance(params, Mapping):
        return function.bind(**params)
    if isinstance(params, tuple):
        return function.bind(*params)
    raise TypeError(
        f"parallelize takes tuples, dicts or Arguments, not {type(params).__name__}; for one argument write (value,)"
    )


class Roster(BodyWaiter):
    """Members, and those of them that have ended, in the order in which they did.

    It is the waiter of its members, and holds no reference to the group: a group that is dropped can be noticed.
    """

    def __init__(self, submit: Callable[[Values], Member], function: Function) -> None:
        self._submit: Final = submit
        self._function: Final = function
        self.members: dict[int, Member] | list[Member] = []
        self.submitted: int = 0
        self.ended: Final[list[Record]] = []
        """Ended members; in a windowed group only those that have not been consumed."""
        self.consumed: int = 0
        """How many were consumed and forgotten; 0 without a window."""
        self._wake_at: float = _NEVER
        self._signals: dict[Reader, None] = {}
        self._watching = False
        self._scanned = 0
        self.failed: Record | None = None
        """The first member that ended otherwise than in SUCCESS."""

    # -- members -------------------------------------------------------------------------------------------------------

    def submit_all(
        self,
        source: Iterable[Any],
        refuse: Callable[[Values], None] | None,
        undo: Callable[[Sequence[Member]], None],
    ) -> None:
        """Bind everything, then submit everything: a wrong element raises before anything runs, if `refuse` raises for it.

        Where a submission raises, `undo` is called with the members that there are: nobody gets the group.
        """
        function, submit, arity = self._function, self._submit, self._function.arity
        bound: list[Values] = [
            params if params.__class__ is tuple and len(params) == arity else bind_params(function, params)
            for params in source
        ]
        if refuse is not None:
            for values in bound:
                refuse(values)
        members: list[Member] = []
        self.members = members
        try:
            members.extend(map(submit, bound))
        except BaseException:
            limit = add_headroom()
            try:
                undo(members)
            finally:
                sys.setrecursionlimit(limit)
            raise
        self.submitted = len(members)

    @property
    def exhausted(self) -> bool:
        """Whether no more members will come."""
        return True

    def listed(self) -> list[Member]:
        """The members that are kept, in order of submission."""
        return list(self.members.values()) if isinstance(self.members, dict) else self.members

    def feed(self) -> None:
        """Submit more, as far as there is room."""

    def next_ended(self, position: int) -> Record | None:
        """Return what a reader that has read `position` members reads next, if it has ended."""
        return self.ended[position] if position < len(self.ended) else None

    def nth(self, position: int) -> Member | None:
        """Return the member that a reader of `position` members reads next, if it is submitted."""
        members = self.listed()
        return members[position] if position < len(members) else None

    def put_back(self, member: Member) -> None:
        """The reader that waited for `member` has gone."""

    def raise_error(self) -> None:
        """Raise what the source raised, if it did."""

    def take(self, member: Record) -> int:
        """A reader is done with `member`; return its place in the order of submission, where that is asked for."""
        del member
        return 0

    def read_by(self, position: int) -> int:
        """How far a reader at `position` is: readers of a windowed group share what there is."""
        return position

    def stop(self) -> None:
        """Submit nothing more."""

    async def aclose(self) -> None:
        """Submit nothing more, and return when the source is closed."""
        self.stop()

    # -- endings -------------------------------------------------------------------------------------------------------

    def watch(self) -> None:
        """Be told of the end of every member; those that ended before come first, in the order in which they did."""
        if not self._watching:
            self._watching = True
            early: list[Member] = []
            for member in self.listed():
                more = member._more
                if member._ended_at is not None:
                    early.append(member)
                elif member._waiters is None and (more is None or more.stream is None):
                    member._waiters = self  # `add_waiter`, without a call, and so with nothing in its midst
                else:
                    member.add_waiter(self)
            for member in sorted(early, key=lambda member: member._ended_at or 0.0):
                self.notify(member)

    def notify(self, record: Record) -> None:
        """A member has ended."""
        ended = self.ended
        ended.append(record)
        if record._status is not _SUCCESS:
            self.failed = self.failed or record
            if self._signals:  # of many that fail together only the first has somebody to wake
                self.wake()
        elif self.consumed + len(ended) >= self._wake_at:
            self.wake()

    @property
    def for_body(self) -> bool:
        """Whether a body reads the group, and waits."""
        return any(signal.for_body for signal in self._signals)

    def bodies(self) -> Iterator[Record]:
        """Return the invocations whose bodies read the group."""
        return chain.from_iterable(signal.bodies() for signal in self._signals)

    def refuse(self, body: Record, error: Exception, /) -> None:
        """Let the readers of this body raise `error`."""
        for signal in list(self._signals):
            signal.refuse(body, error)

    def wake(self) -> None:
        """Let every reader look again."""
        signals, self._signals, self._wake_at = self._signals, {}, _NEVER
        for signal in signals:
            signal.notify()

    def call_when(self, count: int, signal: Reader) -> None:
        """Notify `signal` when `count` members have ended, or earlier when one fails or no more will come."""
        self._signals[signal] = None
        self._wake_at = min(self._wake_at, count)
        if self.consumed + len(self.ended) >= count:  # in the midst of this, by a finalizer
            self.wake()

    def forget(self, signal: Reader) -> None:
        """Do not notify `signal` any more: its reader has gone, or has been told."""
        self._signals.pop(signal, None)

    def candidates(self) -> Iterator[Record]:
        """Those on whom the next end depends; nobody as long as more may be submitted, for then it may be anybody."""
        return self._living()

    def unfinished(self, most: int | None = None) -> list[Member]:
        """The oldest members that have not ended: all of them, or `most`. Amortised, it passes over each member once."""
        return list(islice(self._living(), most))

    def _living(self) -> Iterator[Member]:
        members = self.listed()
        if isinstance(self.members, list):
            while self._scanned < len(members) and members[self._scanned]._ended_at is not None:
                self._scanned += 1
        return (member for member in islice(members, self._scanned, None) if member._ended_at is None)


class WindowedRoster(Roster):
    """Reads its source as the window allows, and forgets what has been consumed."""

    def __init__(
        self,
        submit: Callable[[Values], Member],
        function: Function,
        source: Iterable[Any] | AsyncIterable[Any],
        window: int,
        call_in_loop: Callable[[Callable[[], None]], None],
        room: Room | None,
    ) -> None:
        super().__init__(submit, function)
        self._window: Final = window
        self._intake: Final = Intake(room, self._use_room, call_in_loop)
        self._call_in_loop: Final = call_in_loop
        self._members: Final[dict[int, Member]] = {}
        """By identity: the number changes where a handle comes to stand for an invocation of another process."""
        self._places: Final[dict[int, int]] = {}
        self.members = self._members
        self._watching = True
        self._claimed: Final[set[int]] = set()
        self._sync: Iterator[Any] | None = None
        self._async: AsyncIterator[Any] | None = None
        self._puller: asyncio.Task[None] | None = None
        self._stopped = False
        self._go_on: asyncio.Future[None] | None = None
        """What the puller waits for, until there is room."""
        self.error: BaseException | None = None
        """What the source raised; the reader raises it after the members that came before."""
        if isinstance(source, AsyncIterable):
            self._async = aiter(source)
        else:
            self._sync = iter(source)

    @property
    def exhausted(self) -> bool:
        """Whether the source has ended, has failed, or is no longer wanted."""
        return self._sync is None and self._async is None

    def _has_room(self) -> bool:
        return len(self._members) < self._window

    def candidates(self) -> Iterator[Record]:
        """Those on whom the next end depends; nobody as long as more may be submitted, for then it may be anybody."""
        if self.exhausted or not self._has_room():
            return super().candidates()
        return chain(super().candidates(), self._intake.takers()) if self._intake.waits else iter(())

    def feed(self) -> None:
        """Submit more, as far as there is room; an async source is read by a Task of its own."""
        if self._async is not None:
            if self._puller is None:
                self._start_pulling(self._async)
            elif self._go_on is not None and not self._go_on.done() and self._has_room() and not self._intake.waits:
                self._go_on.set_result(None)
        while self._sync is not None and self._has_room() and self._intake.is_open():
            self._feed_one(self._sync)

    def _feed_one(self, source: Iterator[Any]) -> None:
        try:
            try:
                params = next(source)
            except StopIteration:
                self._sync = None
                return
            self._add(params)  # outside of the inner `try`: code of users runs here, too, and may raise a StopIteration
        except BaseException as error:  # the reader raises it when it gets there
            self._sync, self.error = None, error
            if is_a(error, KeyboardInterrupt):
                raise

    def _start_pulling(self, source: AsyncIterator[Any]) -> None:
        if _get_running_loop() is None:
            self._call_in_loop(self.feed)
        else:
            self._puller = asyncio.get_running_loop().create_task(self._pull(source))

    async def _pull(self, source: AsyncIterator[Any]) -> None:
        try:
            async for params in source:
                await self._until(self._intake.is_open)
                if self._stopped:
                    break  # a source may swallow the cancellation that `stop` sends, or end in the same turn
                self._add(params)
                await self._until(self._has_room)
        except BaseException as error:
            if not (self._stopped and is_a(error, CancelledError)):
                self.error = error  # also a CancelledError, by whomever: it must not look like the end of the source
            if is_a(error, CancelledError) or is_a(error, KeyboardInterrupt):
                raise
        finally:
            self._async = self._puller = None
            self.wake()
            if isinstance(source, AsyncGenerator):
                await source.aclose()

    async def _until(self, may_go_on: Callable[[], bool]) -> None:
        while not may_go_on():
            self._go_on = asyncio.get_running_loop().create_future()
            await self._go_on

    def _use_room(self) -> bool:
        before = self.submitted
        self.feed()
        if self.exhausted:
            self.wake()  # nobody else has seen the source end
        return self.submitted > before or self._async is not None

    async def aclose(self) -> None:
        """Submit nothing more, and return when the source is closed."""
        puller = self._puller
        self.stop()
        if puller is not None:
            await asyncio.wait([puller])

    def _add(self, params: object) -> None:
        member = self._submit(bind_params(self._function, params))
        if id(member) in self._members:
            return  # a duplicate, which is read once
        self._places[id(member)] = self.submitted
        self.submitted += 1
        self._members[id(member)] = member
        self.wake()
        if member._ended_at is None:
            member.add_waiter(self)
        else:
            self.notify(member)

    def take(self, member: Record) -> int:
        """Forget a consumed member and fill the room that it leaves; return its place in the order of submission."""
        key = id(member)
        del self._members[key]
        self._claimed.discard(key)
        position = next(index for index, ended in enumerate(self.ended) if ended is member)
        del self.ended[position]
        self.consumed += 1
        place = self._places.pop(key)
        self.feed()
        return place

    def nth(self, position: int) -> Member | None:
        """Return the oldest member that nobody has read, nor is about to: readers in order share what there is."""
        del position
        for key, member in self._members.items():
            if key not in self._claimed:
                self._claimed.add(key)
                return member
        return None

    def put_back(self, member: Member) -> None:
        """Let the next reader have it."""
        self._claimed.discard(id(member))
        self.wake()

    def raise_error(self) -> None:
        """Raise what the source raised, once; not as it is where it would say something else of the reader."""
        error, self.error = self.error, None
        if error is not None:
            raise source_error(error)

    def next_ended(self, position: int) -> Record | None:
        """Return the member that ended first among those that nobody has read."""
        del position
        return self.ended[0] if self.ended else None

    def read_by(self, position: int) -> int:
        """Whatever any reader has read."""
        del position
        return self.consumed

    def stop(self) -> None:
        """Leave the source; safe to call from any thread, for instance from a finalizer."""
        puller, self._sync, self._stopped = self._puller, None, True
        if puller is not None and not puller.get_loop().is_closed():
            puller.get_loop().call_soon_threadsafe(puller.cancel)


def is_sized(source: object) -> bool:
    """Whether everything can be submitted at once."""
    return isinstance(source, Sized) and isinstance(source, Iterable)
