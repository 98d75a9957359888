"""Waiting for invocations: how a body gives its slot away while it awaits others, and how it is told.

Whoever awaits outside of a body just awaits a future. A body that awaits (its own Task, a Task that it spawned, or its
thread) is PAUSED: `Wait` counts it, adds the edges to the wait graph, moves what it awaits ahead in the queue, and undoes
it all on the way out. A body's own Task is woken with its slot already given back; a spawned Task is just woken, and the
body's Task gets the slot back when it goes on itself (see `execution.carrier`).
"""

import threading
import types
from asyncio import AbstractEventLoop, CancelledError, Future, current_task
from collections.abc import Generator, Sequence
from typing import Any, Final, Protocol, cast

from pynenc_async.clock import ThreadTurn
from pynenc_async.context import CURRENT
from pynenc_async.errors import InvocationNotFinalError, InvocationTimeoutError
from pynenc_async.execution.carrier import Carrier
from pynenc_async.execution.crew import Crew
from pynenc_async.execution.threads.driver import ThreadDriver
from pynenc_async.execution.threads.pool import Threads
from pynenc_async.record import AnyOf, BodyWaiter, More, Record
from pynenc_async.scheduler.cycles import refuse_ring
from pynenc_async.scheduler.room import Room
from pynenc_async.scheduler.scheduler import Scheduler
from pynenc_async.scheduler.statuses import HOLDS_SLOT, RUNNABLE
from pynenc_async.status import InvocationStatus

_PAUSED: Final = InvocationStatus.PAUSED


class Runtime(Protocol):
    """Where an invocation lives; `dispatch.Dispatcher` is it."""

    @property
    def scheduler(self) -> Scheduler:
        """Decides."""
        ...

    @property
    def crew(self) -> Crew:
        """Runs bodies on the loop to which the app is bound."""
        ...


def current_body() -> Record | None:
    """Return the invocation whose body runs here, if it is still under way."""
    record: Record | None = CURRENT.get()
    return None if record is None or record._ended_at is not None else record


class Signal(BodyWaiter):
    """Wakes one suspended await, once, after a body's own Task got its slot back."""

    __slots__ = ("_body", "_scheduler", "_waiting", "future")

    def __init__(self, loop: AbstractEventLoop, body: Record | None) -> None:
        self.future: Final[Future[None]] = loop.create_future()
        self._waiting: Final = body
        self._body: Final = body if body is not None and is_own_task(body) else None
        """The body, where it is its own Task that waits, and is paused."""
        self._scheduler: Final[Scheduler | None] = None if body is None else body._task.runtime.scheduler

    @property
    def for_body(self) -> bool:
        """Whether a body awaits, in its own Task or in one that it spawned."""
        return self._scheduler is not None

    def bodies(self) -> tuple[Record, ...]:
        """Return the invocation whose body waits."""
        return () if self._waiting is None else (self._waiting,)

    def notify(self, record: Record | None = None, /) -> None:
        """Wake whoever waits."""
        del record
        body = self._body
        if body is not None and self._scheduler is not None and body._status is _PAUSED:
            self._scheduler.come_back(body, self._tell)
        else:
            self._tell()

    def _tell(self) -> bool:
        if self.future.done():
            return False
        self.future.set_result(None)
        return True


def is_own_task(body: Record) -> bool:
    """Whether the current asyncio Task is the one of the body, not one that it spawned."""
    driver = body._driver
    return isinstance(driver, Carrier) and driver.task is current_task()


class Wait:
    """One await of a body, from the moment it begins to the moment it is over."""

    __slots__ = ("_body", "_edge", "_more", "_targets")

    def __init__(self, body: Record, targets: Sequence[Record], *, any_of: AnyOf | None = None) -> None:
        self._body: Final = body
        self._more: Final[More] = body.need_more()
        self._targets: Final = [target for target in targets if target._ended_at is None]
        self._edge: Final = any_of or self._targets

    def begin(self, *, hasten: bool = True, detect_cycles: bool = True) -> None:
        """Enter the wait graph; raise `CycleDetectedError` when that would close a ring."""
        body, more = self._body, self._more
        if detect_cycles and body._task.options.detect_cycles:
            refuse_ring(body, self._edge)
        more.waits += 1
        if more.blocked_on is None:
            more.blocked_on = {}
        more.blocked_on[id(self._edge)] = self._edge
        if hasten:
            self.hasten()

    def hasten(self) -> None:
        """Move what is awaited ahead of its level, where it still waits to be run and is not next anyway."""
        queued = [
            target
            for target in self._targets  # `is_due`, without a call
            if target._status in RUNNABLE and (target._more is None or not target._more.held)
        ]
        if queued:
            queued[0]._task.runtime.scheduler.hasten(queued)

    def pause_spawned(self) -> None:
        """Pause the body if the await is made by a Task that it spawned while its own Task is suspended."""
        driver = self._body._driver
        if isinstance(driver, Carrier) and driver.suspended and self._body._status in HOLDS_SLOT:
            runtime = self._body._task.runtime
            runtime.scheduler.pause(self._body)
            runtime.crew.settle()

    def end(self) -> None:
        """Leave the wait graph."""
        if self._more.waits:  # else the loop in which it began is gone, and all its waits are forgotten
            self._more.waits -= 1
        if self._more.blocked_on is not None:
            self._more.blocked_on.pop(id(self._edge), None)


def suspend(
    signal: Signal,
    targets: Sequence[Record],
    body: Record | None,
    *,
    any_of: AnyOf | None = None,
    detect_cycles: bool = True,
) -> Generator[Any, None, None]:
    """Await the signal, for the sake of `targets`: of all of them, or of `any_of` those whom that names."""
    if body is None:
        yield from signal.future
        return
    wait = Wait(body, targets, any_of=any_of)
    wait.begin(detect_cycles=detect_cycles)
    try:
        wait.pause_spawned()
        yield from signal.future
    finally:
        wait.end()


@types.coroutine
def wait_for_room(room: Room, loop: AbstractEventLoop) -> Generator[Any, None, None]:
    """Return when one more may be submitted. A body gives its slot away meanwhile: what is in its way may need it.

    Raises `CycleDetectedError` in a body on which all depend that could make room.
    """
    again = False
    while not room.has_room() or (room.is_asked_for and not again):
        body = current_body()
        signal = Signal(loop, body)
        room.ask(signal, again=again)
        again = True
        try:
            yield from suspend(signal, (), body, any_of=AnyOf(room.takers))
        except BaseException:
            room.forget(signal)
            raise


def run_in_body(record: Record, body: Record) -> Generator[Any, None, None]:
    """Await an invocation by running it in place, inside another body: that one is paused meanwhile, as in any await."""
    runtime = body._task.runtime
    if not is_own_task(body) or record._task.runtime is not runtime:
        return
    wait = Wait(body, (record,))
    wait.begin(hasten=False)
    signal = Signal(runtime.crew.loop, body)
    runtime.scheduler.pause(body)
    record.add_waiter(signal)  # first: what it awaits while it runs in place must see that this body waits for it
    try:
        if not runtime.crew.run_in_place(record):
            wait.hasten()
        if not signal.future.done():  # else the slot is back already
            yield from signal.future
    finally:
        record.remove_waiter(signal)
        wait.end()
        del record, wait


class ThreadWait(BodyWaiter):
    """A thread that blocks until an invocation is final."""

    __slots__ = ("_body", "_done", "_error", "_record", "_rested", "_simulated", "_starter", "_turn", "_wait")

    def __init__(self, record: Record) -> None:
        self._record: Final = record
        body = current_body()
        driver = None if body is None else body._driver
        owns = isinstance(driver, ThreadDriver) and driver.thread_id == threading.get_ident()
        self._body = body if owns else None
        self._starter = body if isinstance(driver, Carrier) else None
        """The body in the loop that started this thread, by `asyncio.to_thread` for instance."""
        self._done: Final = threading.Event()
        self._error: BaseException | None = None
        self._wait: Wait | None = None
        self._rested: Threads | None = None
        """The threads among which this one, while it waits, is not counted."""
        self._simulated: Final[ThreadTurn | None] = driver.turn if owns and isinstance(driver, ThreadDriver) else None
        self._turn: threading.Lock | None = None
        """Its place among those that run, reserved in the loop; None if the wait was broken off without the loop."""

    def block(self, loop: AbstractEventLoop, timeout: float | None) -> None:
        """Wait; raise `InvocationTimeoutError` after `timeout` seconds."""
        if not loop.is_running():
            message = f"invocation {_id(self._record)} cannot end while its event loop does not run"
            raise InvocationNotFinalError(_id(self._record), message)
        loop.call_soon_threadsafe(self._attach)
        if self._simulated is not None:
            self._simulated.pause()
        if not self._done.wait(timeout):
            loop.call_soon_threadsafe(self._give_up)
            self._done.wait()
            if self._record._ended_at is None and self._error is None:
                message = f"invocation {_id(self._record)} has not ended within {timeout} seconds"
                self._error = InvocationTimeoutError(_id(self._record), message)
        if self._rested is not None:
            (self._turn or self._rested.staff.gate.reserve()).acquire()
        if self._simulated is not None:
            self._simulated.wait()
        if self._error is not None:
            raise self._error

    @property
    def for_body(self) -> bool:
        """Whether a body awaits here, or has started the thread that does."""
        return self._body is not None or self._starter is not None

    def bodies(self) -> tuple[Record, ...]:
        """Return the invocation whose body waits, in its thread or in one that it started."""
        return tuple(body for body in (self._body, self._starter) if body is not None)

    def interrupt(self) -> None:
        """The body that waits here has been cancelled."""
        self._error = CancelledError()
        self.notify(self._record)

    def break_off(self) -> None:
        """End the wait from any thread: the loop, which would end it, is gone."""
        message = f"invocation {_id(self._record)} can no longer end: its event loop was closed"
        self._error = InvocationNotFinalError(_id(self._record), message)
        self._done.set()

    def notify(self, record: Record) -> None:
        """The end, or the interruption, has come."""
        record.remove_waiter(self)
        body = self._body
        if self._wait is not None:
            self._wait.end()
            self._wait = None
        if body is not None and body._status is _PAUSED:
            body._task.runtime.scheduler.come_back(body, self._tell)
        else:
            self._tell()

    def _attach(self) -> None:
        record, body = self._record, self._body
        if record._ended_at is not None:
            self._tell()
            return
        record.add_waiter(self)
        record._task.runtime.expect(record)  # first it has a waiter: else its end is not asked for
        if body is not None and body._ended_at is not None:
            self._body = body = None  # abandoned meanwhile: it has no slot to give away
        if body is not None and body._driver.cancelled:
            body._driver.cancelled = False
            self.interrupt()
        elif body is not None:
            self._pause(body)
        elif self._starter is not None and self._starter._ended_at is None:
            self._pause_starter(self._starter)
        record._task.runtime.crew.settle()

    def _enter(self, body: Record) -> Wait | None:
        wait = Wait(body, (self._record,))
        try:
            wait.begin()
        except Exception as error:  # noqa: BLE001  a ring: the thread raises it, not the loop
            self._error = error
            self.notify(self._record)
            return None
        self._wait = wait
        return wait

    def _pause_starter(self, body: Record) -> None:
        wait = self._enter(body)
        if wait is not None:
            wait.pause_spawned()

    def _pause(self, body: Record) -> None:
        if self._enter(body) is None:
            return
        body._driver.blocked = self
        runtime = body._task.runtime
        runtime.scheduler.pause(body)
        threads: Threads = runtime.crew.threads
        threads.rest(self)
        self._rested = threads

    def _give_up(self) -> None:
        if not self._done.is_set():
            self.notify(self._record)

    def _tell(self) -> bool:
        if self._done.is_set():
            return False
        if self._rested is not None:
            if self._body is not None and self._body._driver is not None:  # else the body was abandoned meanwhile
                self._body._driver.blocked = None
            self._turn = self._rested.wake(self)
        if self._simulated is not None:
            self._simulated.resume()
        self._done.set()
        return True


def _id(record: Record) -> str:
    return str(cast(Any, record).invocation_id)
