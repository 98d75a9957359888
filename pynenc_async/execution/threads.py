"""`def` tasks run in threads.

**Theory of operation.** A switch between the loop and a thread costs more than a short body. So the scheduler hands out a
little more than there are threads (PENDING, in the pool's queue), as much as the threads get through in `AHEAD_SECONDS`
at the pace of the last bodies: none for long ones, which would keep more urgent work waiting. A thread takes the next
record without asking the loop, and wakes the loop once for all that has ended since it last looked.

A thread that waits for another invocation has given its slot away, but is still a thread: another takes its place.
"""

import atexit
import threading
import time
import weakref
from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import Context
from queue import SimpleQueue
from typing import Any, Final, Protocol

from pynenc_async.clock import SimulatedLoop, ThreadTurn, thread_work_of
from pynenc_async.context import CURRENT
from pynenc_async.execution.plain import no_coroutine
from pynenc_async.execution.tracebacks import without_our_frames
from pynenc_async.record import Record
from pynenc_async.status import InvocationStatus

AHEAD_SECONDS: Final = 0.002
"""How much work the queue of the pool may hold, for each thread."""
MOST_AHEAD: Final = 128
_SMOOTHING: Final = 0.1
"""Weight of the newest body in the moving average of their durations."""
_PENDING: Final = InvocationStatus.PENDING
_RUNNING: Final = InvocationStatus.RUNNING
_NOTHING: Final[Mapping[str, Any]] = {}

Body = tuple[Record, Context, Mapping[str, Any]]
"""What to run, in which context, and what is injected."""


class Reports(Protocol):
    """Where the ends of bodies are reported."""

    @property
    def clock(self) -> Callable[[], float]:
        """The wall clock."""
        ...

    def succeeded(self, record: Record, value: object) -> None:
        """The body returned."""
        ...

    def failed(self, record: Record, error: BaseException) -> None:
        """The body raised."""
        ...

    def attempt_goes_on(self, record: Record) -> None:
        """An attempt of a task with a timeout was handed out."""
        ...

    def note_at(self, now: float, record: Record, status: InvocationStatus, attempt: int) -> None:
        """Write down a transition that was made in a thread."""
        ...


class PoolPlace(Protocol):
    """How many bodies the scheduler hands out."""

    ahead: int

    @property
    def limit(self) -> int:
        """How many threads there are."""
        ...


class Blocked(Protocol):
    """A wait inside a thread that can be broken off."""

    def interrupt(self) -> None:
        """Make the wait raise `CancelledError` in the thread."""
        ...

    def break_off(self) -> None:
        """End the wait from any thread: the loop, which would end it, is gone."""
        ...


class Gate:
    """Lets so many threads through at once, in order of arrival: who leaves hands the place to who has waited longest."""

    def __init__(self, places: int) -> None:
        self._lock: Final = threading.Lock()
        self._places = places
        self._waiting: Final[deque[threading.Lock]] = deque()

    def reserve(self) -> threading.Lock:
        """Get in line; acquiring what is returned takes the place, as soon as there is one."""
        turn = threading.Lock()
        with self._lock:
            if self._places:
                self._places -= 1
            else:
                turn.acquire()
                self._waiting.append(turn)
        return turn

    def enter(self) -> None:
        """Take a place; wait for one if need be."""
        self.reserve().acquire()

    def leave(self) -> None:
        """Give the place back."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._places += 1


_BEGINNING: Final = threading.Lock()
"""Held for the moment in which a body is begun or revoked: whoever comes second sees what the first has done."""


class ThreadDriver:
    """A body on its way to a thread, or in one. There it cannot be stopped, but a wait for others can be broken off."""

    __slots__ = ("_body", "abandoned", "blocked", "cancelled", "is_over", "thread_id", "turn")

    def __init__(self, record: Record, context: Context, injected: Mapping[str, Any]) -> None:
        self._body: Body | None = (record, context, injected)
        """None from the moment in which a thread begins it, or somebody revokes it."""
        self.cancelled = False
        """Whether the body's next wait for others is to be broken off."""
        self.thread_id = 0
        self.turn: ThreadTurn | None = None
        """In simulations, what the thread waits for before it goes on."""
        self.blocked: Blocked | None = None
        self.is_over = False
        self.abandoned = False
        """Whether nobody waits for it any more, and another thread has taken the place of its own."""

    def begin(self, desk: "Reports") -> "Body | None":
        """Make the invocation RUNNING, in the thread that will run it, and return what to run; None if it was revoked."""
        with _BEGINNING:
            body, self._body = self._body, None
            if body is not None:
                self.thread_id = threading.get_ident()  # first: what is seen to run may be abandoned at once
            if body is not None and body[0]._status is _PENDING:  # else it was begun on the loop, and handed on
                record = body[0]
                record._started_at = now = desk.clock()
                if record._more is not None:
                    desk.note_at(now, record, _RUNNING, record._retries + 1)
                record._status = _RUNNING
        return body

    def revoke(self) -> bool:
        """Take the body back before it begins; say whether that was possible."""
        with _BEGINNING:
            body, self._body = self._body, None
        return body is not None

    def cancel(self, reason: str) -> None:
        """Break off the wait in which the body is, if it is in one."""
        del reason
        if self.blocked is None:
            self.cancelled = True
        else:
            self.blocked.interrupt()

    def insist(self) -> bool:
        """A thread cannot be stopped."""
        return False


Ended = tuple[Record, ThreadDriver, bool, Any, float]
"""Record, its driver, whether it returned, what it returned or raised, and how many seconds it took."""


class Threads:
    """The threads of one app on one loop."""

    def __init__(self, desk: Reports, place: PoolPlace, loop: AbstractEventLoop, settle: Callable[[], None]) -> None:
        self._desk: Final = desk
        self._place: Final = place
        self._loop: Final = loop
        self._settle: Final = settle
        self.work_began, self.work_ended = thread_work_of(loop)
        self._queue: SimpleQueue[ThreadDriver | None] = SimpleQueue()
        self._workers: set[threading.Thread] = set()
        self._handed_out = 0
        self._waits: Final[set[Blocked]] = set()
        self._resting = 0
        """Threads that wait for another invocation, or whose body was abandoned."""
        self.gate: Final = Gate(place.limit)
        self._pace = AHEAD_SECONDS
        self._simulated: Final = loop if isinstance(loop, SimulatedLoop) else None
        """There, real durations must decide nothing."""
        self._leaving: Final = threading.Lock()
        """Threads leave one by one, so that not all of them leave when one is too many; and they rest under it."""
        self._ended: Final[deque[Ended]] = deque()
        self._collecting = False
        self._dismissal = weakref.finalize(self, self._queue.put, None)
        """Idle threads do not keep the pool, nor with it the app; they end with it."""
        if self._simulated is not None:
            self._simulated.call_at_close(self.close)
        _POOLS.add(self)

    # -- in the loop's thread ------------------------------------------------------------------------------------------

    def start(self, record: Record) -> None:
        """Run a record that was taken in a thread."""
        context, injected = _surroundings_of(record)
        driver = record._driver = ThreadDriver(record, context, injected)
        if self._simulated is not None:
            driver.turn = self._simulated.new_thread_turn()
        self.work_began()
        self._handed_out += 1
        self._queue.put(driver)
        self._hire()
        if record._task.options.timeout is not None:
            self._desk.attempt_goes_on(record)

    def rest(self, wait: Blocked) -> None:
        """A thread begins to wait for another invocation."""
        self._waits.add(wait)
        with self._leaving:
            self._resting += 1
        self.gate.leave()
        self.work_ended()
        self._hire()

    def wake(self, wait: Blocked) -> threading.Lock:
        """A thread that waited goes on, once it has its turn: before all bodies that have not begun."""
        self._waits.discard(wait)
        with self._leaving:
            self._resting -= 1
        self.work_began()
        return self.gate.reserve()

    def abandon(self, driver: object) -> None:
        """Nobody waits for the end of this body any more: should it hang, others must not wait for its thread."""
        if not isinstance(driver, ThreadDriver):
            return  # its middleware runs on the loop
        with self._leaving:
            if driver.is_over or driver.blocked is not None or driver.abandoned or not driver.thread_id:
                return  # it needs no place: it has ended, or waits for another
            driver.abandoned = True
            self._resting += 1
        self.gate.leave()
        self._hire()

    def close(self) -> list[threading.Thread]:
        """Let every thread end after the body in which it is, and return them."""
        workers = self._workers
        self._dismissal()
        self._workers, self._queue = set(), SimpleQueue()
        self._dismissal = weakref.finalize(self, self._queue.put, None)
        return list(workers)

    def give_up(self) -> None:
        """A body in a thread was abandoned: the end of the interpreter does not wait for it."""
        _POOLS.discard(self)

    def break_off_waits(self) -> None:
        """End the waits that nothing can end any more."""
        if self._loop.is_closed():
            for wait in list(self._waits):
                self.work_began()  # as `wake` would have said
                wait.break_off()

    def _hire(self) -> None:
        at_work = len(self._workers) - self._resting
        if at_work < self._place.limit and at_work < self._handed_out - self._resting:
            name, args = f"pynenc-{len(self._workers) + 1}", (weakref.ref(self), self._queue, self._workers)
            worker = threading.Thread(target=_work, args=args, name=name, daemon=True)
            self._workers.add(worker)
            worker.start()

    def _collect(self) -> None:
        if self._simulated is not None:
            self._simulated.settle_threads()
        self._collecting = False  # before looking: what ends from here on asks for another turn, or is seen below
        ended, desk = self._ended, self._desk
        if self._simulated is not None:
            ended = _by_submission(ended)
        while ended:
            record, driver, ok, outcome, seconds = ended.popleft()
            self._handed_out -= 1
            self._pace += (seconds - self._pace) * _SMOOTHING
            if record._driver is driver:  # else it lost its ownership meanwhile, and the late report is refused
                (desk.succeeded if ok else desk.failed)(record, outcome)
        if self._simulated is None:
            self._place.ahead = int(min(MOST_AHEAD, AHEAD_SECONDS / self._pace * self._place.limit))
        self._settle()

    # -- in the threads ------------------------------------------------------------------------------------------------

    def work(self, driver: ThreadDriver, workers: set[threading.Thread]) -> bool:
        """Run a body in this thread, one of `workers`; say whether the thread is wanted for more."""
        turn = driver.turn
        if turn is not None:
            turn.wait()
        self.gate.enter()  # before it begins: until then it can be revoked
        body = driver.begin(self._desk)
        self._ended.append((_NOBODY, driver, True, None, 0.0) if body is None else self._run(driver, *body))
        self._leave_gate(driver)
        del driver, body  # before the loop hears of it: only the loop's thread may hold the last reference
        self._tell_loop()
        self.work_ended()  # only now: see `SimulatedLoop`
        if turn is not None:
            turn.end()
        return not self._is_surplus(workers)

    def _leave_gate(self, driver: ThreadDriver) -> None:
        with self._leaving:
            driver.is_over = True
            if driver.abandoned:
                self._resting -= 1
        if not driver.abandoned:  # else the place has gone to another thread already
            self.gate.leave()

    def _is_surplus(self, workers: set[threading.Thread]) -> bool:
        """Whether this thread is one too many, since somebody has come back from waiting; then it is no worker any more."""
        with self._leaving:
            surplus = len(workers) - self._resting > self._place.limit
            if surplus:
                workers.discard(threading.current_thread())
        return surplus

    def _run(self, driver: ThreadDriver, record: Record, context: Context, injected: Mapping[str, Any]) -> Ended:
        began = time.perf_counter()
        try:
            value = context.run(_body, record, injected)
            return record, driver, True, value, time.perf_counter() - began
        except BaseException as error:  # noqa: BLE001  whatever a body ends in, its invocation ends
            return record, driver, False, without_our_frames(error), time.perf_counter() - began
        finally:
            del record, driver, context, injected

    def _tell_loop(self) -> None:
        if not self._collecting:
            self._collecting = True
            with suppress(RuntimeError):  # the loop is closed: the scheduler writes the end when it leaves that loop
                self._loop.call_soon_threadsafe(self._collect)


def _work(
    pool: "weakref.ref[Threads]", queue: SimpleQueue[ThreadDriver | None], workers: set[threading.Thread]
) -> None:
    """What a thread does: one body after the other, until it is dismissed. While it is idle it refers to no pool."""
    while (driver := queue.get()) is not None:
        threads = pool()
        wanted = threads is not None and threads.work(driver, workers)
        del threads, driver
        if not wanted:
            return
    queue.put(None)  # for the next one
    workers.discard(threading.current_thread())


def _surroundings_of(record: Record) -> tuple[Any, Mapping[str, Any]]:
    """Return the context of an attempt, and what is injected."""
    handed = None if record._more is None else record._more.handed
    if handed is not None:
        return handed.context, handed.injected
    context: Any = record._context
    return (context.copy() if record._task.options.max_retries else context), _NOTHING


def _body(record: Record, injected: Mapping[str, Any]) -> Any:
    CURRENT.set(record)
    return no_coroutine(record._task.task_id, record._task.function.call(*record._values, **injected))


def _by_submission(ended: deque[Ended]) -> deque[Ended]:
    """Take out what has ended, in the order of submission: in simulated time all of it has ended at once."""
    taken = [ended.popleft() for _ in range(len(ended))]
    return deque(sorted(taken, key=lambda one: one[0]._number))


_NOBODY: Final[Any] = type("Revoked", (), {"_driver": None, "_number": 0})()
"""Stands for a record that was cancelled before its body began."""
_POOLS: Final[weakref.WeakSet[Threads]] = weakref.WeakSet()


@atexit.register
def _finish_bodies() -> None:
    """Idle threads must not keep the interpreter from ending; bodies that run are allowed to finish."""
    for pool in list(_POOLS):
        pool.break_off_waits()
    for thread in [thread for pool in list(_POOLS) for thread in pool.close()]:
        thread.join()
