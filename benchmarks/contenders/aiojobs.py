"""aiojobs: a scheduler of jobs over asyncio tasks; without a limit unless the workload has one, its fast path."""

from collections.abc import AsyncIterator, Callable, Coroutine, Sized
from contextlib import asynccontextmanager
from functools import partial

from aiojobs import Job, Scheduler

from benchmarks.bodies import GATE, held, napping, noop, yielding
from benchmarks.cases import CONCURRENCY_LIMIT, TREE_FAN_OUT, TREE_LEVELS, Workload
from benchmarks.contenders import Contender, Scenario, Step, plain

Body = Callable[[], Coroutine[object, object, object]]


async def _spawn_all(body: Body, limit: int | None, n: int) -> Sized:
    # No bound on what waits for a slot: submission would otherwise block, which the others do not do.
    async with Scheduler(limit=limit, pending_limit=0) as scheduler:
        jobs = [await scheduler.spawn(body()) for _ in range(n)]
        return [await job.wait() for job in jobs]


@asynccontextmanager
async def _one(_n: int, /) -> AsyncIterator[Step]:
    async with Scheduler(limit=None) as scheduler:

        async def step() -> None:
            job = await scheduler.spawn(noop())
            await job.wait()

        yield step


async def _node(scheduler: Scheduler, level: int) -> int:
    if not level:
        return 1
    children = [await scheduler.spawn(_node(scheduler, level - 1)) for _ in range(TREE_FAN_OUT)]
    return 1 + sum([await child.wait() for child in children])


async def _tree(_n: int) -> Sized:
    async with Scheduler(limit=None) as scheduler:
        root = await scheduler.spawn(_node(scheduler, TREE_LEVELS))
        return range(await root.wait())


def _keeping(body: Body, until: Callable[[int, list[Job[object]]], Coroutine[object, object, None]]) -> Scenario:
    @asynccontextmanager
    async def scenario(n: int, /) -> AsyncIterator[Step]:
        async with Scheduler(limit=None) as scheduler:
            jobs: list[Job[object]] = []

            async def submit() -> Sized:
                jobs.extend([await scheduler.spawn(body()) for _ in range(n)])
                await until(n, jobs)
                return jobs

            yield submit
            GATE.open()
            for job in jobs:
                await job.wait()
            GATE.close()

    return scenario


async def _at_once(_n: int, _jobs: list[Job[object]]) -> None:
    """Leave them as they were submitted."""


async def _until_started(n: int, _jobs: list[Job[object]]) -> None:
    await GATE.filled(n)


async def _until_finished(_n: int, jobs: list[Job[object]]) -> None:
    for job in jobs:
        await job.wait()


def _cancelling(body: Body, *, started: bool) -> Scenario:
    @asynccontextmanager
    async def scenario(n: int, /) -> AsyncIterator[Step]:
        # The default allows a job 0.1 s to end; 10,000 at once take longer, and it would report each.
        scheduler = Scheduler(limit=None, close_timeout=60)
        jobs = [await scheduler.spawn(body()) for _ in range(n)]
        if started:
            await GATE.filled(n)

        async def cancel() -> Sized:
            await scheduler.close()
            return jobs

        yield cancel
        assert all(job.closed for job in jobs)

    return scenario


CONTENDER = Contender(
    label="aiojobs",
    distribution="aiojobs",
    scenarios={
        Workload.FAN_OUT: plain(partial(_spawn_all, noop, None)),
        Workload.AWAIT_ONE: _one,
        Workload.YIELDING: plain(partial(_spawn_all, yielding, None)),
        Workload.SLEEPING: plain(partial(_spawn_all, napping, CONCURRENCY_LIMIT)),
        Workload.QUEUED: _keeping(noop, _at_once),
        Workload.RUNNING: _keeping(held, _until_started),
        Workload.FINISHED: _keeping(noop, _until_finished),
        Workload.TREE: plain(_tree),
        Workload.CANCEL_QUEUED: _cancelling(noop, started=False),
        Workload.CANCEL_RUNNING: _cancelling(held, started=True),
    },
)
