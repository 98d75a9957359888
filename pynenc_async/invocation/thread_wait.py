"""Threads that wait for what happens in the event loop: for the end of an invocation, for the next member of a group.

A body in a thread gives its slot away while it waits, as one in the loop does. What is waited for is looked at in the loop
alone; the thread sleeps meanwhile. It is woken by what it waits for, by the cancellation of its body, by its timeout, or
because the loop ends.
"""

import threading
import time
from asyncio import AbstractEventLoop, CancelledError
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, Protocol

from pynenc_async.clock import ThreadTurn
from pynenc_async.context import LEFT_BEHIND
from pynenc_async.errors import InvocationNotFinalError, InvocationTimeoutError
from pynenc_async.execution.carrier import Carrier
from pynenc_async.execution.threads.driver import ThreadDriver
from pynenc_async.execution.threads.pool import Threads
from pynenc_async.invocation.waiting import Signal, Wait, current_body
from pynenc_async.record import AnyOf, BodyWaiter, Record
from pynenc_async.status import InvocationStatus

_PAUSED: Final = InvocationStatus.PAUSED
LOOK_SECONDS: Final = 1.0
"""How often a thread that waits looks whether its loop was just closed, of which nobody tells it."""


class Awaited(Protocol):
    """What a thread waits for. Everything here is called in the loop, but for the names."""

    @property
    def runtime(self) -> Any:
        """Where it happens."""
        ...

    @property
    def invocation_id(self) -> str:
        """The invocation that errors are about."""
        ...

    @property
    def name(self) -> str:
        """What errors call it."""
        ...

    def has_come(self) -> bool:
        """Look whether there is anything to wait for; what this raises, the thread raises."""
        ...

    def add(self, waiter: "ThreadWait") -> None:
        """Notify the waiter when it is worth while to look again."""
        ...

    def remove(self, waiter: "ThreadWait") -> None:
        """The waiter has gone."""
        ...

    def needs(self) -> tuple[Sequence[Record], AnyOf | None]:
        """Return the invocations that a waiting body wants to go ahead, and those of which one has to end, if not all."""
        ...


class ThreadWait(BodyWaiter):
    """A thread that blocks until it is notified."""

    __slots__ = (
        "_awaited", "_body", "_done", "_driver", "_error", "_loop", "_notified", "_rested", "_simulated", "_starter", "_turn",
        "_wait",
    )  # fmt: skip

    def __init__(self, awaited: Awaited, loop: AbstractEventLoop) -> None:
        self._awaited: Final = awaited
        self._loop: Final = loop
        body = current_body()
        driver = None if body is None else body._driver
        owns = isinstance(driver, ThreadDriver) and driver.thread_id == threading.get_ident()
        self._driver: Final[ThreadDriver | None] = driver if owns else None
        self._body = body if owns else None
        self._starter = body if isinstance(driver, Carrier) else None
        """The body in the loop that started this thread, by `asyncio.to_thread` for instance."""
        self._done: Final = threading.Event()
        self._notified = False
        """Whether it is over, but for the slot of its body."""
        self._error: BaseException | None = None
        self._wait: Wait | None = None
        self._rested: Threads | None = None
        """The threads among which this one, while it waits, is not counted."""
        self._simulated: Final[ThreadTurn | None] = None if self._driver is None else self._driver.turn
        self._turn: threading.Lock | None = None
        """Its place among those that run, reserved in the loop; None if the wait was broken off without the loop."""

    # -- in the thread -------------------------------------------------------------------------------------------------

    def block(self, timeout: float | None = None) -> None:
        """Wait; raise `InvocationTimeoutError` after `timeout` seconds, `InvocationNotFinalError` where the loop has ended."""
        awaited, loop = self._awaited, self._loop
        if threading.get_ident() in LEFT_BEHIND:
            raise CancelledError("the attempt of this body is over")
        if not loop.is_running():
            raise self._not_final("cannot end while its event loop does not run")
        loop_end = awaited.runtime.crew.loop_end
        loop_end.tell(self)
        with suppress(RuntimeError):  # it was closed in this moment: see `_sleep`
            loop.call_soon_threadsafe(self._attach)
            if loop_end.has_come:
                loop.call_soon_threadsafe(self.loop_ended)
        if self._simulated is not None:
            self._simulated.pause()
        if not self._sleep(timeout):
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._give_up, timeout)
            self._sleep(None)
        loop_end.forget(self)
        if self._rested is not None:
            (self._turn or self._rested.staff.gate.reserve()).acquire()
        if self._simulated is not None:
            self._simulated.wait()
        if self._error is not None:
            raise self._error

    def _sleep(self, timeout: float | None) -> bool:
        """Sleep until it is done, or so many seconds are over; say which."""
        due = None if timeout is None else time.monotonic() + timeout
        while True:
            left = LOOK_SECONDS if due is None else min(LOOK_SECONDS, max(0.0, due - time.monotonic()))
            if self._done.wait(left):
                return True
            if due is not None and time.monotonic() >= due:
                return False
            if self._loop.is_closed() or not (self._loop.is_running() or threading.main_thread().is_alive()):
                self.loop_ended()

    def _not_final(self, why: str) -> InvocationNotFinalError:
        return InvocationNotFinalError(self._awaited.invocation_id, f"{self._awaited.name} {why}")

    # -- as a waiter ---------------------------------------------------------------------------------------------------

    @property
    def for_body(self) -> bool:
        """Whether a body awaits here, or has started the thread that does."""
        return self._body is not None or self._starter is not None

    def bodies(self) -> tuple[Record, ...]:
        """Return the invocation whose body waits, in its thread or in one that it started."""
        return tuple(body for body in (self._body, self._starter) if body is not None)

    def notify(self, record: Record | None = None, /) -> None:
        """It is worth while to look again, or the wait is broken off."""
        del record
        if self._notified:
            return
        self._notified = True
        body = self._body
        self._detach()
        if body is not None and body._status is _PAUSED:
            body._task.runtime.scheduler.come_back(body, self._tell)
        else:
            self._tell()

    def refuse(self, body: Record, error: Exception, /) -> None:
        """Let the thread raise `error`, if this body waits here."""
        if not self._notified and any(one is body for one in self.bodies()):
            self._break_off(error)

    def interrupt(self) -> None:
        """The body that waits here has been cancelled."""
        self._break_off(CancelledError())

    def loop_ended(self) -> None:
        """Nothing will end this wait any more: its loop is about to close, or is closed, in which case any thread may call."""
        if self._done.is_set():
            return
        if not self._notified:
            self._error = self._error or self._not_final("can no longer end: its event loop was closed")
        if self._loop.is_closed() or not self._loop.is_running():
            if self._rested is not None:
                self._rested.work_began()  # as `wake` would have said
            self._done.set()
            return
        body, self._notified = self._body, True
        self._detach()
        if body is not None and body._status is _PAUSED:
            body._task.runtime.scheduler.resumed(body)  # which alone can come to an end; nothing else begins any more
        self._tell()

    # -- in the loop ---------------------------------------------------------------------------------------------------

    def _break_off(self, error: BaseException) -> None:
        if self._error is None:
            self._error = error
        self.notify()

    def _detach(self) -> None:
        self._awaited.remove(self)
        if self._wait is not None:
            self._wait.end()
            self._wait = None

    def _attach(self) -> None:
        if self._notified or self._done.is_set():
            return  # broken off meanwhile
        try:
            if self._awaited.has_come():
                self._tell()
                return
            self._awaited.add(self)
            self._begin_to_wait()
        except BaseException as error:  # noqa: BLE001  the thread raises it, not the loop
            self._break_off(error)
        self._awaited.runtime.crew.settle()

    def _begin_to_wait(self) -> None:
        body, starter = self._body, self._starter
        if body is not None and body._ended_at is not None:
            self._body = body = None  # abandoned meanwhile: it has no slot to give away
        if body is not None and self._driver is not None:
            if self._driver.cancelled:
                self._driver.cancelled = False
                self.interrupt()
            else:
                self._enter(body)
                self._pause(body, self._driver)
        elif starter is not None and starter._ended_at is None:
            self._enter(starter).pause_spawned(self)

    def _enter(self, body: Record) -> Wait:
        targets, any_of = self._awaited.needs()
        wait = Wait(body, targets, any_of=any_of)
        wait.begin()
        self._wait = wait
        return wait

    def _pause(self, body: Record, driver: ThreadDriver) -> None:
        driver.blocked = self
        runtime = body._task.runtime
        runtime.scheduler.pause(body)
        threads: Threads = runtime.crew.threads
        threads.rest()
        self._rested = threads

    def _give_up(self, timeout: float | None) -> None:
        if not self._notified:
            message = f"{self._awaited.name} has not ended within {timeout} seconds"
            self._break_off(InvocationTimeoutError(self._awaited.invocation_id, message))

    def _tell(self) -> bool:
        if self._done.is_set():
            return False
        if self._driver is not None and self._driver.blocked is self:
            self._driver.blocked = None
        if self._rested is not None:
            self._turn = self._rested.wake()
        if self._simulated is not None:
            self._simulated.resume()
        self._done.set()
        return True


Reader = Signal | ThreadWait
"""Whoever waits for what becomes of a group."""


class End:
    """The end of an invocation, as threads wait for it."""

    __slots__ = ("_record",)

    def __init__(self, record: Record) -> None:
        self._record: Final[Any] = record

    @property
    def runtime(self) -> Any:
        """Where it lives."""
        return self._record._task.runtime

    @property
    def invocation_id(self) -> str:
        """Its id."""
        return str(self._record.invocation_id)

    @property
    def name(self) -> str:
        """What errors call it."""
        return f"invocation {self.invocation_id}"

    def has_come(self) -> bool:
        """Look whether it has ended."""
        return self._record._ended_at is not None

    def add(self, waiter: ThreadWait) -> None:
        """Notify the waiter of the end."""
        self._record.add_waiter(waiter)
        self.runtime.expect(self._record)  # first it has a waiter: else its end is not asked for

    def remove(self, waiter: ThreadWait) -> None:
        """The waiter has gone."""
        self._record.remove_waiter(waiter)

    def needs(self) -> tuple[Sequence[Record], AnyOf | None]:
        """A body that waits needs this end."""
        return (self._record,), None
