"""The threads of one pool: how many there are, and how many of them count."""

import threading
from collections.abc import Callable
from typing import Final

from pynenc_async.execution.desk import PoolPlace
from pynenc_async.execution.hiring import Hiring
from pynenc_async.execution.threads.driver import ThreadDriver
from pynenc_async.execution.threads.gate import Gate

Workers = set[threading.Thread]
"""Threads that were hired together; when the pool is closed they end, and the next ones are others."""


class Staff:
    """Hires threads, and says who has to leave. Those that *rest* have left the gate, and another works in their place."""

    def __init__(self, place: PoolPlace, hiring: Hiring) -> None:
        self._place: Final = place
        self.hiring: Final = hiring
        self.gate: Final = Gate(place.limit)
        self.workers: Workers = set()
        self.resting = 0
        """Threads that wait for another invocation, or whose body was abandoned."""
        self._abandoned = 0
        self._leaving: Final = threading.RLock()
        """Threads leave one by one, so that not all of them leave when one is too many; and they rest under it."""

    # -- in the loop's thread ------------------------------------------------------------------------------------------

    @property
    def at_work(self) -> int:
        """How many threads take bodies, or are in one."""
        return len(self.workers) - self.resting

    @property
    def comes_back(self) -> bool:
        """Whether there is a thread that takes bodies, if only after what it waits for now."""
        return len(self.workers) > self._abandoned

    def hire_for(self, bodies: int, work: Callable[[Workers], object]) -> bool:
        """Start one more thread if there are fewer than may work, and fewer than `bodies`, of which some rest.

        Say whether there is one more.
        """
        at_work = len(self.workers) - self.resting
        if at_work < self._place.limit and at_work < bodies - self.resting and self.hiring.may_start:
            return self._hire(work)
        return False

    def _hire(self, work: Callable[[Workers], object]) -> bool:
        worker: threading.Thread | None = None
        try:
            name = f"pynenc-{len(self.workers) + 1}"
            worker = threading.Thread(target=work, args=(self.workers,), name=name, daemon=True)
            self.workers.add(worker)
            worker.start()
        except BaseException as error:
            if worker is not None and not worker.is_alive():
                self.workers.discard(worker)
            if not isinstance(error, Exception):
                raise
            self.hiring.failed(error)
            return False
        self.hiring.succeeded()
        return True

    def rest(self) -> None:
        """A thread begins to wait for another invocation."""
        with self._leaving:
            self.resting += 1
        self.gate.leave()

    def wake(self) -> threading.Lock:
        """It goes on, once it has acquired what is returned: before all bodies that have not begun."""
        with self._leaving:
            self.resting -= 1
        return self.gate.reserve()

    def replace(self, driver: ThreadDriver) -> bool:
        """Let another thread have the place of the one in which this body is; say whether it had one."""
        with self._leaving:
            if driver.is_over or driver.blocked is not None or driver.abandoned or not driver.thread_id:
                return False  # it needs no place: it has ended, or waits for another
            driver.abandoned = True
            self.resting += 1
            self._abandoned += 1
        self.gate.leave()
        return True

    def dismiss(self) -> list[threading.Thread]:
        """Return all threads, and have none any more."""
        workers, self.workers = self.workers, set()
        return list(workers)  # they leave the set as they end

    # -- in the threads ------------------------------------------------------------------------------------------------

    def leave_gate(self, driver: ThreadDriver) -> None:
        """The body is over."""
        with self._leaving:
            driver.is_over = True
            if driver.abandoned:
                self.resting -= 1
                self._abandoned -= 1
        if not driver.abandoned:  # else the place has gone to another thread already
            self.gate.leave()

    def is_surplus(self, workers: Workers) -> bool:
        """Whether this thread is one too many, since somebody has come back from waiting; then it is no worker any more."""
        thread = threading.current_thread()
        with self._leaving:
            surplus = len(workers) - self.resting > self._place.limit
            if surplus:
                workers.discard(thread)
        return surplus
