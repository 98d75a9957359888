"""A group: the invocations of one task that were submitted together."""

import dataclasses
import weakref
from asyncio import AbstractEventLoop
from asyncio.events import _get_running_loop
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Generator, Iterable, Iterator, Sized
from functools import partial
from types import TracebackType
from typing import Any, Final, Generic, ParamSpec, Self, TypeVar, cast, final

from pynenc_async.function import Values
from pynenc_async.invocation.base import AppRecord, BaseInvocationGroup
from pynenc_async.invocation.cancellation import Cancellation, CancelOutcome
from pynenc_async.invocation.distributed import DistributedInvocation
from pynenc_async.invocation.progress_bar import with_progress
from pynenc_async.invocation.roster import Roster, WindowedRoster, is_sized
from pynenc_async.invocation.steps import result_in_step
from pynenc_async.invocation.thread_reading import MOST_TARGETS, ListedResults, ThreadResults
from pynenc_async.invocation.waiting import Signal, current_body, suspend
from pynenc_async.limit import ConcurrencyControlType
from pynenc_async.record import AnyOf, TaskRecord
from pynenc_async.status import InvocationStatus

Params = ParamSpec("Params")
Result = TypeVar("Result")
Yielded = TypeVar("Yielded")

_SUCCESS: Final = InvocationStatus.SUCCESS
DEFAULT_WINDOW: Final = 1_000
"""How many members of a source of unknown length are submitted and not yet consumed."""


def _submit_member(task: Any, values: Values) -> DistributedInvocation[Any, Any]:
    """Submit a member; a duplicate is the very invocation that stands for it."""
    invocation = task.submit_values(task, values)
    return cast("DistributedInvocation[Any, Any]", getattr(invocation, "original", invocation))


def _undo_members(runtime: Any, first: int, members: Iterable[DistributedInvocation[Any, Any]]) -> None:
    for member in members:
        if member._number > first and member._ended_at is None:
            runtime.undo(member)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GroupStatistics:
    """Where a group stands."""

    submitted: int
    final: int
    """How many have ended, consumed ones included."""
    by_status: dict[InvocationStatus, int]
    """Counts of the members that are kept: all of them, or without the consumed ones where there is a window."""


@final
class DistributedInvocationGroup(BaseInvocationGroup[Params, Result]):
    """Members in order of submission; results as they come.

    `async for result in group` yields results as members end, `in_order()` in order of submission, `as_completed()` the
    members themselves; `await group` gives the list, in order. Leaving an iteration early leaks nothing and cancels
    nothing; `async with group` cancels what is left. A member's failure is raised as soon as it happens by `await group`,
    and where it comes up by the iterators: as a `RuntimeError` from it where it would end an iteration (`StopIteration`,
    `StopAsyncIteration`) or a generator (`GeneratorExit`).

    A group with a window has one reader, which drives it: what has been read is forgotten, and makes room for more.
    """

    def __init__(self, task: Any, source: Iterable[Any] | AsyncIterable[Any], window: int | None) -> None:
        self._task: Final[Any] = task
        unique = task.options.registration_concurrency is not ConcurrencyControlType.DISABLED
        submit, function = partial(_submit_member if unique else task.submit_values, task), task.function
        self._roster: Roster
        if window is not None and (type(window) is not int or window < 1):
            raise ValueError(f"window must be an integer of 1 or more, or None, not {window!r}")
        self._total: Final = len(cast("Sized", source)) if is_sized(source) else None
        if window is None and is_sized(source):
            self._roster = Roster(submit, function)
            task.runtime.require_room(task.task_id, self._total or 0)
            # The number before those of the members: a duplicate is the invocation that was there before.
            first = next(task.runtime.ids.numbers) if unique else 0
            undo = partial(_undo_members, task.runtime, first)
            self._roster.submit_all(cast("Iterable[Any]", source), task.refuse, undo)
        else:
            self._roster = WindowedRoster(
                submit,
                function,
                source,
                DEFAULT_WINDOW if window is None else window,
                task.runtime.call_in_loop,
                task.runtime.room,
            )
            self._roster.feed()
            weakref.finalize(self, self._roster.stop)

    @property
    def task(self) -> TaskRecord:
        """The task of all members."""
        return cast(TaskRecord, self._task)

    @property
    def app(self) -> AppRecord:
        """Where they were submitted."""
        return cast(AppRecord, self._task.app)

    @property
    def invocations(self) -> list[DistributedInvocation[Params, Result]]:
        """The members that are kept, in order of submission."""
        return list(self._roster.listed())

    def __len__(self) -> int:
        """How many were submitted so far."""
        return self._roster.submitted

    def __iter__(self) -> Iterator[DistributedInvocation[Params, Result]]:
        return iter(self.invocations)

    def __repr__(self) -> str:
        return f"<DistributedInvocationGroup of {self._task.task_id}, {len(self)} submitted>"

    # -- reading -------------------------------------------------------------------------------------------------------

    def __aiter__(self) -> "AsyncIterator[Result]":
        return _Results(_AsCompleted(self, self._roster))

    def as_completed(self) -> "AsyncIterator[DistributedInvocation[Params, Result]]":
        """Yield the members as they end, so that a failure can be looked at without ending the loop."""
        return _AsCompleted(self, self._roster)

    def in_order(self) -> "AsyncIterator[Result]":
        """Yield the results in order of submission."""
        return _Results(_InOrder(self, self._roster))

    @property
    def results(self) -> "GroupResults[Result]":
        """The results: `async for` as they come, and in other threads a plain `for`, in order of submission."""
        return GroupResults(self)

    def __await__(self) -> Generator[Any, None, list[Result]]:
        if isinstance(self._roster, WindowedRoster):
            return self._drain().__await__()
        return self._gather()

    def _gather(self) -> Generator[Any, None, list[Result]]:
        """Wait on a count, not on every member."""
        roster, members = self._roster, self._roster.listed()
        roster.watch()
        while len(roster.ended) < len(members) and roster.failed is None:
            body = current_body()
            signal = Signal(self._task.runtime.require_own_loop(members[0]), body)
            roster.call_when(len(members), signal)
            try:
                if roster.failed is None:  # else a member was cancelled in the midst of this
                    yield from suspend(signal, members, body)
            finally:
                roster.forget(signal)
        if roster.failed is not None:
            raise cast("DistributedInvocation[Any, Any]", roster.failed)._failure()
        return [member._outcome for member in members]

    async def _drain(self) -> list[Result]:
        reader: _AsCompleted[DistributedInvocation[Params, Result]] = _AsCompleted(self, self._roster)
        results: dict[int, Result] = {}
        async for member in reader:
            results[reader.place] = member.result
        return [results[place] for place in sorted(results)]

    def progress(self, description: str = "") -> "AsyncIterator[Result]":
        """Like `async for`, with a progress bar on stderr; needs the extra `progress`."""
        return with_progress(self, description, total=self._total)

    # -- control -------------------------------------------------------------------------------------------------------

    def cancel(self, reason: str = "") -> Cancellation[list[CancelOutcome]]:
        """Cancel every member that has not ended, and submit no more: at the call, from any thread.

        Args:
            reason: Why, as the history of each member says it.

        Returns:
            An awaitable that is done when all of that has really ended, and says what was found, in order of submission.

        Raises:
            AppNotStartedError: The app has no running loop, or another loop runs in this thread; nothing was cancelled.
        """
        self._task.runtime.decides_here(None)
        self._roster.stop()
        return Cancellation(partial(self._stopped, [member.cancel(reason) for member in self.invocations]))

    async def _stopped(self, members: list[Cancellation[CancelOutcome]]) -> list[CancelOutcome]:
        await self._roster.aclose()
        return [await member for member in members]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._roster.exhausted or self._roster.unfinished():
            await self.cancel("the block of its group was left")

    def statistics(self) -> GroupStatistics:
        """Count the members by status."""
        members = self._roster.listed()
        counts = Counter(member._status for member in members)
        ended = sum(count for status, count in counts.items() if status.is_final())
        return GroupStatistics(
            submitted=self._roster.submitted, final=self._roster.consumed + ended, by_status=dict(counts)
        )


class _NextEnd:
    """Awaits the next end of a member."""

    def __init__(self, loop: AbstractEventLoop, roster: Roster, count: int) -> None:
        self._loop: Final = loop
        self._roster: Final = roster
        self._count: Final = count

    def __await__(self) -> Generator[Any, None, None]:
        roster, body = self._roster, current_body()
        targets = [] if body is None else roster.unfinished(MOST_TARGETS)
        signal = Signal(self._loop, body)
        roster.call_when(self._count, signal)
        try:
            yield from suspend(signal, targets, body, any_of=AnyOf(roster.candidates))
        finally:
            roster.forget(signal)


class _AsCompleted(Generic[Yielded]):
    """Members as they end. It owns nothing: dropping it needs no clean-up."""

    def __init__(self, group: DistributedInvocationGroup[Any, Any], roster: Roster) -> None:
        self._group: Final = group
        self._roster: Final = roster
        self._position = 0
        self.place = 0
        """That of the member that was yielded last, in the order of submission, where the group has a window."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Yielded:
        roster = self._roster
        if self._position == 0 and not roster.exhausted:
            self._group._task.runtime.require_own_loop(None)  # what is read makes room for more, which is submitted
        roster.watch()
        while (member := roster.next_ended(self._position)) is None:
            position = roster.read_by(self._position)
            if roster.exhausted and position >= roster.submitted:
                roster.raise_error()
                raise StopAsyncIteration
            loop = self._group._task.runtime.require_own_loop(None)
            roster.feed()
            await _NextEnd(loop, roster, position + 1)
        self._position += 1
        self.place = roster.take(member)
        more = member._more
        if more is not None and more.alarm is not None:
            more.alarm.was_awaited = True
        return cast(Yielded, member)


class _InOrder(Generic[Yielded]):
    """Members in order of submission, each when it has ended."""

    def __init__(self, group: DistributedInvocationGroup[Any, Any], roster: Roster) -> None:
        self._group: Final = group
        self._roster: Final = roster
        self._position = 0

    def __aiter__(self) -> Self:
        return self

    async def claim(self) -> DistributedInvocation[Any, Any] | None:
        """Return the next member as soon as it is submitted, or None at the end."""
        roster = self._roster
        if self._position == 0 and not roster.exhausted:
            self._group._task.runtime.require_own_loop(None)
        while (member := roster.nth(self._position)) is None:
            if roster.exhausted:
                roster.raise_error()
                return None
            loop = self._group._task.runtime.require_own_loop(None)
            roster.feed()
            await _NextEnd(loop, roster, roster.submitted + 1)
        self._position += 1
        return member

    async def __anext__(self) -> Yielded:
        member = await self.claim()
        if member is None:
            raise StopAsyncIteration
        try:
            await member.until_ended()
        except BaseException:
            self._roster.put_back(member)
            self._position -= 1
            raise
        self._roster.take(member)
        return cast("Yielded", member)


class _Results(Generic[Result]):
    """The results of an iterator over members; a failure is raised, and the next step goes on after it."""

    def __init__(self, members: AsyncIterator[DistributedInvocation[Any, Result]]) -> None:
        self._members: Final = members

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Result:
        member = await anext(self._members)
        try:
            return member._outcome if member._status is _SUCCESS else result_in_step(member)
        finally:
            del member  # a failure holds this frame


class GroupResults(Generic[Result]):
    """The results of a group, for both kinds of loops."""

    def __init__(self, group: DistributedInvocationGroup[Any, Result]) -> None:
        self._group: Final = group

    def __aiter__(self) -> AsyncIterator[Result]:
        return aiter(self._group)

    def __iter__(self) -> Iterator[Result]:
        """Block for one result after the other; for threads other than the loop's."""
        group = self._group
        if not isinstance(group._roster, WindowedRoster):
            return ListedResults(group.invocations)
        loop = group._task.runtime.require_loop(None)
        if _get_running_loop() is not None:
            raise RuntimeError("inside an event loop, read the results with `async for`")
        return ThreadResults(group, group._roster, loop)
