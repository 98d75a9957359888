"""The pool: bodies go to threads by a queue, and what has ended comes back to the loop."""

import atexit
import threading
import weakref
from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Final

from pynenc_async.clock import SimulatedLoop, thread_work_of
from pynenc_async.execution.desk import Desk, PoolPlace
from pynenc_async.execution.hiring import Hiring, why
from pynenc_async.execution.threads.body import Ended, no_thread, run, surroundings_of
from pynenc_async.execution.threads.driver import ThreadDriver
from pynenc_async.execution.threads.staff import Staff, Workers
from pynenc_async.forks import leave_child
from pynenc_async.guard import report_failure
from pynenc_async.record import Record

AHEAD_SECONDS: Final = 0.002
"""How much work the queue of the pool may hold, for each thread."""
MOST_AHEAD: Final = 128
_SMOOTHING: Final = 0.1
"""Weight of the newest body in the moving average of their durations."""

Queue = SimpleQueue[ThreadDriver | None]
"""What threads take their bodies from; None dismisses them, one after the other."""


class Threads:
    """The threads of one app on one loop."""

    def __init__(
        self,
        desk: Desk,
        place: PoolPlace,
        loop: AbstractEventLoop,
        settle: Callable[[], None],
        break_off_waits: Callable[[], object],
    ) -> None:
        self._desk: Final = desk
        self._place: Final = place
        self._loop: Final = loop
        self._settle: Final = settle
        self.break_off_waits: Final = break_off_waits
        """Ends the waits of threads that nothing can end any more, where the loop was closed."""
        self.work_began, self.work_ended = thread_work_of(loop)
        itself: weakref.ref[Threads] = weakref.ref(self)  # its timer must not keep the pool
        hiring = Hiring("a thread", loop, again=partial(_hire_again, itself), give_up=partial(_give_up, itself))
        self.staff: Final = Staff(place, hiring)
        self._handed_out = 0
        self._pace = AHEAD_SECONDS
        self._simulated: Final = loop if isinstance(loop, SimulatedLoop) else None
        """There, real durations must decide nothing."""
        self._ended: Final[deque[Ended]] = deque()
        self._collecting = False
        self._is_shut = False
        """Whether nothing is handed out, for there is nobody to run it."""
        self._is_copy = False
        """Whether this process is a child that a body has forked off."""
        self._open_queue()
        if self._simulated is not None:
            self._simulated.call_at_close(self.close)
        _POOLS.add(self)

    def _open_queue(self) -> None:
        self._queue: Queue = SimpleQueue()
        self._work = partial(_work, weakref.ref(self), self._queue)
        self._dismissal = weakref.finalize(self, self._queue.put, None)
        """Idle threads do not keep the pool, nor with it the app; they end with it."""

    # -- in the loop's thread ------------------------------------------------------------------------------------------

    def start(self, record: Record) -> None:
        """Run a record that was taken in a thread."""
        context, injected = surroundings_of(record)
        driver = ThreadDriver(record, context, injected)
        if record._ended_at is not None:
            return  # a finalizer or a signal handler has cancelled it since it was taken
        record._driver = driver
        if self._simulated is not None:
            driver.turn = self._simulated.new_thread_turn()
        driver.is_timed = record._task.options.timeout is not None
        self.work_began()
        self._handed_out += 1
        self._queue.put(driver)
        self.staff.hire_for(self._handed_out, self._work)
        if driver.is_timed:
            self._desk.attempt_goes_on(record)

    def rest(self) -> None:
        """A thread begins to wait for another invocation."""
        self.staff.rest()
        self.work_ended()
        self.staff.hire_for(self._handed_out, self._work)

    def wake(self) -> threading.Lock:
        """A thread that waited goes on, once it has acquired what is returned."""
        self.work_began()
        self._open()
        return self.staff.wake()

    def abandon(self, driver: object) -> None:
        """Nobody waits for the end of this body any more: should it hang, others must not wait for its thread."""
        if isinstance(driver, ThreadDriver) and self.staff.replace(driver):  # else its middleware runs on the loop
            self.staff.hire_for(self._handed_out, self._work)

    def close(self) -> list[threading.Thread]:
        """Let every thread end after the body in which it is, and return them."""
        self._dismissal()
        self._open_queue()
        self.staff.hiring.stop()
        self._open()
        return self.staff.dismiss()

    def leave_to_parent(self) -> None:
        """In a forked child: what waits for a thread is run in the parent. A body that has forked ends where it is left."""
        self.give_up()
        self._is_copy = True
        self._take_waiting()
        self.staff.hiring.stop()

    def give_up(self) -> None:
        """A body in a thread was abandoned: the end of the interpreter does not wait for it."""
        _POOLS.discard(self)

    def hire_again(self) -> bool:
        """Start threads for what waits; say whether anything waited for one."""
        self._open()
        staff = self.staff
        waits = staff.at_work < self._handed_out - staff.resting
        while staff.hire_for(self._handed_out, self._work):
            pass
        return waits

    def give_up_waiting(self, error: Exception) -> bool:
        """No thread can be started, and none takes bodies: fail what waits for one. Say whether nothing is left.

        Where a thread lives that waits itself, it will come back, and what was handed out is queued until then: it must
        not hold the slot that the thread needs for that. Only what bodies await fails: the thread may wait for just that.
        """
        staff = self.staff
        if staff.at_work:
            return False
        if staff.comes_back:
            self._shut()
        for driver in self._take_waiting():
            record = driver.take_back() if staff.comes_back else None
            if record is None:
                self._fail(driver, error)
            else:
                self._desk.put_back(record, f"no thread could start for it: {why(error)}")
                self._drop(driver)
        self._loop.call_soon(self._collect)  # what follows from their ends may be handed out here at once
        return not self._is_shut

    def _shut(self) -> None:
        """Have nothing handed out."""
        self._is_shut, self._place.ahead = True, -self._place.limit

    def _open(self) -> None:
        """Have bodies handed out again."""
        if self._is_shut:
            self._is_shut, self._place.ahead = False, 0
            self._loop.call_soon(self._settle)

    def _take_waiting(self) -> list[ThreadDriver]:
        taken: list[ThreadDriver] = []
        with suppress(Empty):
            while (driver := self._queue.get_nowait()) is not None:
                taken.append(driver)
        return taken

    def _fail(self, driver: ThreadDriver, error: Exception) -> None:
        body = driver.begin(self._desk)
        driver.is_over = True
        if body is not None:
            self._ended.append((body[0], driver, False, no_thread(body[0], error), 0.0))
        self._drop(driver, is_told=body is not None)

    def _drop(self, driver: ThreadDriver, *, is_told: bool = False) -> None:
        """It is in the queue no longer."""
        if not is_told:
            self._ended.append((_NOBODY, driver, True, None, 0.0))
        self.work_ended()
        if driver.turn is not None:
            driver.turn.end()

    def _collect(self) -> None:
        """Report what has ended."""
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
                try:
                    (desk.succeeded if ok else desk.failed)(record, outcome)
                except BaseException as error:  # noqa: BLE001  the others that have ended are reported all the same
                    report_failure(error, "reporting the end of a body", task_id=record._task.task_id)
            else:
                desk.ended_late(driver, outcome, returned=ok)
        if self._simulated is None and not self._is_shut:
            self._place.ahead = int(min(MOST_AHEAD, AHEAD_SECONDS / self._pace * self._place.limit))
        self._settle()

    # -- in the threads ------------------------------------------------------------------------------------------------

    def work(self, driver: ThreadDriver, workers: Workers) -> bool:
        """Run a body in this thread, one of `workers`; say whether the thread is wanted for more."""
        turn, staff = driver.turn, self.staff
        if turn is not None:
            turn.wait()
        staff.gate.enter()  # before it begins: until then it can be revoked
        body = driver.begin(self._desk)
        ended: Ended = (_NOBODY, driver, True, None, 0.0) if body is None else run(driver, *body)
        driver.end()
        if self._is_copy:
            leave_child(None if ended[2] else ended[3])
        self._ended.append(ended)
        del ended
        staff.leave_gate(driver)
        del driver, body  # before the loop hears of it: only the loop's thread may hold the last reference
        self._tell_loop()
        self.work_ended()  # only now: see `SimulatedLoop`
        if turn is not None:
            turn.end()
        return not staff.is_surplus(workers)

    def _tell_loop(self) -> None:
        if not self._collecting:
            self._collecting = True
            with suppress(RuntimeError):  # the loop is closed: the scheduler writes the end when it leaves that loop
                self._loop.call_soon_threadsafe(self._collect)


def _work(pool: "weakref.ref[Threads]", queue: Queue, workers: Workers) -> None:
    """What a thread does: one body after the other, until it is dismissed. While it is idle it refers to no pool."""
    while (driver := queue.get()) is not None:
        threads = pool()
        wanted = threads is not None and threads.work(driver, workers)
        del threads, driver
        if not wanted:
            return
    queue.put(None)  # for the next one
    workers.discard(threading.current_thread())


def _hire_again(pool: "weakref.ref[Threads]") -> bool:
    threads = pool()
    return threads is not None and threads.hire_again()


def _give_up(pool: "weakref.ref[Threads]", error: Exception) -> bool:
    threads = pool()
    return threads is None or threads.give_up_waiting(error)


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
