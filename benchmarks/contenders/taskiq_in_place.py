"""taskiq's InMemoryBroker with `await_inplace`: cheaper, but each body ends before the next is submitted."""

from collections.abc import AsyncIterator, Sized
from contextlib import asynccontextmanager

from taskiq import InMemoryBroker

from benchmarks.bodies import noop
from benchmarks.cases import Workload
from benchmarks.contenders import Contender, Step


@asynccontextmanager
async def _fan_out(n: int, /) -> AsyncIterator[Step]:
    broker = InMemoryBroker(max_stored_results=-1, cast_types=False, await_inplace=True)
    task = broker.task(noop)

    async def run() -> Sized:
        handles = [await task.kiq() for _ in range(n)]
        return [(await handle.get_result()).return_value for handle in handles]

    await broker.startup()
    yield run
    await broker.shutdown()


@asynccontextmanager
async def _one(_n: int, /) -> AsyncIterator[Step]:
    broker = InMemoryBroker(max_stored_results=-1, cast_types=False, await_inplace=True)
    task = broker.task(noop)

    async def step() -> None:
        handle = await task.kiq()
        await handle.get_result()

    await broker.startup()
    yield step
    await broker.shutdown()


CONTENDER = Contender(
    label="taskiq, awaited in place",
    distribution="taskiq",
    most=100_000,
    scenarios={Workload.FAN_OUT: _fan_out, Workload.AWAIT_ONE: _one},
)
