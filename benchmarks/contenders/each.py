"""asyncio itself, the cheapest way: create all tasks, then await each in turn."""

import asyncio
from asyncio import create_task
from collections.abc import AsyncIterator, Callable, Coroutine, Sized
from contextlib import asynccontextmanager
from functools import partial

from benchmarks.bodies import GATE, held, napping, noop, noop_in_thread, yielding
from benchmarks.cases import CONCURRENCY_LIMIT, TREE_FAN_OUT, TREE_LEVELS, Workload
from benchmarks.contenders import Contender, Step, plain, single


async def _each(body: Callable[[], Coroutine[object, object, object]], n: int) -> Sized:
    tasks = [create_task(body()) for _ in range(n)]
    return [await task for task in tasks]


async def _sleeping(n: int) -> Sized:
    slots = asyncio.Semaphore(CONCURRENCY_LIMIT)

    async def limited() -> None:
        async with slots:
            await napping()

    return await _each(limited, n)


async def _threads(n: int) -> Sized:
    return await _each(partial(asyncio.to_thread, noop_in_thread), n)


async def _node(level: int) -> int:
    if not level:
        return 1
    children = [create_task(_node(level - 1)) for _ in range(TREE_FAN_OUT)]
    return 1 + sum([await child for child in children])


async def _tree(_n: int) -> Sized:
    return range(await create_task(_node(TREE_LEVELS)))


async def _cancel(tasks: list[asyncio.Task[None]]) -> Sized:
    for task in tasks:
        task.cancel()
    outcomes: list[bool] = []
    for task in tasks:
        # What a caller has to write: a bare CancelledError does not say who was cancelled.
        try:
            await task
        except asyncio.CancelledError:
            outcomes.append(True)
    return outcomes


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


CONTENDER = Contender(
    label="create_task, await each",
    scenarios={
        Workload.FAN_OUT: plain(partial(_each, noop)),
        Workload.AWAIT_ONE: single(lambda: create_task(noop())),
        Workload.YIELDING: plain(partial(_each, yielding)),
        Workload.SLEEPING: plain(_sleeping),
        Workload.THREADS: plain(_threads),
        Workload.TREE: plain(_tree),
        Workload.CANCEL_QUEUED: _cancel_queued,
        Workload.CANCEL_RUNNING: _cancel_running,
        Workload.CANCEL_TREE: _cancel_running,
    },
)
