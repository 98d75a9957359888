"""From a call to an inline invocation: what a synchronous app has instead of a scheduler."""

import threading
from asyncio import AbstractEventLoop, get_running_loop
from collections import deque
from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from typing import Any, Final
from weakref import WeakValueDictionary

from pynenc_async.errors import InvocationNotFinalError
from pynenc_async.forks import tell_of_forks
from pynenc_async.function import Function, Values
from pynenc_async.ids import IdSource
from pynenc_async.invocation.finding import InvocationPage, find_in_memory, number_after
from pynenc_async.invocation.synchronous.group import SynchronousInvocationGroup
from pynenc_async.invocation.synchronous.invocation import SynchronousInvocation
from pynenc_async.invocation.synchronous.record import SynchronousRecord
from pynenc_async.invocation.synchronous.running import LoopRun
from pynenc_async.invocation.synchronous.waits import body_here
from pynenc_async.journal import call_in_workflow, must_record
from pynenc_async.options import TaskOptions
from pynenc_async.record import Record, TaskRecord
from pynenc_async.scheduler.ancestors import refuse_repeated_ancestor
from pynenc_async.scheduler.watches import Watches
from pynenc_async.status import InvocationStatus
from pynenc_async.store.values import Query
from pynenc_async.telemetry import report_unseen
from pynenc_async.weak_bag import items_of

Invocation = SynchronousInvocation[Any, Any]


class SynchronousRuntime:
    """Creates invocations and finds them again.

    Whoever holds a handle keeps the invocation; the runtime itself holds those that run, and those that ended last.
    """

    def __init__(self, ids: IdSource, retain_count: int) -> None:
        self.format_id: Final = ids.format
        self.runner_of: Final = ids.runner_of
        self.lock = threading.RLock()
        self.blocked: Final[dict[int, SynchronousRecord]] = {}
        self.scheduler: Final = None
        """There are no slots: a body that awaits an invocation of another app has none to give away."""
        self.ids: Final = ids
        self.watches: Final = Watches()
        self.followers: Final[deque[Invocation]] = deque()
        """What triggers have fired, and what has not run."""
        self._known: Final[WeakValueDictionary[int, Invocation]] = WeakValueDictionary()
        self._running: Final[set[Invocation]] = set()
        self._ended: Final[deque[Invocation]] = deque(maxlen=retain_count)
        tell_of_forks(self)

    def note_fork(self) -> None:
        """In a child: what has not begun can be run here, too; what other threads run goes on in the parent alone."""
        self.lock = threading.RLock()  # whoever held it is not there
        here = threading.get_ident()
        for thread_id in [one for one in self.blocked if one != here]:
            del self.blocked[thread_id]
        for invocation in list(self._running):
            if invocation._driver is not None and invocation._driver.thread_id != here:
                invocation._leave_to_parent()
        self.watches.note_fork()

    def submit(self, task: Any, values: Values) -> Invocation:
        """Create an invocation, run it or, inside an event loop, let it begin, and return it. Callable in any thread."""
        parent = body_here()
        if parent is not None and parent._task.options.workflow and must_record(parent):
            return call_in_workflow(parent, task, values, self.submit)  # type: ignore[no-any-return]
        if parent is not None and parent._task.runtime is not self:
            parent = None
        if parent is not None and task.refuses_repetition:
            refuse_repeated_ancestor(task, values, parent)
        number = next(self.ids.numbers)
        invocation: Invocation = SynchronousInvocation(task, values, number, parent)
        self.enter(invocation)
        invocation._run_at_call()
        return invocation

    def enter(self, invocation: Invocation) -> None:
        """Take in a new invocation; nothing runs."""
        self._known[invocation._number] = invocation
        self.watches.begin(invocation)

    # -- what triggers fire --------------------------------------------------------------------------------------------

    async def follow_up(self) -> None:
        """Run what is fired by what has happened, to its end."""
        while follower := self._next_follower():
            await follower.until_ended()
            _report(follower)

    def follow_up_blocking(self) -> None:
        """The same, for a thread."""
        while follower := self._next_follower():
            follower._run_or_block(None)
            _report(follower)

    def start_followers(self) -> None:
        """Let what is fired by what has happened run in the running loop."""
        while follower := self._next_follower():
            follower._start()

    def _next_follower(self) -> Invocation | None:
        self.watches.backlog.work_off()
        try:
            return self.followers.popleft()
        except IndexError:  # none, or another thread was faster
            return None

    def group(
        self, task: TaskRecord, params: Iterable[Any] | AsyncIterable[Any], window: int | None
    ) -> SynchronousInvocationGroup[Any, Any]:
        """Submit many invocations of one task."""
        return SynchronousInvocationGroup(task, params, window)

    def enrol(self, use: Any) -> None:
        """There is no way into a queue: nothing waits to be run here, so priorities mean nothing."""
        use.queue = None

    def submitter_of(self, options: TaskOptions, function: Function) -> Callable[[Any, Values], Any]:
        """Every call is submitted: nothing waits here that could be a duplicate or too much."""
        del options, function
        return self.submit

    def refusal_of(self, options: TaskOptions, function: Function) -> None:
        """Nothing is encoded: all bodies run here."""

    def check_use(self, use: object) -> None:
        """All options are as good as those of the task: nothing is stored."""

    def require_room(self, task_id: str, count: int) -> None:
        """There is always room."""

    async def wait_for_room(self) -> None:
        """There is always room."""

    def place_of(self, options: TaskOptions, function: Function) -> None:
        """Bodies run where they are called, whatever `runs_in` says."""

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
        number = self.ids.parse(invocation_id)
        return None if number is None else self._known.get(number)

    def keep_findable(self, record: Record) -> None:
        """Whoever holds a handle keeps the invocation."""

    def journal_keeper(self, record: Record) -> None:
        """A journal lives as long as its invocation."""

    def stored_history(self, record: Record) -> None:
        """There is no store that could know more than the record."""

    def all(self) -> Iterator[Invocation]:
        """Every known invocation, oldest first."""
        return iter([invocation for _, invocation in items_of(self._known)])

    async def find_page(self, query: Query) -> InvocationPage:
        """Return a page of what is known of."""
        after = number_after(query)
        known = (
            one for one in self.all() if after is None or (one._number - after) * (-1 if query.newest_first else 1) > 0
        )
        records = sorted(known, key=lambda one: one._number, reverse=query.newest_first)
        return find_in_memory(records, query)

    def require_own_loop(self, record: Record) -> AbstractEventLoop:
        """Return the running loop; raise where the items of a stream come up in another one."""
        loop, run = get_running_loop(), record._driver
        if isinstance(run, LoopRun) and run.loop is not loop:
            invocation_id = self.format_id(record._number)
            message = f"invocation {invocation_id} is under way in another event loop; read its items there"
            raise InvocationNotFinalError(invocation_id, message)
        return loop


def _report(follower: Invocation) -> None:
    """Nobody reads what was fired: its failure is logged."""
    if follower._status is InvocationStatus.FAILED:
        report_unseen(follower._task.task_id, follower.invocation_id, follower._outcome)
