"""What the tests of worker processes share."""

import asyncio
import os
from pathlib import Path

import pytest

from pynenc_async import Pynenc
from pynenc_async.clock import SimulatedLoop
from pynenc_async.invocation import binding
from pynenc_async.status import InvocationStatus

PATIENCE_SECONDS = 50.0


class JumpingLoop(asyncio.SelectorEventLoop):
    """Real time, and what a test adds to it: what takes time here is other processes, and how much they take, nobody knows."""

    added = 0.0

    def time(self) -> float:
        return super().time() + self.added


def run_jumping(main, monkeypatch):
    """Run `main(loop)` to its end; apps have the clock of this loop, too."""

    async def whole():
        return await main(asyncio.get_running_loop())

    monkeypatch.setattr(binding, "monotonic_clock_of", lambda loop: loop.time)
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(whole())


def in_process(app: Pynenc, func, **options):
    return app.task(runs_in="process", **options)(func)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def workers_of(app: Pynenc) -> list[int]:
    """Return the pids of the worker processes that there are."""
    pools = app._dispatcher.crew.elsewhere._pools
    return [worker.life.pid for pool in pools for worker in pool.staff.workers]


async def running(invocation):
    while invocation.status is not InvocationStatus.RUNNING:
        assert not invocation.status.is_final(), invocation.status
        await asyncio.sleep(0)


async def written(path: Path) -> int:
    """Return the pid that a body writes into a file when it has begun."""
    while not path.exists() or not (text := path.read_text()):  # read once: the body may be writing its last words
        await asyncio.sleep(0)
    return int(text.split()[0])


def new_gate(path: Path) -> Path:
    os.mkfifo(path)
    return path


def open_gate(path: Path) -> None:
    path.open("w").close()  # blocks until the body waits there


def needs_real_time():
    if isinstance(asyncio.get_running_loop(), SimulatedLoop):
        pytest.skip("time stands still while a process works")
