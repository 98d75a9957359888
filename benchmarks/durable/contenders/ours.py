"""pynenc_async on its SQLite store, with default settings, but for the watchdog.

That names in the log what keeps the event loop for more than half a second, and submitting 100,000 in one go does.
"""

import asyncio
import gc
import os
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from benchmarks import bodies
from benchmarks.durable.cases import Work
from benchmarks.durable.contenders import DurableContender, Job, Run, Stopwatch
from pynenc_async import Pynenc
from pynenc_async.configuration.app_options import DEFAULT_WINDOW
from pynenc_async.task import Task

_WARM_UP = 500
_AT_ONCE = 5_000

Noop = Task[[], None]


def _in_app(
    path: Path, work: Callable[[Noop], Awaitable[float]], *, durability: str, window: int = DEFAULT_WINDOW
) -> float:
    url = f"sqlite:///{path}?durability={durability}"
    app = Pynenc(url, watchdog_seconds=None, store_window=window)
    noop = app.task(bodies.noop)

    async def run() -> float:
        async with app:
            await noop.parallelize([()] * _WARM_UP)
            gc.collect()
            return await work(noop)

    return asyncio.run(run())


def burst(job: Job, *, window: int = DEFAULT_WINDOW) -> float:
    async def work(noop: Noop) -> float:
        watch = Stopwatch()
        await noop.parallelize([()] * job.n)
        return watch.read(job.n)

    return _in_app(job.filled or job.directory / "ours.db", work, durability="normal", window=window)


def _concurrent(job: Job) -> float:
    async def submitter(noop: Noop) -> None:
        invocation = noop()
        await invocation.accepted()
        await invocation

    async def work(noop: Noop) -> float:
        watch = Stopwatch()
        await asyncio.gather(*[submitter(noop) for _ in range(job.n)])
        return watch.read(job.n)

    return _in_app(job.directory / "ours.db", work, durability="full")


def _one(job: Job) -> float:
    async def work(noop: Noop) -> float:
        samples: list[float] = []
        for _ in range(job.n):
            begin = time.perf_counter()
            await noop()
            samples.append(time.perf_counter() - begin)
        return statistics.median(samples) * 1e6

    return _in_app(job.directory / "ours.db", work, durability="normal")


def _resident() -> int:
    """Bytes of this process that are in memory now."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _queued(job: Job) -> float:
    app = Pynenc(f"sqlite:///{job.directory / 'ours.db'}", max_concurrency=1, watchdog_seconds=None)
    held = app.task(bodies.held)

    async def submit(n: int) -> None:
        for _ in range(0, n, _AT_ONCE):
            invocations = [held() for _ in range(_AT_ONCE)]
            for invocation in invocations:
                await invocation.accepted()

    async def run() -> float:
        async with app:
            await submit(job.n // 4)
            gc.collect()
            before = _resident()
            await submit(job.n - job.n // 4)
            gc.collect()
            grown = (_resident() - before) / (job.n - job.n // 4)
            # What is measured is measured: to run all that is queued would take longer than the rest.
            print(f'{{"per_item": {grown}}}', flush=True)
            os._exit(0)

    return asyncio.run(run())


_RUNS: dict[Work, Run] = {
    Work.BURST: burst,
    Work.CONCURRENT_FULL: _concurrent,
    Work.AWAIT_ONE: _one,
    Work.FINISHED: burst,
    Work.QUEUED: _queued,
}
CONTENDER = DurableContender(label="pynenc_async", distribution="pynenc-async", runs=_RUNS)
