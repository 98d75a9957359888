"""Waiting for invocations: how a body gives its slot away while it awaits others, and how it is told.

Whoever awaits outside of a body just awaits a future. A body that awaits (its own Task, a Task that it spawned, or its
thread) is PAUSED: `Wait` counts it, adds the edges to the wait graph, moves what it awaits ahead in the queue, and undoes
it all on the way out. A body's own Task is woken with its slot already given back; a spawned Task is just woken, and the
body's Task gets the slot back when it goes on itself (see `execution.carrier`).
"""

import types
from asyncio import AbstractEventLoop, Future, current_task, get_running_loop
from collections.abc import Generator, Sequence
from functools import partial
from typing import Any, Final, Protocol

from pynenc_async.context import CURRENT
from pynenc_async.execution.blockage import bodies_below
from pynenc_async.execution.carrier import Carrier
from pynenc_async.execution.crew import Crew
from pynenc_async.record import AnyOf, BodyWaiter, More, Record
from pynenc_async.scheduler.cycles import refuse_ring, ring_through_stack
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

    def refuse(self, body: Record, error: Exception, /) -> None:
        """Let the await raise `error`, if it is that of this body."""
        if body is not self._waiting:
            return
        if self._body is not None and self._scheduler is not None and body._status is _PAUSED:
            self._scheduler.come_back(body, partial(self._fail, error))
        else:
            self._fail(error)

    def _fail(self, error: Exception) -> bool:
        if self.future.done():
            return False
        self.future.set_exception(error)
        return True


def is_own_task(body: Record) -> bool:
    """Whether the current asyncio Task is the one of the body, not one that it spawned."""
    driver = body._driver
    return isinstance(driver, Carrier) and driver.task is current_task()


def runs_loop(body: Record) -> bool:
    """Whether the body runs the loop itself, further up the stack.

    Asked in a Task that it spawned, not in the first step of one, which may be eager: the body has not suspended then, either.
    """
    driver = body._driver
    return isinstance(driver, Carrier) and not driver.suspended and driver.task is not current_task()


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
        if _nested:
            _look_again_at_nested()
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

    def pause_spawned(self, waiter: BodyWaiter) -> None:
        """Pause the body if the await is made by a Task that it spawned while its own Task is suspended, or runs the loop."""
        driver = self._body._driver
        if not isinstance(driver, Carrier):
            return
        if not driver.suspended:
            if driver.task is not current_task():
                self.look_at_nested_soon(driver, waiter)
        elif self._body._status in HOLDS_SLOT:
            self._pause()

    def is_of(self, loop: AbstractEventLoop) -> bool:
        """Whether the body runs in this loop."""
        return self._body._task.runtime.crew.loop is loop

    def look_at_nested_soon(self, driver: Carrier, waiter: BodyWaiter) -> None:
        """Look, once the loop has turned, whether the body runs the loop itself, and what follows from that."""
        self._body._task.runtime.crew.loop.call_soon(self._pause_nested, driver, waiter)

    def _pause_nested(self, driver: Carrier, waiter: BodyWaiter) -> None:
        """The loop has turned: if the body has neither suspended nor ended meanwhile, it runs the loop itself.

        It goes on without a slot when it comes back, and has one again for its next step. Nothing tells when it comes back;
        and a slot that it got before could be what another body waits for that runs the loop further down the stack.
        """
        body = self._body
        if body._driver is not driver or driver.suspended or id(self._edge) not in (self._more.blocked_on or ()):
            return
        detects = body._task.options.detect_cycles
        error = ring_through_stack(body, self._edge, bodies_below(body)) if detects else None
        if error is not None:
            waiter.refuse(body, error)
            return
        _nested[self] = driver, waiter
        if body._status in HOLDS_SLOT:
            self._pause()

    def _pause(self) -> None:
        runtime = self._body._task.runtime
        runtime.scheduler.pause(self._body)
        runtime.crew.settle()

    def end(self) -> None:
        """Leave the wait graph."""
        if _nested:
            _nested.pop(self, None)
        if self._more.waits:  # else the loop in which it began is gone, and all its waits are forgotten
            self._more.waits -= 1
        if self._more.blocked_on is not None:
            self._more.blocked_on.pop(id(self._edge), None)


_nested: Final[dict[Wait, tuple[Carrier, BodyWaiter]]] = {}
"""The awaits in loops that bodies run themselves, of all apps and threads: a ring through the stack may close behind them."""


def _look_again_at_nested() -> None:
    for wait, (driver, waiter) in list(_nested.items()):
        if wait.is_of(get_running_loop()):
            wait.look_at_nested_soon(driver, waiter)


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
        wait.pause_spawned(signal)
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
        if record._ended_at is not None and not signal.future.done():
            signal.notify()  # which telling it may not have come to
        if not signal.future.done():  # else the slot is back already
            yield from signal.future
    finally:
        record.remove_waiter(signal)
        wait.end()
        if body._status is _PAUSED:
            runtime.scheduler.resumed(body)  # what is raised here was not sent by the loop: the body goes on at once
        del record, wait
