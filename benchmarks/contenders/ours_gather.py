"""pynenc_async, with the handles passed to `asyncio.gather`, as code written for tasks does."""

from asyncio import gather
from collections.abc import AsyncIterator, Sized
from contextlib import asynccontextmanager
from functools import partial

from benchmarks.bodies import GATE
from benchmarks.cases import TREE_FAN_OUT, TREE_LEVELS, Workload
from benchmarks.contenders import Contender, Step, plain
from benchmarks.contenders.ours import app, held, noop, yielding
from pynenc_async import DistributedInvocation, InvocationStatus


async def _gather(submit: Step, n: int) -> Sized:
    return await gather(*[submit() for _ in range(n)])


@app.task
async def node(level: int) -> int:
    """A parent of ten, each a parent of ten, down to level 0."""
    if not level:
        return 1
    return 1 + sum(await gather(*[node(level - 1) for _ in range(TREE_FAN_OUT)]))


async def _tree(_n: int) -> Sized:
    return range(await node(TREE_LEVELS))


async def _cancel(invocations: list[DistributedInvocation[[], None]]) -> Sized:
    return await gather(*[invocation.cancel() for invocation in invocations])


@asynccontextmanager
async def _cancel_running(n: int, /) -> AsyncIterator[Step]:
    invocations = [held() for _ in range(n)]
    await GATE.filled(n)
    yield lambda: _cancel(invocations)
    assert all(invocation.status is InvocationStatus.CANCELLED for invocation in invocations)


CONTENDER = Contender(
    label="pynenc_async, gather",
    distribution="pynenc-async",
    scenarios={
        Workload.FAN_OUT: plain(partial(_gather, noop)),
        Workload.YIELDING: plain(partial(_gather, yielding)),
        Workload.TREE: plain(_tree),
        # Not CANCEL_QUEUED: gather runs the cancellations a turn later, when what was queued has run.
        Workload.CANCEL_RUNNING: _cancel_running,
    },
)
