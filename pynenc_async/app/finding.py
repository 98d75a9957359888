"""What an app knows of its invocations."""

import os
from collections.abc import Iterator
from datetime import datetime
from typing import Any, cast

from pynenc_async.app.wiring import Wired
from pynenc_async.errors import InvocationNotFoundError, PynencError
from pynenc_async.invocation.counting import statistics_of
from pynenc_async.invocation.distributed import DistributedInvocation
from pynenc_async.invocation.finding import InvocationPage, Statuses, as_query, statuses_of, task_ids_of
from pynenc_async.scheduler.observers import Observation, Observer
from pynenc_async.statistics import AppStatistics
from pynenc_async.task import Task


class Finding(Wired):
    """Finds, counts, observes and backs up what was submitted."""

    def get_invocation(self, invocation_id: str) -> DistributedInvocation[Any, Any]:
        """Return a living or retained invocation; raises `InvocationNotFoundError`."""
        found = self.find_invocation(invocation_id)
        if found is None:
            raise InvocationNotFoundError(invocation_id)
        return found

    def find_invocation(self, invocation_id: str) -> DistributedInvocation[Any, Any] | None:
        """Return a living or retained invocation, or None."""
        return cast("DistributedInvocation[Any, Any] | None", self.runtime.find(invocation_id))

    def invocations(
        self, *, status: Statuses = None, task: Task[Any, Any] | str | None = None
    ) -> list[DistributedInvocation[Any, Any]]:
        """Return the living and retained invocations, oldest first, of one status or task where given; see `find`.

        Raises:
            ValueError: `status` or `task` is none; it names what was probably meant.
        """
        statuses, task_ids = statuses_of(status), self._task_ids(task)
        return [
            one
            for one in self._all()
            if (not statuses or one.status in statuses) and (not task_ids or one.task.task_id in task_ids)
        ]

    async def find(
        self,
        *,
        status: Statuses = None,
        task: Task[Any, Any] | str | None = None,
        parent: str | None = None,
        text: str = "",
        registered: tuple[datetime | None, datetime | None] = (None, None),
        ended: tuple[datetime | None, datetime | None] = (None, None),
        newest_first: bool = True,
        limit: int = 100,
        after: str | None = None,
    ) -> InvocationPage:
        """Return a page of the invocations that fit all that is given: those in memory, or all that the store has.

        Args:
            status: One status, or several: members of `InvocationStatus`, or their names.
            task: A task, its id, or the name of its function; or the id of a task that is not known here.
            parent: The id of the invocation in whose body they were submitted.
            text: What occurs in the task id, the arguments, the result or the error.
            registered: From the first moment (included) to the second; None: without such an end.
            ended: The same for the moment of the end.
            newest_first: Whether what was submitted last comes first.
            limit: How many at most; 1 or more.
            after: `next` of the page before.

        Raises:
            ValueError: An argument is none of these; it names the argument, and what was probably meant.
        """
        query = as_query(
            statuses_of(status),
            self._task_ids(task),
            parent,
            text,
            registered,
            ended,
            newest_first=newest_first,
            limit=limit,
            after=after,
        )
        return await self.runtime.find_page(query)  # type: ignore[no-any-return]

    def _task_ids(self, task: Task[Any, Any] | str | None) -> tuple[str, ...]:
        if isinstance(task, str) and task in self._dispatcher.unknown_tasks():
            return (task,)
        return task_ids_of(task, self._registry.by_any_id, others_exist=self._dispatcher.has_store)

    def _all(self) -> Iterator[DistributedInvocation[Any, Any]]:
        return cast("Iterator[DistributedInvocation[Any, Any]]", self.runtime.all())

    def statistics(self) -> AppStatistics:
        """Say where the app stands."""
        return statistics_of(self._dispatcher, self._all())

    def observe(self, callback: Observer) -> Observation:
        """Tell `callback` of every transition of the invocations that are submitted from now on, until it is closed.

        It is called in the app's loop, in order, soon after the transition. It may submit and cancel. One that raises is
        logged, and told nothing more. Raises `PynencError` with `sync://`, where no loop could call it.
        """
        if self.is_synchronous:
            raise PynencError("a synchronous app has no loop in which observers are called; use 'memory://' to observe")
        return self._dispatcher.observers.add(callback)

    async def backup(self, target: str | bytes | os.PathLike[str]) -> None:
        """Write a copy of the store to the file `target`, while everything goes on.

        Args:
            target: Where nothing may be yet. The copy is made beside it, and put there when it is whole and on the disk; it
                is for its owner alone, as the store is.

        Raises:
            StoreError: The copy cannot be made; then nothing is left of it.
            PynencError: The app is one in memory.
        """
        await self._dispatcher.backup(os.fsdecode(target))
