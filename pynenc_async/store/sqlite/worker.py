"""A thread that serves coroutines: what they ask waits in a queue, and is answered together with what waits beside it.

**Handing over.** Only one thread at a time has the interpreter, and one that is busy gives it away after the switch
interval, 5 ms: for so long a worker would have to wait before it could begin, and then the loop is done, too, and waits
for the worker. So whoever asks for much waits for the worker to begin (`Job.begin`): until that has prepared what it is
going to do in SQLite, without the interpreter. What it needs of the interpreter before that, one of them has to wait for.
From then on, both are at work.
"""

import asyncio
import contextlib
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, Final

from pynenc_async.clock import thread_work_of
from pynenc_async.errors import StoreError
from pynenc_async.store.sqlite.quiet import outer_lock
from pynenc_async.user_errors import translated

Answer = tuple["Job", Any, BaseException | None]

_HEAVY: Final = 48
"""The weight from which on handing over is worth while."""
_LONGEST_HANDOVER: Final = 0.004
"""Seconds. A worker that waits for a disk before it has begun holds up nobody for longer."""


class Job:
    """One question, whoever asks it, and where the answer goes."""

    __slots__ = ("_done", "begun", "future", "loop", "weight", "work")

    def __init__(self, work: Any, weight: int, loop: asyncio.AbstractEventLoop) -> None:
        self.work: Final = work
        self.weight: Final = weight
        self.loop: Final = loop
        self.future: Final[asyncio.Future[Any]] = loop.create_future()
        self.begun: Final = threading.Lock()
        """Held while somebody waits for the beginning."""
        began, self._done = thread_work_of(loop)
        began()

    def begin(self) -> None:
        """Say, in the worker's thread, that from here on the interpreter is hardly needed. May be said again."""
        if self.begun.locked():
            self.begun.release()

    def handed_over(self) -> None:
        """The answer is on its way, or will never be."""
        self._done()


class Worker:
    """One thread and its queue. `serve` gets what waits, and returns the answers, one for each job, in any order."""

    def __init__(self, name: str, serve: Callable[[Sequence[Job]], list[Answer]], *, most: int) -> None:
        self._serve: Final = serve
        self._most: Final = most
        """How much weight is served at once."""
        self._queue: Final[SimpleQueue[Job | None]] = SimpleQueue()
        self._unserved: Final[deque[None]] = deque()
        """One for each job that was asked for and is not served: from before it can be begun until its answer is there."""
        self._at_work: Final = outer_lock()
        self._thread: Final = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    async def ask(self, work: Any, *, weight: int = 1) -> Any:
        """Have the work done; return the answer, or raise what it raised."""
        job = Job(work, weight, asyncio.get_running_loop())
        hand_over = weight >= _HEAVY and self._is_free and job.begun.acquire()
        self._unserved.append(None)
        self._queue.put(job)
        if hand_over:
            job.begun.acquire(timeout=_LONGEST_HANDOVER)
        return await job.future

    @property
    def _is_free(self) -> bool:
        """Whether what is asked now is begun at once."""
        return not self._unserved

    def borrow(self) -> bool:
        """Do the thread's work in this thread until `give_back`, if it has nothing to do: then nothing is overtaken."""
        return self._is_free and self._at_work.acquire(blocking=False)

    def give_back(self) -> None:
        """Leave it to the thread again."""
        self._at_work.release()

    def stop(self) -> None:
        """Serve what has been asked, and end; returns when that is so. Later questions are never answered."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while True:
            job = self._queue.get()
            if job is None:
                return
            jobs, goes_on = self._gather(job)
            with self._at_work:
                answers = self._serve_all(jobs)
            for job in jobs:
                job.begin()
                self._unserved.popleft()  # said before the loop goes on: it may ask again at once
            deliver(answers)
            del answers, job, jobs  # while the thread waits, it holds nobody's results
            if not goes_on:
                return

    def _serve_all(self, jobs: list[Job]) -> list[Answer]:
        try:
            return self._serve(jobs)
        except BaseException as error:  # noqa: BLE001  whoever asks later is served all the same
            failure = StoreError(f"{self._thread.name} failed: {type(error).__name__}: {error}", temporary=True)
            failure.__cause__ = error
            return [(job, None, failure) for job in jobs]

    def _gather(self, first: Job) -> tuple[list[Job], bool]:
        jobs, weight = [first], first.weight
        while weight < self._most:
            try:
                job = self._queue.get_nowait()
            except Empty:
                break
            if job is None:
                return jobs, False
            jobs.append(job)
            weight += job.weight
        return jobs, True


def deliver(answers: Sequence[Answer]) -> None:
    """Bring the answers to the loops that wait for them: each is woken once."""
    by_loop: defaultdict[asyncio.AbstractEventLoop, list[Answer]] = defaultdict(list)
    for answer in answers:
        by_loop[answer[0].loop].append(answer)
    for loop, its_answers in by_loop.items():
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_settle, its_answers)
        for job, _, _ in its_answers:
            job.handed_over()


def _settle(answers: Sequence[Answer]) -> None:
    for job, value, error in answers:
        if job.future.cancelled():
            continue
        if error is None:
            job.future.set_result(value)
        else:
            job.future.set_exception(translated(error, by="the store"))  # no future takes a StopIteration
