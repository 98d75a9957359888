"""A carrier: the coroutine of an asyncio Task that runs bodies.

**Theory of operation.** Creating an asyncio Task costs more than everything else that a no-op invocation needs, so one
Task runs many bodies, one after another, as long as they end without suspending. The rule that makes it safe: *a body
that has suspended never shares its Task with another body*. The first that suspends owns the Task to its end, and the
Task ends with it (libraries key state by `current_task()`); `test_carriers.py::test_suspended_bodies_never_share_a_task`.

A carrier is a `Coroutine` by interface, not a generator: asyncio calls `send` and `throw`, and they step the body inside
the body's own context. Being plain methods they also work before the first turn of the Task, which is what lets `Crew`
begin a body in place, inside the step of the Task that awaits it.

**Coming back.** A body whose invocation is PAUSED has no slot. However it was woken, `send` and `throw` first get the
slot back and only then step the body, so never more bodies run than slots.
"""

import types
from asyncio import AbstractEventLoop, CancelledError, Future, Task
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Final, Protocol, cast

from pynenc_async.context import CURRENT
from pynenc_async.execution.plain import no_coroutine
from pynenc_async.execution.stream import drive_stream
from pynenc_async.execution.tracebacks import without_our_frames
from pynenc_async.function import FunctionKind
from pynenc_async.record import Record
from pynenc_async.status import InvocationStatus

_PAUSED: Final = InvocationStatus.PAUSED
_CANCELLED: Final = InvocationStatus.CANCELLED
_STREAM: Final = FunctionKind.STREAM

BATCH: Final = 128
"""How many bodies one turn of the loop may run; bare asyncio would run all that are ready."""
SLICE_SECONDS: Final = 0.005
"""After how long a batch ends early, so that slow bodies do not hold up the loop together."""


class Desk(Protocol):
    """The decisions that a carrier reports to; `scheduler.Scheduler` is it."""

    now: float
    room: Any
    """Offered to whoever waits to submit."""

    @property
    def clock(self) -> Callable[[], float]:
        """The wall clock."""
        ...

    def take(self) -> Record | None:
        """Start the next record, if there is one and a slot for it."""
        ...

    def succeeded(self, record: Record, value: object) -> None:
        """The body returned."""
        ...

    def failed(self, record: Record, error: BaseException) -> None:
        """The body raised."""
        ...

    def attempt_goes_on(self, record: Record) -> None:
        """An attempt of a task with a timeout has not ended at once."""
        ...

    def pause(self, record: Record) -> None:
        """The body awaits another invocation."""
        ...

    def come_back(self, record: Record, wanted: Callable[[], bool]) -> None:
        """The paused body wants its slot back."""
        ...


class Foreman(Protocol):
    """Who owns the carriers; `crew.Crew` is it."""

    @property
    def desk(self) -> Desk:
        """Where events are reported."""
        ...

    @property
    def loop(self) -> AbstractEventLoop:
        """The loop of all carriers."""
        ...

    @property
    def batch(self) -> Callable[[], int]:
        """How many bodies the next turn may run."""
        ...

    @property
    def stopped(self) -> list["Carrier"]:
        """Whose bodies have stopped as they were told to, which has not been reported yet."""
        ...

    def report_soon(self) -> None:
        """Report it together, after this turn of the loop."""
        ...

    def carrier_started(self, carrier: "Carrier") -> None:
        """The Task got its first turn: it is no longer at hand for running in place."""
        ...

    def settle(self) -> None:
        """Get another carrier going if there is work that could start."""
        ...

    def settle_later(self) -> None:
        """The same, if the loop still runs a moment from now."""
        ...


_DONE: Final = object()
"""In place of something to await: the body has returned, or the carrier is retired."""


@types.coroutine
def _run_bodies(carrier: "Carrier") -> Generator[Any, Any, None]:
    """Run one body after the other; each is sent in, and begins in the context in which that happens.

    A generator that goes on after a body returns takes the value without a `StopIteration`, which would cost as much as
    the rest of a no-op.
    """
    record: Any = yield
    while True:
        _set_current(record)
        function = record._task.function
        body: Any
        if function.is_plain:
            body = function.call(*record._values)
        elif function.drive is not None:
            body = function.drive(record)
        elif function.kind is _STREAM:
            body = drive_stream(record, function.call(*record._values))
        else:
            body = _give(record, function.call(*record._values))
        record = None
        carrier.value = yield from body
        record = yield _DONE


async def _give(record: Record, value: Any) -> Any:
    """Return what a `def` has returned that runs on the loop."""
    return no_coroutine(record._task.task_id, value)


_set_current: Final = CURRENT.set


class Carrier(Coroutine[Any, Any, None]):
    """Runs bodies on one asyncio Task until one of them suspends, then belongs to that one."""

    __slots__ = (
        "_bodies",
        "_foreman",
        "_handed_over",
        "_held",
        "_record",
        "_run",
        "_step",
        "suspended",
        "task",
        "value",
    )

    def __init__(self, foreman: Foreman) -> None:
        self._foreman: Final = foreman
        self._record: Record | None = None
        self.value: Any = None
        """What the last body returned."""
        self._new_bodies()
        self._run: Any = None
        self._handed_over: Any = None
        """What the body awaited when it suspended in place: the Task takes it up in its first turn."""
        self._held: tuple[Callable[..., Any], Any] | None = None
        """The step that waits for a slot."""
        self.suspended = False
        """Whether the body that owns this Task waits, rather than runs at this moment."""
        self.task: Task[None] | None = None

    @property
    def engaged(self) -> bool:
        """Whether a suspended body owns this carrier."""
        return self._record is not None

    # -- what asyncio calls --------------------------------------------------------------------------------------------

    def send(self, value: Any) -> Any:
        """Go on: with new bodies, or with the one that owns this Task."""
        if self._record is None:
            awaited = self._serve()
        elif self._handed_over is not None:
            awaited = self._take_over()
        elif self._held is not None:
            awaited = self._continue(*self._held)
        else:
            awaited = self._continue(self._step, value)
        if awaited is _DONE:
            raise StopIteration  # raised here: each frame that it passes costs as much as a few calls
        return awaited

    def throw(self, typ: Any, val: Any = None, tb: Any = None, /) -> Any:
        """Deliver an exception, in practice a cancellation, to the body that owns this Task."""
        del tb
        error = typ if val is None else val
        if self._record is None:
            self._foreman.carrier_started(self)
            self._foreman.settle_later()
            raise error
        awaited = self._handed_over
        if awaited is not None:
            self._handed_over = None
            if awaited.cancel():
                return awaited
        awaited = self._continue(self._bodies.throw, error)
        if awaited is _DONE:
            raise StopIteration
        return awaited

    def close(self) -> None:
        """Stop for good: the loop is closed, or nothing is left to do."""
        self._bodies.close()

    def __await__(self) -> Generator[Any, Any, None]:
        raise TypeError("a carrier belongs to its Task and cannot be awaited")

    def cancel(self, reason: str) -> None:
        """Ask the body to stop."""
        if self.task is not None:
            self.task.cancel(reason)

    def insist(self) -> bool:
        """A body that swallows its cancellation cannot be stopped."""
        return False

    # -- running bodies ------------------------------------------------------------------------------------------------

    def _serve(self) -> Any:
        """Run ready bodies until one suspends, none is left, or the batch is over."""
        foreman = self._foreman
        foreman.carrier_started(self)
        desk, take = foreman.desk, foreman.desk.take
        deadline = desk.clock() + SLICE_SECONDS
        desk.now = deadline - SLICE_SECONDS
        for _ in range(foreman.batch()):
            record = take()
            if record is None:
                return self._retire()
            place = record._task.place
            if place is not None and record._task.function.drive is None:
                place.start(record)
                continue
            awaited = self.begin(record)
            del record  # a failure keeps this frame alive, and the frame must not keep the failed record
            if awaited is not _DONE:
                foreman.settle()
                return awaited
            if self.task._must_cancel:  # type: ignore[union-attr]  # set by the body: it must not reach the next one
                return self._retire()
            if desk.now > deadline:
                break
        if desk.room is not None:
            desk.room.offer()
        return None

    def _retire(self) -> Any:
        self.task = None
        self._foreman.settle()
        return _DONE

    def begin(self, record: Record) -> Any:
        """Step `record` for the first time. If it suspends it owns this carrier, and what it awaits is returned."""
        context: Any = record._context
        if record._task.options.max_retries:
            context = context.copy()  # each attempt starts from the context of the submitter
        record._driver = self
        try:
            awaited = context.run(self._step, record)
        except BaseException as error:  # noqa: BLE001  whatever a body ends in, its invocation ends
            self._new_bodies()
            self._foreman.desk.failed(record, without_our_frames(error))
            del record, context
            return _DONE
        if awaited is not _DONE:
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

    def _new_bodies(self) -> None:
        """Start a fresh generator: the one before has ended with an exception."""
        self._bodies = bodies = cast("Generator[Any, Any, None]", _run_bodies(self))
        bodies.send(None)
        self._step = bodies.send

    def _ended(self, record: Record) -> None:
        """The body returned; as in asyncio, it counts as cancelled if a cancellation of its Task was still to come."""
        if self.task._must_cancel:  # type: ignore[union-attr]
            self._foreman.desk.failed(record, CancelledError())
        else:
            self._foreman.desk.succeeded(record, self.value)
        self.value = None

    def _pause_if_waiting(self, record: Record) -> None:
        more = record._more
        if more is not None and more.waits and record._status is not _PAUSED and record._driver is self:
            self._foreman.desk.pause(record)

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
            if awaited is not _DONE:
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
        (foreman.settle_later if stopped_by_others else foreman.settle)()
        return _DONE

    def _report_later(self) -> Any:
        """The body has stopped, as it was told to. Nothing is kept of its error."""
        foreman = self._foreman
        if not foreman.stopped:
            foreman.report_soon()
        foreman.stopped.append(self)
        self._run = self.task = None
        return _DONE

    def report_stopped(self, error: CancelledError) -> None:
        """Report that now."""
        record: Any = self._record
        self._record = None
        if record._driver is self:
            self._foreman.desk.failed(record, error)

    def _ask_for_slot(self, record: Record) -> Any:
        """Come back from PAUSED: return None once the slot is there, or what to await until it is."""
        future = self._foreman.loop.create_future()
        self._foreman.desk.come_back(record, lambda: _tell(future))
        return None if future.done() else next(future.__await__())

    def _take_over(self) -> Any:
        """The first turn of the Task after its body suspended in place: await what the body awaits."""
        self._foreman.carrier_started(self)
        awaited, self._handed_over = self._handed_over, None
        return awaited

    def begin_in_place(self, record: Record) -> None:
        """Step `record` for the first time before this carrier's Task had its first turn."""
        awaited = self.begin(record)
        del record
        if awaited is not _DONE:
            self._handed_over = awaited


def _tell(future: "Future[None]") -> bool:
    """Set the future unless whoever waits for it has gone, and say whether it was set."""
    if future.done():
        return False
    future.set_result(None)
    return True
