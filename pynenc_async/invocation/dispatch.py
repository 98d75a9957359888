"""From a call to a queued invocation: the runtime of one app, and the event loop that it is bound to.

The app may be used from any thread, and in one loop after another. It is bound to a loop by the first call inside it
(in memory) or by the start of the app. Calls from other threads go through an inbox that the loop empties.
"""

from asyncio import AbstractEventLoop, get_running_loop
from asyncio.events import _get_running_loop
from collections import deque
from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from contextvars import copy_context
from enum import Enum, auto
from random import Random
from typing import Any, ClassVar, Final

from pynenc_async.clock import monotonic_clock_of, tie_break_of, wall_clock_of
from pynenc_async.context import CURRENT
from pynenc_async.errors import AppNotStartedError, InvocationNotFoundError, PynencError
from pynenc_async.execution.carrier import BATCH, Carrier
from pynenc_async.execution.crew import Crew
from pynenc_async.execution.processes.inside import refuse_call, refuse_start
from pynenc_async.execution.watchdog import Watchdog
from pynenc_async.function import Function, Values
from pynenc_async.history import HistoryEntry
from pynenc_async.ids import IdSource
from pynenc_async.invocation.distributed import DistributedInvocation
from pynenc_async.invocation.duplicates import Duplicates
from pynenc_async.invocation.finding import InvocationPage, find_in_memory
from pynenc_async.invocation.group import DistributedInvocationGroup
from pynenc_async.invocation.placement import Placement
from pynenc_async.invocation.waiting import wait_for_room
from pynenc_async.journal import call_in_workflow, expect_end, must_record, recording
from pynenc_async.limit import ConcurrencyControlType
from pynenc_async.options import TaskOptions
from pynenc_async.record import Record, TaskRecord
from pynenc_async.scheduler.cycles import refuse_repeated_ancestor
from pynenc_async.scheduler.limits import Limiter
from pynenc_async.scheduler.observers import Observers
from pynenc_async.scheduler.places import Place
from pynenc_async.scheduler.room import Room
from pynenc_async.scheduler.scheduler import Scheduler
from pynenc_async.scheduler.watches import Watches
from pynenc_async.status import InvocationStatus
from pynenc_async.store.records import Records
from pynenc_async.store.values import Query


class Phase(Enum):
    """Whether calls are admitted."""

    OPEN = auto()
    """Every call; in memory the app starts itself."""
    DRAINING = auto()
    """Calls made by running bodies."""
    CLOSED = auto()
    """None, until the app is started again."""


class Dispatcher:
    """Creates invocations and hands them to the scheduler."""

    scheduler_type: ClassVar[type[Scheduler]] = Scheduler

    def __init__(
        self,
        *,
        name: str,
        max_concurrency: int | None,
        max_threads: int,
        max_processes: int,
        retain_count: int,
        retain_seconds: float,
        ageing_seconds: float | None,
        max_queued: int | None,
        watchdog_seconds: float | None,
    ) -> None:
        self._name: Final = name
        self.places: Final = Placement(
            max_threads=max_threads, max_processes=max_processes, ageing_seconds=ageing_seconds
        )
        self.threads: Final = self.places.threads
        self.ids: Final = IdSource()
        self.runner_id = self.ids.runner_id
        self.store: Final = Records(retain_count, retain_seconds)
        self.scheduler: Final = self.scheduler_type(
            store=self.store,
            clock=wall_clock_of(None),
            max_concurrency=max_concurrency,
            places=self.places.all,
            format_id=self.format_id,
            ageing_seconds=ageing_seconds,
        )
        scheduler = self.scheduler
        self._room: Room | None = None
        if max_queued is not None:
            self._room = Room(max_queued, self.count_waiting, self.those_waiting, scheduler.relieve)
        scheduler.room = self._room
        self._duplicates: Final = Duplicates(scheduler.registry, self)
        self._phase = Phase.OPEN
        self.loop: AbstractEventLoop | None = None
        self._open_loop: object = self
        """The loop whose calls need no second look, while the app is open; until then something that is no loop."""
        self._plain_loop: object = self
        """The loop in which calls are queued at once: none while somebody observes."""
        self.observers: Final = Observers(self._name_record, self._choose_way)
        scheduler.observers = self.observers
        self.watches: Final = Watches(self._queue_for)
        self._standbys: dict[Carrier, None] = {}
        self._crew: Crew | None = None
        self.watchdog: Final = Watchdog(watchdog_seconds, lambda: scheduler.in_use > 0 or bool(self._standbys))
        self._inbox: Final[deque[Record]] = deque()
        self._numbers: Final = self.ids.numbers
        self._records: Final = self.store.records

    @property
    def phase(self) -> Phase:
        """Whether calls are admitted."""
        return self._phase

    @phase.setter
    def phase(self, phase: Phase) -> None:
        self._phase = phase
        self._open_loop = self.loop if phase is Phase.OPEN and self.loop is not None else self

    @property
    def crew(self) -> Crew:
        """What runs bodies on the loop to which the app is bound."""
        if self._crew is None:
            raise self._not_started()
        return self._crew

    # -- the loop ------------------------------------------------------------------------------------------------------

    def bind(self, loop: AbstractEventLoop) -> None:
        """Use `loop` from now on. What ran on an earlier loop, now closed, is written off; what waited runs on this one."""
        if loop is self.loop:
            return
        if self.loop is not None and not self.loop.is_closed() and self.loop.is_running():
            raise AppNotStartedError(
                f"{self._name} is bound to the event loop of another thread; await its invocations there"
            )
        refuse_start(self._name)
        self._leave_loop()
        scheduler = self.scheduler
        scheduler.clock = wall_clock_of(loop)
        scheduler.random = tie_break_of(loop) or scheduler.random
        self.loop = loop
        self._crew = Crew(scheduler, self.places, loop, self.watchdog, _batches(tie_break_of(loop)))
        self.watchdog.bind(loop)
        scheduler.settle = self._crew.settle
        self.observers.bind(loop)
        self.watches.backlog.bind(loop)
        self._choose_way()
        scheduler.agenda.bind(monotonic_clock_of(loop), loop.call_later)
        self._standbys = self._crew.standbys
        self.phase = self._phase
        self._empty_inbox()  # what came from other threads when the loop before had ended

    def call_in_loop(self, callback: Callable[[], object]) -> None:
        """Call back in the loop, from any thread."""
        self.require_loop(None).call_soon_threadsafe(callback)

    def open(self, loop: AbstractEventLoop) -> None:
        """Admit calls, and run them on `loop`."""
        self.bind(loop)
        self.phase = Phase.OPEN

    async def start(self, loop: AbstractEventLoop) -> None:
        """Admit calls, and run them on `loop`."""
        self.open(loop)

    async def stop(self) -> None:
        """Nothing lives any more, and nothing is admitted."""

    def end_for_shutdown(self, record: Record) -> None:
        """Bring an invocation to its end, or give it back, because the app is shut down."""
        self.scheduler.cancel(record, "the app was shut down")

    async def until_accepted(self, record: Record) -> None:
        """Return when the store holds the invocation durably: at once in memory."""

    def journal_keeper(self, record: Record) -> Callable[[int], None] | None:
        """Return what writes the journal of a workflow down as it grows; None in memory."""
        del record
        return None

    def standing_elsewhere(self, task: Any, key: Any) -> DistributedInvocation[Any, Any] | None:
        """Return the invocation of another process that makes a call with this key a duplicate."""
        del task, key
        return None

    def stored_history(self, record: Record) -> tuple[HistoryEntry, ...] | None:
        """Return the history of an invocation whose record does not know it; None where it does."""
        del record
        return None

    def _leave_loop(self) -> None:
        """Write off what the loop that is gone had under way."""
        if self._crew is not None:
            self._crew.threads.close()
            self._crew.threads.break_off_waits()
        if self._room is not None:
            self._room.leave_loop()
        self.scheduler.settle = _nobody_is_there
        self.scheduler.agenda.leave_loop()
        living = [record for record in self.store if record._ended_at is None]
        for record in living:
            record._waiters = None  # they belonged to the same loop
            if record._more is not None:
                record._more.waits = 0  # and so did the awaits that the bodies were in
                if record._more.progress is not None:
                    record._more.progress.leave_loop()
        self.scheduler.forget_comebacks()
        for record in living:
            if record._driver is not None:
                self.scheduler.abandon(record, "its event loop was closed")
        if self._crew is not None:
            self._crew.elsewhere.close()

    def format_id(self, number: int) -> str:
        """Return the id of an invocation that lives here."""
        return self.ids.format(number)

    def _name_record(self, record: Record) -> tuple[str, str]:
        return self.format_id(record._number), self.runner_id

    def _choose_way(self) -> None:
        self._plain_loop = self if self.loop is None or self.observers else self.loop

    # -- submission ----------------------------------------------------------------------------------------------------

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
        self._records[number] = record
        if _get_running_loop() is self._plain_loop:
            task.queue(record)
            if parent is not None and not task.options.detached:
                more = parent._more
                if more is not None and more.children is not None and more.deadline is None and record._more is None:
                    more.children[number] = record  # `_adopt`, without a call
                else:
                    self._adopt(parent, record)
            if not self._standbys:
                self.crew.settle()
        else:
            self._take_in(record)
        return record

    def enter(self, record: Record) -> None:
        """Take in an invocation that no body has submitted; the app admits calls."""
        self._records[record._number] = record
        self._take_in(record)

    def _take_in(self, record: Record) -> None:
        """The rare cases: somebody observes, or the call comes from another thread."""
        if self.observers:
            if record._task.options.starts_later:
                record._status = InvocationStatus.SCHEDULED
            status, now, attempt, reason = record.leave_path()[0]
            self.observers.announce(record, None, status, now, attempt, reason)
        self.watches.begin(record)
        if _get_running_loop() is self.loop:
            self._queue(record)
            self.crew.settle()
        else:
            self._post(record)

    def _queue(self, record: Record) -> None:
        if record._ended_at is not None:
            return  # cancelled on its way here: it must take no permit
        parent = record._parent
        record._task.queue(record)
        if isinstance(parent, Record) and not record._task.options.detached:
            self._adopt(parent, record)

    def queue_of(self, use: Any) -> Callable[[Record], None]:
        """Return what queues the invocations of a task or a use of it: looked up once, not for each call."""
        return self.watches.enrol(use)

    def _queue_for(self, use: Any) -> Callable[[Record], None]:
        return self.scheduler.way_in(use.options, use.limiter)

    def submitter_of(self, options: TaskOptions) -> Callable[[Any, Values], Any]:
        """Return what submits a call with these options."""
        if options.registration_concurrency is not ConcurrencyControlType.DISABLED:
            return recording(self._duplicates.submit)  # which asks for room for what is no duplicate
        return self.submit if self._room is None else recording(self.submit_if_room)

    def submit_if_room(self, task: Any, values: Values) -> DistributedInvocation[Any, Any]:
        """Like `submit`; raise `QueueFullError` where no more may wait."""
        if self._room is not None:
            self._room.require(task.task_id)
        return self.submit(task, values)

    def count_waiting(self) -> int:
        """How many have been submitted and have not begun, or wait for their next attempt."""
        return self.scheduler.waiting

    def those_waiting(self) -> Iterable[Record]:
        """Them, the newest first; nobody, where some are not in memory."""
        return self.scheduler.those_waiting() if self.count_waiting() == self.scheduler.waiting else ()

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

    def decide(self, decision: Callable[..., object], *args: object) -> None:
        """Let the scheduler decide something: now, or in its loop as soon as possible."""
        if _get_running_loop() is self.loop:
            decision(*args)
        else:
            self.call_in_loop(lambda: decision(*args))

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
        if task.options.detect_cycles:
            refuse_repeated_ancestor(task, values, parent)
        return parent

    def admit(self) -> None:
        """Raise `AppNotStartedError` where a call would; in memory the app starts itself."""
        if _get_running_loop() is not self._open_loop:
            self._admit(CURRENT.get())

    def _admit(self, parent: Record | None) -> None:
        """The rare cases: first call, another loop, another thread, an app that is stopping."""
        loop = _get_running_loop()
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

    def _not_started(self) -> AppNotStartedError:
        return AppNotStartedError(
            f"{self._name} has no event loop to run on: call its tasks inside a running loop, "
            "for instance in `app.run(main)`, or use Pynenc('sync://')"
        )

    def _post(self, record: Record) -> None:
        expect_end(record)
        self._inbox.append(record)
        self.loop.call_soon_threadsafe(self._empty_inbox)  # type: ignore[union-attr]

    def _empty_inbox(self) -> None:
        inbox = self._inbox
        while inbox:
            self._queue(inbox.popleft())
        self.crew.settle()

    def _adopt(self, parent: Record, child: Record) -> None:
        """Cancel the child with its parent, and end it at its parent's deadline."""
        more = parent.need_more()
        if parent._ended_at is not None or child._ended_at is not None:
            return
        if more.children is None:
            more.children = {}
        more.children[child._number] = child
        if more.deadline is not None:
            self.scheduler.set_deadline(child, more.deadline)

    def group(
        self, task: TaskRecord, params: Iterable[Any] | AsyncIterable[Any], window: int | None
    ) -> DistributedInvocationGroup[Any, Any]:
        """Submit many invocations of one task."""
        return DistributedInvocationGroup(task, params, window)

    def all(self) -> Iterator[Record]:
        """Every living and retained invocation, oldest first."""
        self.store.drop_aged(self.scheduler.clock())
        return iter(self.store)

    def living(self) -> list[DistributedInvocation[Any, Any]]:
        """Every invocation that has not ended."""
        return [
            record for record in self.store if isinstance(record, DistributedInvocation) and record._ended_at is None
        ]

    def find(self, invocation_id: str) -> Record | None:
        """Return the living or retained invocation with this id."""
        number = self.ids.parse(invocation_id)
        if number is None:
            return None
        self.store.drop_aged(self.scheduler.clock())
        return self.store.find(number)

    async def last_fires(self) -> dict[str, float]:
        """Return when each schedule has fired last, as far as that outlives the process: not in memory."""
        return {}

    async def backup(self, target: str) -> None:
        """Raise: what is in memory alone has no copy."""
        raise PynencError(f"{self._name} keeps nothing outside of its memory, so {target!r} could not be written")

    async def find_page(self, query: Query) -> InvocationPage:
        """Return a page of what is known of."""
        return find_in_memory(self.all(), query)

    def require_loop(self, record: Record | None) -> AbstractEventLoop:
        """Return the loop on which a living invocation will end; raise for a restored handle, of which nothing is known."""
        if record is not None and record._number == 0 and record._restored is not None:
            raise InvocationNotFoundError(record._restored[0])
        if self.loop is None:
            raise self._not_started()
        return self.loop

    def require_own_loop(self, record: Record | None) -> AbstractEventLoop:
        """Like `require_loop`; raises where another loop runs here."""
        loop = get_running_loop()
        if self.loop is None or self.require_loop(record) is not loop:
            self.bind(loop)
            self.require_loop(record)
        return loop


def _nobody_is_there() -> None:
    """There is no loop in which anything could get going."""


def _batches(tie_break: Random | None) -> Callable[[], int]:
    """How many bodies a turn runs: fixed, or, as nothing is promised about it, drawn anew in simulations."""
    if tie_break is None:
        return lambda: BATCH
    return lambda: tie_break.choice((1, 2, 3, BATCH))
