"""`def` tasks run in threads, without one wake-up of the loop for each."""

import threading
from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Protocol

from pynenc_async.clock import thread_work_of
from pynenc_async.context import CURRENT
from pynenc_async.execution.tracebacks import without_our_frames
from pynenc_async.record import Record

_NO_LIMIT: Final = 1_000_000
"""The scheduler bounds how many bodies run. The pool must not: a thread that waits for another invocation has given its
slot away, but it is still a thread."""


class Reports(Protocol):
    """Where the ends of bodies are reported."""

    def succeeded(self, record: Record, value: object) -> None:
        """The body returned."""
        ...

    def failed(self, record: Record, error: BaseException) -> None:
        """The body raised."""
        ...


class Blocked(Protocol):
    """A wait inside a thread that can be broken off."""

    def interrupt(self) -> None:
        """Make the wait raise `CancelledError` in the thread."""
        ...


class ThreadDriver:
    """A body in a thread. It cannot be stopped from outside; a wait for another invocation can be broken off."""

    __slots__ = ("attempt", "blocked", "thread_id")

    def __init__(self, attempt: int) -> None:
        self.attempt: Final = attempt
        self.thread_id = 0
        self.blocked: Blocked | None = None

    def cancel(self, reason: str) -> None:
        """Break off the wait in which the body is, if it is in one."""
        del reason
        if self.blocked is not None:
            self.blocked.interrupt()


class Threads:
    """The pool, and the way of results back to the loop: one wake-up for all that have ended since the last one."""

    def __init__(self, desk: Reports, loop: AbstractEventLoop, settle: Callable[[], None]) -> None:
        self._desk: Final = desk
        self._loop: Final = loop
        self._settle: Final = settle
        self.work_began, self.work_ended = thread_work_of(loop)
        self._pool: ThreadPoolExecutor | None = None
        self._ended: Final[deque[tuple[Record, ThreadDriver, bool, Any]]] = deque()
        self._collecting = False

    def start(self, record: Record) -> None:
        """Run a started record in a thread."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_NO_LIMIT, thread_name_prefix="pynenc")
        driver = record._driver = ThreadDriver(record._retries)
        context: Any = record._context
        if record._task.options.max_retries:
            context = context.copy()
        self.work_began()
        self._pool.submit(self._run, [(record, driver, context)])

    def close(self) -> None:
        """Let idle threads end; those that still run a body end after it."""
        if self._pool is not None:
            self._pool.shutdown(wait=False)
            self._pool = None

    def _run(self, job: list[tuple[Record, ThreadDriver, Any]]) -> None:
        record, driver, context = job.pop()  # the pool's own frames keep the list, and through it nothing
        driver.thread_id = threading.get_ident()
        try:
            value = context.run(_body, record)
        except BaseException as error:  # noqa: BLE001  whatever a body ends in, its invocation ends
            self._report(record, driver, ok=False, outcome=without_our_frames(error, globals()))
            del record, driver, context
        else:
            self._report(record, driver, ok=True, outcome=value)

    def _report(self, record: Record, driver: ThreadDriver, *, ok: bool, outcome: Any) -> None:
        self._ended.append((record, driver, ok, outcome))
        if not self._collecting:
            self._collecting = True
            try:
                self._loop.call_soon_threadsafe(self._collect)
            except RuntimeError:
                return  # the loop is closed: the scheduler has written the end when it was bound to another one

    def _collect(self) -> None:
        self._collecting = False  # first: what ends from here on asks for another turn, or is seen below
        ended = self._ended
        while ended:
            record, driver, ok, outcome = ended.popleft()
            self.work_ended()
            if record._driver is driver:  # else it lost its ownership meanwhile, and the late report is refused
                (self._desk.succeeded if ok else self._desk.failed)(record, outcome)
        self._settle()


def _body(record: Record) -> Any:
    CURRENT.set(record)
    return record._task.function.call(*record._values)
