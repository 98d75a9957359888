"""asyncio itself, the usual way: `create_task` for each, then `gather`. The baseline of most ratios."""

import asyncio
from asyncio import create_task, gather
from collections.abc import AsyncIterator, Sized
from contextlib import asynccontextmanager

from benchmarks.bodies import GATE, LONG, held, napping, noop, noop_in_thread, yielding
from benchmarks.cases import CONCURRENCY_LIMIT, TREE_FAN_OUT, TREE_LEVELS, Workload
from benchmarks.contenders import Contender, Step, plain


async def _fan_out(n: int) -> Sized:
    return await gather(*[create_task(noop()) for _ in range(n)])


async def _yielding(n: int) -> Sized:
    return await gather(*[create_task(yielding()) for _ in range(n)])


async def _sleeping(n: int) -> Sized:
    slots = asyncio.Semaphore(CONCURRENCY_LIMIT)

    async def limited() -> None:
        async with slots:
            await napping()

    return await gather(*[create_task(limited()) for _ in range(n)])


async def _threads(n: int) -> Sized:
    return await gather(*[asyncio.to_thread(noop_in_thread) for _ in range(n)])


async def _node(level: int) -> int:
    if not level:
        return 1
    return 1 + sum(await gather(*[create_task(_node(level - 1)) for _ in range(TREE_FAN_OUT)]))


async def _tree(_n: int) -> Sized:
    return range(await create_task(_node(TREE_LEVELS)))


@asynccontextmanager
async def _queued(n: int, /) -> AsyncIterator[Step]:
    tasks: list[asyncio.Task[None]] = []

    async def submit() -> Sized:
        tasks.extend([create_task(noop()) for _ in range(n)])
        return tasks

    yield submit
    await gather(*tasks)


@asynccontextmanager
async def _running(n: int, /) -> AsyncIterator[Step]:
    tasks: list[asyncio.Task[None]] = []

    async def start() -> Sized:
        tasks.extend([create_task(held()) for _ in range(n)])
        await GATE.filled(n)
        return tasks

    yield start
    GATE.open()
    await gather(*tasks)
    GATE.close()


async def _finished(n: int) -> Sized:
    tasks = [create_task(noop()) for _ in range(n)]
    for task in tasks:
        await task
    return tasks


async def _cancel(tasks: list[asyncio.Task[None]]) -> Sized:
    for task in tasks:
        task.cancel()
    return await gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def _cancel_queued(n: int, /) -> AsyncIterator[Step]:
    tasks = [create_task(noop()) for _ in range(n)]
    yield lambda: _cancel(tasks)
    assert all(task.cancelled() for task in tasks)


@asynccontextmanager
async def _cancel_running(n: int, /) -> AsyncIterator[Step]:
    tasks = [create_task(held()) for _ in range(n)]
    await GATE.filled(n)
    yield lambda: _cancel(tasks)
    assert all(task.cancelled() for task in tasks)


@asynccontextmanager
async def _delayed(n: int, /) -> AsyncIterator[Step]:
    tasks: list[asyncio.Task[None]] = []

    async def submit() -> Sized:
        tasks.extend([create_task(asyncio.sleep(LONG)) for _ in range(n)])
        await asyncio.sleep(0)
        return tasks

    yield submit
    await _cancel(tasks)


CONTENDER = Contender(
    label="create_task + gather",
    scenarios={
        Workload.FAN_OUT: plain(_fan_out),
        Workload.YIELDING: plain(_yielding),
        Workload.SLEEPING: plain(_sleeping),
        Workload.THREADS: plain(_threads),
        Workload.QUEUED: _queued,
        Workload.RUNNING: _running,
        Workload.FINISHED: plain(_finished),
        Workload.TREE: plain(_tree),
        Workload.CANCEL_QUEUED: _cancel_queued,
        Workload.CANCEL_RUNNING: _cancel_running,
        Workload.DELAYED: _delayed,
        Workload.CANCEL_TREE: _cancel_running,
    },
)
