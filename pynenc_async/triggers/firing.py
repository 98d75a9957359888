"""How a fired call is submitted: by nobody, so without a parent that could cancel it, a deadline, or a full queue."""

from asyncio.events import _get_running_loop
from collections.abc import Callable
from contextvars import Context
from typing import Any, Final

from pynenc_async.family import FIRED_BY
from pynenc_async.function import Values
from pynenc_async.invocation.dispatch import Dispatcher
from pynenc_async.invocation.distributed import DistributedInvocation
from pynenc_async.invocation.duplicates import Duplicates
from pynenc_async.limit import ConcurrencyControlType
from pynenc_async.record import Record
from pynenc_async.scheduler.scheduler import Scheduler
from pynenc_async.scheduler.watches import Watches
from pynenc_async.status import InvocationStatus
from pynenc_async.triggers.occurrence import Chain
from pynenc_async.triggers.watching import CHAIN

Handle = DistributedInvocation[Any, Any]


class LoopStage:
    """The stage of an app on an event loop."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self.runtime: Final = dispatcher
        self.watches: Final[Watches] = dispatcher.watches

    def admit(self) -> None:
        """Raise `AppNotStartedError` where a call would; in memory the app starts itself."""
        self.runtime.admit()

    def now(self) -> float:
        """Seconds since the epoch."""
        return self.runtime.scheduler.clock()

    def catch_up(self) -> None:
        """In the loop, tell what has happened before."""
        if _get_running_loop() is self.runtime.loop:
            self.watches.backlog.work_off()

    def call(self, task: Any, values: Values, *, cause: int | None, chain: Chain) -> Any:
        """Submit what is fired, or return what stands for it where the task allows no duplicates."""
        desk = _Desk(self.runtime, cause, chain)
        if task.options.registration_concurrency is ConcurrencyControlType.DISABLED:
            return desk.submit(task, values)
        return Duplicates(desk.scheduler.registry, desk).submit(task, values)

    def after_emit(self) -> None:
        """What is fired runs by itself."""


class _Desk:
    """The `Office` at which one call is submitted."""

    def __init__(self, dispatcher: Dispatcher, cause: int | None, chain: Chain) -> None:
        self._dispatcher: Final = dispatcher
        self._cause: Final = cause
        self._chain: Final = chain

    @property
    def scheduler(self) -> Scheduler:
        """Decides."""
        return self._dispatcher.scheduler

    def undo(self, record: Record) -> None:
        """End an invocation whose call has raised half-way."""
        self._dispatcher.undo(record)

    def decide(self, decision: Callable[..., object], *args: object) -> None:
        """Let the scheduler decide something: now, or in its loop as soon as possible."""
        self._dispatcher.decide(decision, *args)

    def standing_elsewhere(self, task: Any, key: Any) -> Handle | None:
        """Return the invocation of another process that makes a call with this key a duplicate."""
        return self._dispatcher.standing_elsewhere(task, key)

    def submit(self, task: Any, values: Values) -> Handle:
        """Submit the call, whatever else is registered."""
        dispatcher = self._dispatcher
        context = context_of(self._chain)
        number, now = next(dispatcher.ids.numbers), self.scheduler.clock()
        record: Handle = DistributedInvocation(task, values, number, None, context, now)
        if task.options.starts_later:
            record._status = InvocationStatus.SCHEDULED
        name_cause(record, self._cause, self._chain)
        dispatcher.enter(record)
        return record

    submit_if_room = submit  # nobody could deal with a refusal: what is fired finds room


def context_of(chain: Chain) -> Context:
    """Return what a fired body runs in: nothing but the fires that led to it."""
    context = Context()
    context.run(CHAIN.set, chain)
    return context


def name_cause(record: Record, cause: int | None, chain: Chain) -> None:
    """Write down, in a new record, which invocation caused it, by number (a link for readers, no tie), and by which trigger."""
    record._parent = cause
    trail = record.leave_path()
    status, timestamp, attempt, _ = trail[0]
    trail[0] = status, timestamp, attempt, f"{FIRED_BY} {chain.path[-1]!r}"
