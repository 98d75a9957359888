"""From a call to an inline invocation: what a synchronous app has instead of a scheduler."""

import threading
from asyncio import AbstractEventLoop, get_running_loop
from collections import deque
from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from typing import Any, Final
from weakref import WeakValueDictionary

from pynenc_async.errors import InvocationNotFinalError
from pynenc_async.function import Function, Values
from pynenc_async.ids import IdSource
from pynenc_async.invocation.synchronous.group import SynchronousInvocationGroup
from pynenc_async.invocation.synchronous.invocation import SynchronousInvocation
from pynenc_async.invocation.synchronous.record import SynchronousRecord
from pynenc_async.invocation.synchronous.running import LoopRun
from pynenc_async.invocation.synchronous.waits import body_here
from pynenc_async.journal import call_in_workflow, must_record
from pynenc_async.options import TaskOptions
from pynenc_async.record import Record, TaskRecord
from pynenc_async.scheduler.cycles import refuse_repeated_ancestor

Invocation = SynchronousInvocation[Any, Any]


class SynchronousRuntime:
    """Creates invocations and finds them again.

    Whoever holds a handle keeps the invocation; the runtime itself holds those that run, and those that ended last.
    """

    def __init__(self, ids: IdSource, retain_count: int) -> None:
        self.format_id: Final = ids.format
        self.runner_id: Final = ids.runner_id
        self.lock: Final = threading.RLock()
        self.blocked: Final[dict[int, SynchronousRecord]] = {}
        self.scheduler: Final = None
        """There are no slots: a body that awaits an invocation of another app has none to give away."""
        self._ids: Final = ids
        self._known: Final[WeakValueDictionary[int, Invocation]] = WeakValueDictionary()
        self._running: Final[set[Invocation]] = set()
        self._ended: Final[deque[Invocation]] = deque(maxlen=retain_count)

    def submit(self, task: Any, values: Values) -> Invocation:
        """Create an invocation and return it; nothing runs. Callable in any thread."""
        parent = body_here()
        if parent is not None and parent._task.options.workflow and must_record(parent):
            return call_in_workflow(parent, task, values, self.submit)  # type: ignore[no-any-return]
        if parent is not None and parent._task.runtime is not self:
            parent = None
        if parent is not None and task.options.detect_cycles:
            refuse_repeated_ancestor(task, values, parent)
        number = next(self._ids.numbers)
        invocation: Invocation = SynchronousInvocation(task, values, number, parent)
        with self.lock:
            self._known[number] = invocation
        return invocation

    def group(
        self, task: TaskRecord, params: Iterable[Any] | AsyncIterable[Any], window: int | None
    ) -> SynchronousInvocationGroup[Any, Any]:
        """Submit many invocations of one task."""
        return SynchronousInvocationGroup(task, params, window)

    def queue_of(self, options: TaskOptions) -> None:
        """There is none: nothing waits to be run here, so priorities mean nothing."""

    def submitter_of(self, options: TaskOptions) -> Callable[[Any, Values], Any]:
        """Every call is submitted: nothing waits here that could be a duplicate or too much."""
        del options
        return self.submit

    def require_room(self, task_id: str, count: int) -> None:
        """There is always room."""

    async def wait_for_room(self) -> None:
        """There is always room."""

    def place_of(self, function: Function) -> None:
        """Bodies run where the result is read."""

    def limiter_of(self, task_id: str, options: TaskOptions) -> None:
        """There are no limits: nothing runs together that the caller did not run together."""

    def hold(self, record: Invocation) -> None:
        """Keep an invocation that runs, whoever drops it."""
        self._running.add(record)

    def retain(self, record: Invocation) -> None:
        """Keep an invocation that has ended for a while: it may be asked for by id."""
        self._running.discard(record)
        self._ended.append(record)

    def find(self, invocation_id: str) -> Invocation | None:
        """Return the invocation with this id, if it is still known."""
        number = self._ids.parse(invocation_id)
        return None if number is None else self._known.get(number)

    def journal_keeper(self, record: Record) -> None:
        """A journal lives as long as its invocation."""

    def stored_history(self, record: Record) -> None:
        """There is no store that could know more than the record."""

    def all(self) -> Iterator[Invocation]:
        """Every known invocation, oldest first."""
        with self.lock:
            return iter(list(self._known.values()))

    def require_own_loop(self, record: Record) -> AbstractEventLoop:
        """Return the running loop; raise where the items of a stream come up in another one."""
        loop, run = get_running_loop(), record._driver
        if isinstance(run, LoopRun) and run.loop is not loop:
            invocation_id = self.format_id(record._number)
            message = f"invocation {invocation_id} is under way in another event loop; read its items there"
            raise InvocationNotFinalError(invocation_id, message)
        return loop
