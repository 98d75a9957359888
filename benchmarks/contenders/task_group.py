"""asyncio.TaskGroup, whose results are read from the tasks when the group is left."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sized
from contextlib import asynccontextmanager
from functools import partial

from benchmarks.bodies import GATE, held, napping, noop, noop_in_thread, yielding
from benchmarks.cases import CONCURRENCY_LIMIT, TREE_FAN_OUT, TREE_LEVELS, Workload
from benchmarks.contenders import Contender, Scenario, Step, plain, single

Body = Callable[[], Coroutine[object, object, None]]


async def _group(body: Body, n: int) -> Sized:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(body()) for _ in range(n)]
    return [task.result() for task in tasks]


async def _one() -> None:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(noop())
    task.result()


async def _sleeping(n: int) -> Sized:
    slots = asyncio.Semaphore(CONCURRENCY_LIMIT)

    async def limited() -> None:
        async with slots:
            await napping()

    return await _group(limited, n)


async def _node(level: int) -> int:
    if not level:
        return 1
    async with asyncio.TaskGroup() as group:
        children = [group.create_task(_node(level - 1)) for _ in range(TREE_FAN_OUT)]
    return 1 + sum([child.result() for child in children])


async def _tree(_n: int) -> Sized:
    return range(await asyncio.create_task(_node(TREE_LEVELS)))


def _cancelling(body: Body, *, started: bool) -> Scenario:
    @asynccontextmanager
    async def scenario(n: int, /) -> AsyncIterator[Step]:
        group = asyncio.TaskGroup()
        await group.__aenter__()
        tasks = [group.create_task(body()) for _ in range(n)]
        if started:
            await GATE.filled(n)

        async def cancel() -> Sized:
            for task in tasks:
                task.cancel()
            await group.__aexit__(None, None, None)
            return tasks

        yield cancel
        assert all(task.cancelled() for task in tasks)

    return scenario


async def _branch(level: int) -> None:
    if level:
        async with asyncio.TaskGroup() as group:
            for _ in range(TREE_FAN_OUT):
                group.create_task(_branch(level - 1))
    else:
        await GATE.enter()


@asynccontextmanager
async def _cancel_tree(n: int, /) -> AsyncIterator[Step]:
    root = asyncio.create_task(_branch(TREE_LEVELS))
    await GATE.filled(TREE_FAN_OUT**TREE_LEVELS)

    async def cancel() -> Sized:
        root.cancel()
        await asyncio.wait([root])
        return range(n)

    yield cancel
    assert root.cancelled()


CONTENDER = Contender(
    label="TaskGroup",
    scenarios={
        Workload.FAN_OUT: plain(partial(_group, noop)),
        Workload.AWAIT_ONE: single(_one),
        Workload.YIELDING: plain(partial(_group, yielding)),
        Workload.SLEEPING: plain(_sleeping),
        Workload.THREADS: plain(partial(_group, partial(asyncio.to_thread, noop_in_thread))),
        Workload.TREE: plain(_tree),
        Workload.CANCEL_QUEUED: _cancelling(noop, started=False),
        Workload.CANCEL_RUNNING: _cancelling(held, started=True),
        Workload.CANCEL_TREE: _cancel_tree,
    },
)
