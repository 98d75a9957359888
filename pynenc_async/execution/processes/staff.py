"""The workers of a pool: hired when there is work for one more, kept warm, given bodies, buried."""

import weakref
from asyncio import AbstractEventLoop, Future, TimerHandle
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from pynenc_async.clock import SimulatedLoop, thread_work_of
from pynenc_async.execution.desk import PoolPlace
from pynenc_async.execution.hiring import Hiring
from pynenc_async.execution.processes.driver import BodyDriver
from pynenc_async.execution.processes.handle import WorkerHandle
from pynenc_async.execution.processes.messages import Define, Run
from pynenc_async.execution.processes.process import Life

LAST_WORDS_SECONDS: Final = 1.0
"""How long a worker that was told to end may take; then it is killed."""
LEVEL_SECONDS: Final = 0.004
"""How long a worker may be idle while others have more than they can do at once."""

Launch = Callable[[str, Callable[[], object]], Life]
"""Starts a worker of that name; the callable is called in another thread when it has died."""


class Staff:
    """All workers of one pool, and the bodies that wait for one. In the loop's thread."""

    def __init__(
        self,
        *,
        name: str,
        place: PoolPlace,
        loop: AbstractEventLoop,
        launch: Launch,
        tasks: list[Define],
        describe: Callable[[BodyDriver], Run],
        receive: Callable[[WorkerHandle], object],
        died: Callable[[WorkerHandle, list[Any], int], object],
        start_failed: Callable[[Exception], bool],
    ) -> None:
        self._name: Final = name
        self._place: Final = place
        self._loop: Final = loop
        self._launch: Final = launch
        self._tasks: Final = tasks
        self._describe: Final = describe
        self._receive: Final = receive
        self._died: Final = died
        self.hiring: Final = Hiring("a worker process", loop, again=self._try_again, give_up=start_failed)
        self.simulated: Final = isinstance(loop, SimulatedLoop)
        self._work_began, self._work_ended = thread_work_of(loop)
        self._at_work = 0
        self.depth = 1
        """How many bodies a worker may have at once, of which it runs one."""
        self.resting = 0
        """Workers whose bodies wait for the readers of their items: they hold no slot."""
        self.backlog: Final[deque[BodyDriver]] = deque()
        self.workers: Final[list[WorkerHandle]] = []
        self._idle: Final[list[WorkerHandle]] = []
        """Those who became idle last are the warmest."""
        self._hired = 0
        self._distributing = False
        self._levelling: TimerHandle | None = None
        self._gone: Future[None] | None = None
        self._lives: Final[set[Life]] = set()
        self._finalizer: Final = weakref.finalize(self, _end_all, self._lives)
        """Also at the end of the interpreter: no worker outlives it."""
        if isinstance(loop, SimulatedLoop):
            loop.call_at_close(self.close)

    # -- work ----------------------------------------------------------------------------------------------------------

    def begin_work(self) -> None:
        """A body was handed out: from now on simulated time stands still. Real files are watched only meanwhile."""
        self._work_began()
        self._at_work += 1
        if self.simulated and self._at_work == 1:
            for worker in self.workers:
                self._watch(worker)

    def end_work(self) -> None:
        """A body is done with."""
        self._at_work -= 1
        if self.simulated and not self._at_work:
            for worker in self.workers:
                worker.unwatch()
        self._work_ended()

    def offer(self, body: BodyDriver) -> None:
        """Give a body to an idle worker, or let it wait for one."""
        if self._idle:
            worker = self._idle.pop()
            worker.is_idle = False
            self._send(worker, [body])
        else:
            self.backlog.append(body)
            self.distribute_soon()

    def distribute_soon(self) -> None:
        """Distribute what waits at the end of this turn: many bodies go into one frame."""
        if not self._distributing:
            self._distributing = True
            self._loop.call_soon(self._distribute)

    def refill(self, worker: WorkerHandle) -> None:
        """Give a worker that has told something its next bodies."""
        if not worker.is_open:
            return
        backlog, has = self.backlog, len(worker.bodies)
        if backlog and 2 * has <= self.depth:
            self._give(worker, self.depth - has)
        elif not has and not worker.is_idle:
            self._rest(worker)

    def take_back(self, worker: WorkerHandle) -> None:
        """What a worker has not begun waits for another one, ahead of all that came later."""
        self.return_bodies(worker.take_back())

    def return_bodies(self, bodies: list[BodyDriver]) -> None:
        """Put bodies at the head of what waits."""
        self.backlog.extendleft(reversed(bodies))
        if self.backlog:
            self.distribute_soon()

    def _distribute(self) -> None:
        self._distributing = False
        backlog = self.backlog
        if not backlog:
            return
        workers = [worker for worker in self.workers if worker.is_open]
        if workers:
            workers.sort(key=lambda worker: len(worker.bodies))
            share = -(-len(backlog) // len(workers))
            for worker in workers:
                self._give(worker, min(share, self.depth - len(worker.bodies)))
        if backlog:
            self._hire_for(len(backlog))

    def _give(self, worker: WorkerHandle, most: int) -> None:
        count = min(most, len(self.backlog))
        if count <= 0:
            return
        if worker.is_idle:
            worker.is_idle = False
            self._idle.remove(worker)
        self._send(worker, [self.backlog.popleft() for _ in range(count)])

    def _send(self, worker: WorkerHandle, bodies: list[BodyDriver]) -> None:
        for body in bodies:
            worker.take(body)
        worker.send(bodies, [self._describe(body) for body in bodies], self._tasks)

    def _rest(self, worker: WorkerHandle) -> None:
        if len(self.workers) - self.resting > self._place.limit:
            worker.retire()  # others wait no longer, and this one is one too many
            return
        worker.is_idle = True
        self._idle.append(worker)
        if self._levelling is None and not self.simulated and any(len(one.bodies) > 1 for one in self.workers):
            self._levelling = self._loop.call_later(LEVEL_SECONDS, self._level)

    def _level(self) -> None:
        """What waits behind a long body, while another worker has nothing to do, is taken back."""
        self._levelling = None
        if self._idle:
            for worker in self.workers:
                if len(worker.bodies) > 1:
                    self.take_back(worker)

    # -- life and death ------------------------------------------------------------------------------------------------

    @property
    def living(self) -> int:
        """How many workers take bodies, or will, after what they do or wait for now."""
        return sum(not worker.stopping for worker in self.workers)

    def _try_again(self) -> bool:
        waits = bool(self.backlog)
        self._distribute()
        return waits

    def _hire_for(self, waiting: int) -> None:
        if not self.hiring.may_start:
            return
        starting = sum(not worker.is_ready for worker in self.workers)
        room = self._place.limit + self.resting - len(self.workers)
        for _ in range(min(waiting - starting, room)):
            if not self._hire():
                return

    def _hire(self) -> bool:
        self._hired += 1
        name = f"{self._name}-{self._hired}"
        try:
            life = self._launch(name, _undertaker(weakref.ref(self), self._loop, name))
        except Exception as error:  # noqa: BLE001  whatever it is, there is no worker
            self.hiring.failed(error)
            return False
        self._lives.add(life)
        worker = WorkerHandle(name, life, self._loop)
        self.workers.append(worker)
        if self._at_work or not self.simulated:
            self._watch(worker)
        return True

    def _watch(self, worker: WorkerHandle) -> None:
        if not worker.is_cut_off:
            self._loop.add_reader(worker.life.data.fileno(), self._receive, worker)

    def bury(self, name: str) -> None:
        """A worker has died."""
        worker = next((one for one in self.workers if one.name == name), None)
        if worker is None:
            return  # the staff was closed meanwhile, and somebody else has reaped it
        self.workers.remove(worker)
        if worker.is_idle:
            self._idle.remove(worker)
        worker.unwatch()
        told = worker.receive_rest()
        unbegun = worker.take_back()
        exit_code = self._reap(worker.life)
        self._died(worker, told, exit_code)
        self.return_bodies(unbegun)
        if not self.workers and self._gone is not None and not self._gone.done():
            self._gone.set_result(None)

    def _reap(self, life: Life) -> int:
        self._lives.discard(life)
        return life.reap()

    def end(self, worker: WorkerHandle, *, at_once: bool) -> None:
        """Ask a worker to end, and kill it if it does not do so in a moment; simulated time has no moments."""
        if at_once or self.simulated or not worker.is_ready:
            worker.kill()
        else:
            worker.terminate()
            self._loop.call_later(LAST_WORDS_SECONDS, self.kill, worker)

    def kill(self, worker: WorkerHandle) -> None:
        """Kill a worker, unless it is dead already."""
        if worker in self.workers:
            worker.kill()

    @property
    def is_stopping(self) -> bool:
        """Whether every worker is on its way out."""
        return self._gone is not None

    async def stop(self, *, at_once: bool) -> None:
        """Let every worker end and wait for that; what is still in a body is killed. The staff can be hired anew."""
        self.hiring.stop()
        if not self.workers:
            return
        self._gone = self._loop.create_future()
        self.begin_work()
        try:
            for worker in self.workers:
                if worker.is_idle and not at_once and not self.simulated:
                    worker.retire()
                else:
                    worker.kill()
            last_words = self._loop.call_later(LAST_WORDS_SECONDS, self._kill_all)
            await self._gone
            last_words.cancel()
        finally:
            self._gone = None
            self.end_work()

    def _kill_all(self) -> None:
        for worker in self.workers:
            worker.kill()

    def leave_to_parent(self) -> None:
        """Let go of every worker, in a forked child: none must live for its sake when the parent is gone."""
        self.hiring.stop()
        self.workers.clear()
        self._idle.clear()
        self.backlog.clear()
        while self._lives:
            self._lives.pop().let_go()

    def close(self) -> None:
        """Kill every worker: the loop is gone."""
        self.hiring.stop()
        for worker in self.workers:
            worker.unwatch()
        self.workers.clear()
        self._idle.clear()
        self.backlog.clear()
        _end_all(self._lives)


def _undertaker(staff: "weakref.ref[Staff]", loop: AbstractEventLoop, name: str) -> Callable[[], object]:
    """Return what the thread calls that waits for the end of a worker; it must not keep the staff alive."""

    def died() -> None:
        def bury() -> None:
            living = staff()
            if living is not None:
                living.bury(name)

        with suppress(RuntimeError):  # the loop is closed: whoever closes the staff reaps what is left
            loop.call_soon_threadsafe(bury)

    return died


def _end_all(lives: set[Life]) -> None:
    while lives:
        life = lives.pop()
        life.kill()
        life.reap()
