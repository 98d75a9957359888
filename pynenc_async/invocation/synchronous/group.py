"""A group of invocations that run inline, one by one, as the group is read."""

from asyncio import CancelledError
from collections import Counter, deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Generator, Iterable, Iterator, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Final, Generic, ParamSpec, Protocol, Self, TypeVar, cast, final

from pynenc_async.invocation.base import AppRecord, BaseInvocationGroup
from pynenc_async.invocation.cancellation import Cancellation, CancelOutcome
from pynenc_async.invocation.group import GroupStatistics
from pynenc_async.invocation.roster import bind_params, is_sized
from pynenc_async.invocation.steps import result_in_step, source_error
from pynenc_async.invocation.synchronous.invocation import SynchronousInvocation
from pynenc_async.record import TaskRecord

Params = ParamSpec("Params")
Result = TypeVar("Result")
Yielded = TypeVar("Yielded")
Member = SynchronousInvocation[Any, Any]


@final
class SynchronousInvocationGroup(BaseInvocationGroup[Params, Result], Generic[Params, Result]):
    """Members in order of submission, each of which runs at its submission. Not for production.

    A plain `for` over `results` is for scripts without a loop; inside one, all the ways to read a group are there, and
    yield in the same order. Leaving an iteration early leaks nothing and cancels nothing.

    The members of a sized collection are submitted at once. Any other source is read one element at a time, as the group
    is read, and what has been read is forgotten, so an endless one is fine, whatever the window. Such a group has one reader.
    """

    def __init__(self, task: Any, source: Iterable[Any] | AsyncIterable[Any], window: int | None) -> None:
        self._task: Final[Any] = task
        self._members: Final = _members_of(task, source, window)

    @property
    def task(self) -> TaskRecord:
        """The task of all members."""
        return cast(TaskRecord, self._task)

    @property
    def app(self) -> AppRecord:
        """Where they were submitted."""
        return cast(AppRecord, self._task.app)

    @property
    def invocations(self) -> list[SynchronousInvocation[Params, Result]]:
        """The members that are kept, in order of submission."""
        return list(self._members.kept)

    def __len__(self) -> int:
        """How many were submitted so far."""
        return self._members.submitted

    def __repr__(self) -> str:
        return f"<SynchronousInvocationGroup of {self._task.task_id}, {len(self)} submitted>"

    # -- reading -------------------------------------------------------------------------------------------------------

    @property
    def results(self) -> "SynchronousResults[Result]":
        """The results, for a plain `for` and, inside an event loop, for `async for`."""
        return SynchronousResults(self._members)

    def __aiter__(self) -> AsyncIterator[Result]:
        return aiter(self.results)

    def in_order(self) -> AsyncIterator[Result]:
        """Yield the results in order of submission."""
        return aiter(self.results)

    def as_completed(self) -> "AsyncIterator[SynchronousInvocation[Params, Result]]":
        """Yield the members, each after it has run, so that a failure can be looked at without ending the loop."""
        return _Reader(self._members, _itself)

    def __await__(self) -> Generator[Any, None, list[Result]]:
        return self._collect().__await__()

    async def _collect(self) -> list[Result]:
        return [member.result async for member in self.as_completed()]

    # -- control -------------------------------------------------------------------------------------------------------

    def cancel(self, reason: str = "") -> Cancellation[list[CancelOutcome]]:
        """Cancel every member that has not ended, and submit no more; see `DistributedInvocationGroup.cancel`."""
        self._members.stop()
        members = self.invocations
        for member in members:
            member._cancel(reason)
        return Cancellation(partial(self._stopped, [member.cancel(reason) for member in members]))

    async def _stopped(self, members: list[Cancellation[CancelOutcome]]) -> list[CancelOutcome]:
        return [await member for member in members]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.cancel("the block of its group was left")

    def statistics(self) -> GroupStatistics:
        """Count the members by status."""
        counts = Counter(member.status for member in self.invocations)
        ended = sum(count for status, count in counts.items() if status.is_final())
        return GroupStatistics(submitted=len(self), final=self._members.forgotten + ended, by_status=dict(counts))


class _Members(Protocol):
    """What a group reads from."""

    @property
    def kept(self) -> Sequence[Member]:
        """The members that are kept, in order of submission."""
        ...

    @property
    def submitted(self) -> int:
        """How many there have been so far."""
        ...

    @property
    def forgotten(self) -> int:
        """How many of them have been read and are not kept."""
        ...

    async def pull(self) -> None:
        """Submit what an async source has next, if that is what comes next."""
        ...

    def at(self, position: int) -> Member | None:
        """Return what a reader reads next that has read `position` members; None at the end."""
        ...

    def forget(self, member: Member) -> None:
        """A reader is done with `member`."""
        ...

    def stop(self) -> None:
        """Submit no more."""
        ...


def _members_of(task: Any, source: Iterable[Any] | AsyncIterable[Any], window: int | None) -> _Members:
    if window is None and is_sized(source):
        return _Listed(task, cast("Iterable[Any]", source))
    return _Pulled(task, source)


class _Listed:
    """The members of a sized collection: submitted at once, kept for any number of readers."""

    def __init__(self, task: Any, source: Iterable[Any]) -> None:
        # First, so that a wrong element stops it all.
        values = [bind_params(task.function, params) for params in source]
        self.kept: Final[list[Member]] = [task.runtime.submit(task, one) for one in values]
        self.submitted: Final = len(self.kept)
        self.forgotten: Final = 0

    async def pull(self) -> None:
        """Do nothing: all are there."""

    def at(self, position: int) -> Member | None:
        """Return the member at this position."""
        return self.kept[position] if position < self.submitted else None

    def forget(self, member: Member) -> None:
        """Keep it: there may be other readers."""

    def stop(self) -> None:
        """Do nothing: all are there."""


class _Pulled:
    """The members of any other source: submitted one at a time, forgotten when they have been read."""

    def __init__(self, task: Any, source: Iterable[Any] | AsyncIterable[Any]) -> None:
        self.kept: Final[deque[Member]] = deque()
        self.submitted = 0
        self.forgotten = 0
        self._task: Final[Any] = task
        self._async = aiter(source) if isinstance(source, AsyncIterable) else None
        self._sync: Iterator[Any] = iter(()) if isinstance(source, AsyncIterable) else iter(source)

    async def pull(self) -> None:
        """Submit one more from an async source, when the last one has been read."""
        if self._async is not None and not self.kept:
            try:
                params = await anext(self._async)
            except StopAsyncIteration:
                self._async = None
            except CancelledError:
                raise  # it is the reader that is cancelled here
            except BaseException as error:  # noqa: BLE001
                self.stop()
                raise source_error(error)  # noqa: B904  it names the cause
            else:
                self._submit(params)

    def at(self, position: int) -> Member | None:
        """Return the member that nobody has read, submitted now where the source allows."""
        del position
        if not self.kept:
            if self._async is not None:
                raise TypeError("the params of this group are an async iterable: read its results with `async for`")
            self._pull_now()
        return self.kept[0] if self.kept else None

    def _pull_now(self) -> None:
        try:
            params = next(self._sync)
        except StopIteration:
            return
        except BaseException as error:  # noqa: BLE001
            self.stop()
            raise source_error(error)  # noqa: B904  it names the cause
        self._submit(params)

    def _submit(self, params: object) -> None:
        try:
            member = self._task.runtime.submit(self._task, bind_params(self._task.function, params))
        except BaseException as error:  # noqa: BLE001  by code of users
            self.stop()
            raise source_error(error)  # noqa: B904  it names the cause
        self.kept.append(member)
        self.submitted += 1

    def forget(self, member: Member) -> None:
        """Make room for the next one."""
        if self.kept and self.kept[0] is member:
            self.kept.popleft()
            self.forgotten += 1

    def stop(self) -> None:
        """Leave the source."""
        self._async, self._sync = None, iter(())


class _Reader(Generic[Yielded]):
    """One iteration, in either kind of loop; after a failure that it raised, the next step goes on behind it."""

    def __init__(self, members: _Members, read: Callable[[Member], Yielded]) -> None:
        self._members: Final = members
        self._read: Final = read
        self._position = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Yielded:
        member = self._members.at(self._position)
        if member is None:
            raise StopIteration
        member.exception()  # runs it, and does not raise what it ends in
        return self._take(member)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Yielded:
        await self._members.pull()
        member = self._members.at(self._position)
        if member is None:
            raise StopAsyncIteration
        await member.until_ended()
        return self._take(member)

    def _take(self, member: Member) -> Yielded:
        self._position += 1
        self._members.forget(member)
        return self._read(member)


class SynchronousResults(Generic[Result]):
    """The results of a group, for both kinds of loops."""

    def __init__(self, members: _Members) -> None:
        self._members: Final = members

    def __iter__(self) -> Iterator[Result]:
        return _Reader(self._members, _result)

    def __aiter__(self) -> AsyncIterator[Result]:
        return _Reader(self._members, _result)


def _result(member: Member) -> Any:
    return result_in_step(member)


def _itself(member: Member) -> Member:
    return member
