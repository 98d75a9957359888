"""Reading a group in a thread that is not the loop's: for one result after the other, in order of submission."""

from asyncio import AbstractEventLoop
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, Final, Generic, Self, TypeVar

from pynenc_async.invocation.distributed import DistributedInvocation
from pynenc_async.invocation.roster import Member, WindowedRoster
from pynenc_async.invocation.steps import result_in_step
from pynenc_async.invocation.thread_wait import ThreadWait
from pynenc_async.record import AnyOf, Record

Result = TypeVar("Result")

MOST_TARGETS: Final = 32
"""How many members a reader in a body moves ahead in the queue at once."""


class _Next:
    """The next member that is submitted, as a thread waits for it."""

    def __init__(self, runtime: Any, task_id: str, roster: WindowedRoster) -> None:
        self.runtime: Final = runtime
        self.name: Final = f"the group of {task_id}"
        self._roster: Final = roster
        self._member: Member | None = None
        self.is_over = False

    @property
    def invocation_id(self) -> str:
        """The invocation that errors are about: the newest member."""
        members = self._roster.listed()
        return members[-1].invocation_id if members else ""

    def take(self) -> Member | None:
        """Return the member that was found."""
        member, self._member = self._member, None
        return member

    def has_come(self) -> bool:
        """Look for it; raises what the source has raised."""
        roster = self._roster
        if not roster.exhausted:
            roster.feed()
        self._member = roster.nth(0)
        if self._member is None and roster.exhausted:
            roster.raise_error()
            self.is_over = True
        return self.is_over or self._member is not None

    def add(self, waiter: ThreadWait) -> None:
        """Notify the waiter when a member was submitted, or none will be."""
        self._roster.call_when(self._roster.submitted + 1, waiter)

    def remove(self, waiter: ThreadWait) -> None:
        """The waiter has gone."""
        self._roster.forget(waiter)

    def needs(self) -> tuple[Sequence[Record], AnyOf | None]:
        """A body that waits needs the end of some member, or room."""
        return self._roster.unfinished(MOST_TARGETS), AnyOf(self._roster.candidates)


class ListedResults(Generic[Result]):
    """The results of a group without a window; a failure is raised, and the next step goes on after it."""

    def __init__(self, members: Iterable[DistributedInvocation[Any, Result]]) -> None:
        self._members: Final = iter(members)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Result:
        return result_in_step(next(self._members))


class ThreadResults(Generic[Result]):
    """The results of a group with a window; a failure is raised, and the next step goes on after it."""

    def __init__(self, group: Any, roster: WindowedRoster, loop: AbstractEventLoop) -> None:
        self._group: Final = group
        """Kept as long as it is read: nothing more is submitted once it is gone."""
        self._next: Final = _Next(group.task.runtime, group.task.task_id, roster)
        self._roster: Final = roster
        self._loop: Final = loop

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Result:
        member = self._claim()
        if member is None:
            raise StopIteration
        try:
            member.exception()
        except BaseException:
            self._in_loop(self._roster.put_back, member)
            raise
        self._in_loop(self._roster.take, member)
        result: Result = result_in_step(member)
        return result

    def _claim(self) -> Member | None:
        """Return the next member as soon as it is submitted, or None at the end."""
        while (member := self._next.take()) is None and not self._next.is_over:
            ThreadWait(self._next, self._loop).block()
        return member

    def _in_loop(self, act: Any, member: Member) -> None:
        with suppress(RuntimeError):  # it is closed, and nothing more is submitted
            self._loop.call_soon_threadsafe(act, member)
