"""One body after another until one suspends, and then the steps of that one to its end.

**Coming back.** A body whose invocation is PAUSED has no slot. However it was woken, it first gets the slot back and only
then goes on, so never more bodies run than slots.
"""

from asyncio import AbstractEventLoop, CancelledError, Future, Task
from collections import deque
from collections.abc import Callable, Generator
from contextvars import Context
from typing import Any, Final, Protocol, cast

from pynenc_async.execution.bodies import DONE, run_bodies
from pynenc_async.execution.desk import Desk
from pynenc_async.execution.loop_end import LoopEnd
from pynenc_async.execution.shift import Shift
from pynenc_async.execution.tracebacks import without_our_frames
from pynenc_async.record import Record
from pynenc_async.status import InvocationStatus

_PAUSED: Final = InvocationStatus.PAUSED
_CANCELLED: Final = InvocationStatus.CANCELLED


class Dispenser(Desk, Protocol):
    """The scheduler, as it gives out what is to be run."""

    now: float
    room: Any
    """Offered to whoever waits to submit."""

    def take(self) -> Record | None:
        """Start the next record, if there is one and a slot for it."""
        ...


class Foreman(Protocol):
    """Who owns the carriers; `crew.Crew` is it."""

    @property
    def desk(self) -> Dispenser:
        """Where work comes from, and events are reported."""
        ...

    @property
    def loop(self) -> AbstractEventLoop:
        """The loop of all carriers."""
        ...

    @property
    def loop_end(self) -> LoopEnd:
        """Whether the end of that loop is near."""
        ...

    @property
    def stopped(self) -> list["Stepper"]:
        """Whose bodies have stopped as they were told to, which has not been reported yet."""
        ...

    def report_soon(self) -> None:
        """Report it together, after this turn of the loop."""
        ...

    @property
    def shift(self) -> Shift:
        """How many bodies may still begin in this turn of the loop."""
        ...

    @property
    def contexts(self) -> deque[Context]:
        """Empty contexts of Tasks that have ended, for the next ones."""
        ...

    def begin_shift(self) -> None:
        """A carrier without a body has its turn."""
        ...

    def begin_others(self) -> None:
        """Begin the bodies of this shift that are not left to the carrier whose turn it is."""
        ...

    def end_shift(self, carrier: Any) -> bool:
        """The shift is over: say whether the carrier is to go on in the next turn."""
        ...

    def carrier_started(self, carrier: Any) -> bool:
        """The Task has its turn: it is no longer at hand for running in place. Say whether it was until now."""
        ...

    def settle(self) -> None:
        """Get another carrier going if there is work that could start."""
        ...

    def settle_later(self) -> None:
        """The same, if the loop still runs a moment from now."""
        ...


class Return(Future[None]):
    """The return of a body that runs the loop itself: whoever cancels the Task means the body, which is told when it awaits."""

    def cancel(self, msg: Any = None) -> bool:
        """Leave the cancellation to the next step of the Task."""
        del msg
        return False


class Stepper:
    """Steps bodies, each inside its own context, and reports how they end."""

    __slots__ = (
        "_bodies", "_foreman", "_held", "_record", "_run", "_step",
        "back", "context", "handed_over", "suspended", "task", "value",
    )  # fmt: skip

    def __init__(self, foreman: Foreman, context: Context) -> None:
        self._foreman: Final = foreman
        self.context: Final = context
        """That of its Task; bodies have their own."""
        self._record: Record | None = None
        """The one whose body has suspended."""
        self.value: Any = None
        """What the last body returned."""
        self._new_bodies()
        self._run: Any = None
        self.handed_over: Any = None
        """What the body awaited when it suspended in place: the Task takes it up in its first turn."""
        self._held: tuple[Callable[..., Any], Any] | None = None
        """The step that waits for a slot."""
        self.suspended = False
        """Whether the body that owns this Task waits, rather than runs at this moment."""
        self.task: Task[None] | None = None
        self.back: Return | None = None
        """What the Task awaits while a body runs in its name that runs the loop itself."""

    def _new_bodies(self) -> None:
        """Start a fresh generator: the one before has ended with an exception."""
        self._bodies = bodies = cast("Generator[Any, Any, None]", run_bodies(self))
        bodies.send(None)
        self._step = bodies.send

    def begin(self, record: Record) -> Any:
        """Step `record` for the first time. If it suspends it owns this carrier, and what it awaits is returned."""
        context: Any = record._context
        if context is None:
            return DONE  # a finalizer or a signal handler has cancelled it since it was taken
        record._driver = self  # first, and without a call: from here on it is the body that is told to stop
        if record._task.options.max_retries:
            context = context.copy()  # each attempt starts from the context of the submitter
        try:
            awaited = context.run(self._step, record)
        except BaseException as error:  # noqa: BLE001  whatever a body ends in, its invocation ends
            self._new_bodies()
            self._foreman.desk.failed(record, without_our_frames(error))
            del record, context
            return DONE
        if awaited is not DONE:
            self._record, self._run, self.suspended = record, context.run, True
            if record._task.options.timeout is not None:
                self._foreman.desk.attempt_goes_on(record)
            self._pause_if_waiting(record)
        elif self.task._must_cancel:  # type: ignore[union-attr]
            self._ended(record)
        else:
            value, self.value = self.value, None
            self._foreman.desk.succeeded(record, value)
        return awaited

    def begin_in_place(self, record: Record) -> bool:
        """Step `record` for the first time inside the step of another Task; say whether it has suspended."""
        awaited = self.begin(record)
        del record
        if awaited is DONE:
            return False
        self.handed_over = put_aside(awaited)
        return True

    def break_off(self, record: Record, error: BaseException) -> None:
        """Let an invocation end whose beginning, or whose end, was broken off by `error`: not by its body."""
        self._record = self._run = self.handed_over = self.value = None
        self.suspended = False
        self._new_bodies()
        self._foreman.desk.mend(record, without_our_frames(error))

    def come_back(self) -> None:
        """The body that has run the loop itself has suspended or ended: its Task goes on."""
        back, self.back = self.back, None
        back.set_result(None)  # type: ignore[union-attr]  # it is there

    def _continue(self, method: Callable[..., Any], value: Any) -> Any:
        """Step the body that owns this Task, after getting its slot back if it has none."""
        record: Any = self._record
        if record._status is _PAUSED:
            slot = self._ask_for_slot(record)
            if slot is not None:
                self._held = method, value
                return slot
        self._held = None
        self.suspended = False
        run = self._run
        try:
            awaited = run(method, value)
        except BaseException as error:  # noqa: BLE001
            if record._driver is self:  # else it was abandoned, and the late report is refused
                more = record._more
                asked_to_stop = more is not None and more.cancel_reason is not None
                del more  # it has the alarm for a failure that nobody looks at: see below
                if asked_to_stop and isinstance(error, CancelledError):
                    return self._report_later()
                self._foreman.desk.failed(record, without_our_frames(error))
        else:
            if awaited is not DONE:
                self.suspended = True
                if record._more is not None and record._more.waits:
                    self._pause_if_waiting(record)
                    self._foreman.settle()
                return awaited
            if record._driver is self:
                self._ended(record)
        self._record = self._run = None
        by_us = record._more is not None and record._more.cancel_reason is not None
        stopped_by_others = not by_us and record._status is _CANCELLED and self.task.cancelling()  # type: ignore[union-attr]
        del record, method, value, run  # a frame of the body may keep this one, and `run` the context of the body
        self.task = None
        foreman = self._foreman
        foreman.contexts.append(self.context)
        (foreman.settle_later if stopped_by_others else foreman.settle)()
        return DONE

    # -- its slot ------------------------------------------------------------------------------------------------------

    def _pause_if_waiting(self, record: Record) -> None:
        more = record._more
        if more is not None and more.waits and record._status is not _PAUSED and record._driver is self:
            self._foreman.desk.pause(record)

    def _ask_for_slot(self, record: Record) -> Any:
        """Come back from PAUSED: return None once the slot is there, or what to await until it is."""
        future = self._foreman.loop.create_future()
        self._foreman.desk.come_back(record, lambda: _tell(future))
        return None if future.done() else next(future.__await__())

    # -- its end -------------------------------------------------------------------------------------------------------

    def _ended(self, record: Record) -> None:
        """The body returned; as in asyncio, it counts as cancelled if a cancellation of its Task was still to come."""
        if self.task._must_cancel:  # type: ignore[union-attr]
            self._foreman.desk.failed(record, CancelledError())
        else:
            self._foreman.desk.succeeded(record, self.value)
        self.value = None

    def _report_later(self) -> Any:
        """The body has stopped, as it was told to. Nothing is kept of its error."""
        foreman = self._foreman
        if not foreman.stopped:
            foreman.report_soon()
        foreman.stopped.append(self)
        self._run = self.task = None
        return DONE

    def report_stopped(self, error: CancelledError) -> None:
        """Report that now."""
        record: Any = self._record
        self._record = None
        if record._driver is self:
            self._foreman.desk.failed(record, error)


def put_aside(awaited: Any) -> Any:
    """Return what a body awaits, which its Task will hear of later: a future lets nobody else await it before that."""
    if getattr(awaited, "_asyncio_future_blocking", False):
        awaited._asyncio_future_blocking = False
    return awaited


def take_up(awaited: Any) -> Any:
    """Return, for the Task to wait for, what was put aside."""
    if getattr(awaited, "_asyncio_future_blocking", True) is False:
        awaited._asyncio_future_blocking = True
    return awaited


def _tell(future: "Future[None]") -> bool:
    """Set the future unless whoever waits for it has gone, and say whether it was set."""
    if future.done():
        return False
    future.set_result(None)
    return True
