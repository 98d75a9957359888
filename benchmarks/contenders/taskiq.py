"""taskiq's InMemoryBroker, tuned: every result is kept, nothing is cast, and waiting for a result does not sleep."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sized
from contextlib import asynccontextmanager
from typing import Any

from taskiq import AsyncTaskiqDecoratedTask, InMemoryBroker

from benchmarks.bodies import noop, noop_in_thread, yielding
from benchmarks.cases import TREE_FAN_OUT, TREE_LEVELS, Workload
from benchmarks.contenders import Contender, Scenario, Step

# Large enough never to bind: "unlimited" (0) does the same, and warns.
_NO_LIMIT = 1_000_000


@asynccontextmanager
async def _started() -> AsyncIterator[InMemoryBroker]:
    broker = InMemoryBroker(max_stored_results=-1, max_async_tasks=_NO_LIMIT, cast_types=False)
    await broker.startup()
    yield broker
    await broker.shutdown()


def _kicking(body: Callable[[], Any]) -> Scenario:
    @asynccontextmanager
    async def scenario(n: int, /) -> AsyncIterator[Step]:
        async with _started() as broker:
            task = broker.task(body)

            async def run() -> Sized:
                handles = [await task.kiq() for _ in range(n)]
                # One wait for all, in place of a polling loop for each.
                await broker.wait_all()
                return [(await handle.get_result()).return_value for handle in handles]

            yield run

    return scenario


@asynccontextmanager
async def _one(_n: int, /) -> AsyncIterator[Step]:
    async with _started() as broker:
        task = broker.task(noop)

        async def step() -> None:
            handle = await task.kiq()
            await handle.wait_result(check_interval=0)

        yield step


@asynccontextmanager
async def _tree(_n: int, /) -> AsyncIterator[Step]:
    async with _started() as broker:

        async def node(level: int) -> int:
            if not level:
                return 1
            children = [await task.kiq(level - 1) for _ in range(TREE_FAN_OUT)]
            counts: list[int] = [(await child.wait_result(check_interval=0)).return_value for child in children]
            return 1 + sum(counts)

        task: AsyncTaskiqDecoratedTask[[int], Any] = broker.task(node)

        async def run() -> Sized:
            root = await task.kiq(TREE_LEVELS)
            return range((await root.wait_result(check_interval=0)).return_value)

        yield run
        await asyncio.sleep(0)


CONTENDER = Contender(
    label="taskiq InMemoryBroker",
    distribution="taskiq",
    most=100_000,
    scenarios={
        Workload.FAN_OUT: _kicking(noop),
        Workload.AWAIT_ONE: _one,
        Workload.YIELDING: _kicking(yielding),
        Workload.THREADS: _kicking(noop_in_thread),
        Workload.TREE: _tree,
    },
)
