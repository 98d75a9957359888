"""From a call to a queued invocation: the runtime of one app.

The app may be used from any thread, and in one loop after another. It is bound to a loop by the first call inside it
(in memory) or by the start of the app: see `binding`.
"""

import sys
from asyncio.events import _get_running_loop
from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from contextvars import copy_context
from functools import partial
from typing import Any, Final

from pynenc_async.arguments import require_encodable
from pynenc_async.context import CURRENT
from pynenc_async.errors import AppNotStartedError
from pynenc_async.execution.processes.inside import refuse_call
from pynenc_async.family import adopt, guardian_of
from pynenc_async.function import Function, Values
from pynenc_async.headroom import add_headroom
from pynenc_async.invocation.binding import LoopBound, Phase
from pynenc_async.invocation.distributed import DistributedInvocation
from pynenc_async.invocation.duplicates import Duplicates
from pynenc_async.invocation.finding import InvocationPage, find_in_memory, number_after
from pynenc_async.invocation.group import DistributedInvocationGroup
from pynenc_async.invocation.roster import is_sized
from pynenc_async.invocation.waiting import wait_for_room
from pynenc_async.journal import call_in_workflow, must_record, recording
from pynenc_async.limit import ConcurrencyControlType
from pynenc_async.options import TaskOptions
from pynenc_async.record import Record, TaskRecord
from pynenc_async.scheduler.ancestors import refuse_repeated_ancestor
from pynenc_async.scheduler.limits import Limiter
from pynenc_async.scheduler.places import Place
from pynenc_async.scheduler.room import Room
from pynenc_async.status import InvocationStatus
from pynenc_async.store.values import Query


class Dispatcher(LoopBound):
    """Creates invocations and hands them to the scheduler."""

    def __init__(self, **wiring: Any) -> None:
        super().__init__(**wiring)
        self._duplicates: Final = Duplicates(self.scheduler.registry, self)

    def submit(self, task: Any, values: Values) -> DistributedInvocation[Any, Any]:
        """Create an invocation, queue it, and return at once. Callable in any thread."""
        parent: Record | None = CURRENT.get()
        if parent is not None and parent._task.options.workflow and must_record(parent):
            return call_in_workflow(parent, task, values, self.submit)  # type: ignore[no-any-return]
        if _get_running_loop() is not self._open_loop:
            self._admit(parent)
        if parent is not None:
            parent = self._family(task, values, parent)
        number = next(self._numbers)
        record: DistributedInvocation[Any, Any] = DistributedInvocation(
            task, values, number, parent, copy_context(), self.scheduler.clock()
        )
        try:
            self._records[number] = record
            if _get_running_loop() is self._plain_loop:
                task.queue(record)
                if parent is not None and not task.options.detached:
                    more = parent._more
                    if (
                        more is not None
                        and more.children is not None
                        and more.deadline is None
                        and record._more is None
                    ):
                        more.children[number] = record  # `_adopt`, without a call
                    else:
                        self._adopt(parent, record)
                if not self._standbys:
                    self.crew.settle()
            else:
                self._take_in(record)
        except BaseException:
            limit = add_headroom()
            try:
                self.undo(record)
            finally:
                sys.setrecursionlimit(limit)
            raise
        return record

    def enter(self, record: Record) -> None:
        """Take in an invocation that no body has submitted; the app admits calls."""
        try:
            self._records[record._number] = record
            self._take_in(record)
        except BaseException:
            limit = add_headroom()
            try:
                self.undo(record)
            finally:
                sys.setrecursionlimit(limit)
            raise

    def undo(self, record: Record) -> None:
        """End an invocation whose call has raised half-way, be it of a full stack or of a signal: nobody has its handle."""
        if record._number in self._records:  # else it was refused before it was taken in
            self.decide(self.scheduler.undo, record, "its call has raised")

    def _take_in(self, record: Record) -> None:
        """The rare cases: somebody observes, or the call comes from another thread."""
        if self.observers:
            if record._task.options.starts_later:
                record._status = InvocationStatus.SCHEDULED
            status, now, attempt, reason = record.leave_path()[0]
            self.observers.announce(record, None, status, now, attempt, reason)
        self.watches.begin(record)
        if _get_running_loop() is self.loop:
            self._queue_in_turn(record)
            self.crew.settle()
        else:
            self._post(record)

    def _queue(self, record: Record) -> None:
        if record._ended_at is not None:
            return  # cancelled on its way here: it must take no permit
        guardian = guardian_of(record)
        self.scheduler.turnstile.step(record._task.queue, record)
        if guardian is not None:
            self._adopt(guardian, record)

    def enrol(self, use: Any) -> None:
        """Give a task, or a use of it, its way into the queue: found once, not for each call."""
        self.watches.enrol(use)

    def submitter_of(self, options: TaskOptions, function: Function) -> Callable[[Any, Values], Any]:
        """Return what submits a call of a function with these options."""
        unique = options.registration_concurrency is not ConcurrencyControlType.DISABLED
        if unique:
            submit = recording(self._duplicates.submit)  # which asks for room for what is no duplicate
        else:
            submit = self.submit if self._room is None else recording(self.submit_if_room)
        refuse = self.refusal_of(options, function)
        # Else a call in a store is refused as it is encoded; but not after it has replaced another one.
        return _unless_refused(refuse, submit) if refuse is not None and (unique or options.runs_elsewhere) else submit

    def refusal_of(self, options: TaskOptions, function: Function) -> Callable[[Values], None] | None:
        """Return what raises for arguments that do not get where the body runs; None where it is given the very objects."""
        return partial(require_encodable, function, items=True) if options.runs_elsewhere else None

    def check_use(self, use: Any) -> None:
        """Raise for a use of a task whose calls would be refused for their options: here they need no name."""

    def submit_if_room(self, task: Any, values: Values) -> DistributedInvocation[Any, Any]:
        """Like `submit`; raise `QueueFullError` where no more may wait."""
        if self._room is not None:
            self._room.require(task.task_id)
        return self.submit(task, values)

    def require_room(self, task_id: str, count: int) -> None:
        """Raise `QueueFullError` unless `count` more may be submitted."""
        if self._room is not None:
            self._room.require(task_id, count)

    @property
    def room(self) -> Room | None:
        """What bounds how many invocations wait; None: nothing does."""
        return self._room

    async def wait_for_room(self) -> None:
        """Return when one more may be submitted."""
        if self._room is not None:
            await wait_for_room(self._room, self.require_own_loop(None))

    def place_of(self, options: TaskOptions, function: Function) -> Place | None:
        """Return where the bodies of a task run; None: on the loop."""
        return self.places.place_of(options, function)

    def limiter_of(self, task_id: str, options: TaskOptions) -> Limiter | None:
        """Return what holds the limits of a task, if it has any."""
        return self.scheduler.limiter_of(task_id) if options.is_limited else None

    def _family(self, task: TaskRecord, values: Values, parent: Record) -> Record | None:
        """Return the submitter if it lives in this app, after checking that the call repeats none of its ancestors."""
        if parent._task.runtime is not self or parent._ended_at is not None:
            return None
        if task.refuses_repetition:
            refuse_repeated_ancestor(task, values, parent)
        return parent

    def admit(self) -> None:
        """Raise `AppNotStartedError` where a call would; in memory the app starts itself."""
        if _get_running_loop() is not self._open_loop:
            self._admit(CURRENT.get())

    def admit_awaited(self) -> None:
        """Raise `AppNotStartedError` where a call would, or an await of what it returns."""
        self.admit()
        self.require_own_loop(None)

    def _admit(self, parent: Record | None) -> None:
        """The rare cases: first call, another loop, another thread, an app that is stopping."""
        loop = _get_running_loop()
        self.refuse_copy()
        if self._phase is Phase.CLOSED or (self._phase is Phase.DRAINING and parent is None):
            raise AppNotStartedError(f"{self._name} was shut down; enter it again with `async with` to call its tasks")
        if loop is self.loop is not None:
            return
        if self.loop is not None and not self.loop.is_closed() and self.loop.is_running():
            return  # from another thread, with or without a loop of its own
        refuse_call(self._name)
        if loop is None:
            raise self._not_started()
        self.bind(loop)

    def _adopt(self, parent: Record, child: Record) -> None:
        """Cancel the child with its parent, and end it at its parent's deadline."""
        if parent._ended_at is not None or child._ended_at is not None:
            return
        adopt(parent, child)
        deadline = parent.need_more().deadline
        if deadline is not None:
            self.scheduler.set_deadline(child, deadline)

    def group(
        self, task: TaskRecord, params: Iterable[Any] | AsyncIterable[Any], window: int | None
    ) -> DistributedInvocationGroup[Any, Any]:
        """Submit many invocations of one task. Raises `AppNotStartedError` where a call would.

        So does a group with a window in a loop where it could not be read: nothing of it is submitted.
        """
        if (window is not None or not is_sized(params)) and _get_running_loop() is not None:
            self.admit_awaited()
        return DistributedInvocationGroup(task, params, window)

    # -- finding -------------------------------------------------------------------------------------------------------

    def all(self) -> Iterator[Record]:
        """Every living and retained invocation, oldest first."""
        self.store.drop_aged(self.scheduler.clock())
        return iter(self.store)

    def living(self) -> list[DistributedInvocation[Any, Any]]:
        """Every invocation that has not ended."""
        return [
            record for record in self.store if isinstance(record, DistributedInvocation) and record._ended_at is None
        ]

    def stubborn(self) -> list[DistributedInvocation[Any, Any]]:
        """What has not ended after it was told to, by its own fault."""
        return self.living()

    def find(self, invocation_id: str) -> Record | None:
        """Return the living or retained invocation with this id."""
        number = self.ids.parse(invocation_id)
        if number is None:
            return None
        self.store.drop_aged(self.scheduler.clock())
        return self.store.find(number)

    def keep_findable(self, record: Record) -> None:
        """Let an invocation be found as long as somebody holds it, such as the journal of a workflow that names it."""
        self.store.keep_findable(record)

    async def find_page(self, query: Query) -> InvocationPage:
        """Return a page of what is known of."""
        self.store.drop_aged(self.scheduler.clock())
        records = self.store.from_number(number_after(query), newest_first=query.newest_first)
        return find_in_memory(records, query)


def _unless_refused(
    refuse: Callable[[Values], None], submit: Callable[[Any, Values], Any]
) -> Callable[[Any, Values], Any]:
    def check_and_submit(task: Any, values: Values) -> Any:
        refuse(values)
        return submit(task, values)

    return check_and_submit
