"""The pools of workers of one app on one loop; each is made when the first body comes."""

from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Any, Final

from pynenc_async.execution.processes.interpreters import WorkerInterpreter
from pynenc_async.execution.processes.pool import Processes
from pynenc_async.execution.processes.process import WorkerProcess
from pynenc_async.execution.processes.staff import Launch
from pynenc_async.record import Record


class Elsewhere:
    """Runs bodies in worker processes, and in interpreters of their own."""

    def __init__(self, desk: Any, places: Any, loop: AbstractEventLoop, settle: Callable[[], None]) -> None:
        self._desk: Final = desk
        self._loop: Final = loop
        self._settle: Final = settle
        self._pools: Final[list[Processes]] = []
        places.processes.start = self._opening(places.processes, "pynenc-process", WorkerProcess)
        places.interpreters.start = self._opening(places.interpreters, "pynenc-interpreter", WorkerInterpreter)

    def _opening(self, place: Any, name: str, launch: Launch) -> Callable[[Record], None]:
        def start(record: Record) -> None:
            pool = Processes(name, self._desk, place, self._loop, self._settle, launch)
            self._pools.append(pool)
            place.start = pool.start
            pool.start(record)

        return start

    async def stop(self, *, at_once: bool) -> None:
        """Let every worker end, and wait for that; kill what is still in a body."""
        for pool in self._pools:
            await pool.staff.stop(at_once=at_once)

    def leave_to_parent(self) -> None:
        """In a forked child: the workers are the parent's."""
        for pool in self._pools:
            pool.staff.leave_to_parent()

    def close(self) -> None:
        """End every worker: the loop is gone."""
        for pool in self._pools:
            pool.staff.close()
