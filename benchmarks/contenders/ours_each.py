"""pynenc_async, call all, then await each handle."""

from collections.abc import AsyncIterator, Sized
from contextlib import asynccontextmanager
from functools import partial

from benchmarks.bodies import GATE
from benchmarks.cases import TREE_FAN_OUT, TREE_LEVELS, Workload
from benchmarks.contenders import Contender, Step, plain
from benchmarks.contenders.ours import app, held, noop, yielding
from pynenc_async import DistributedInvocation, InvocationStatus


async def _each(submit: Step, n: int) -> Sized:
    invocations = [submit() for _ in range(n)]
    return [await invocation for invocation in invocations]


@app.task
async def node(level: int) -> int:
    """A parent of ten, each a parent of ten, down to level 0."""
    if not level:
        return 1
    children = [node(level - 1) for _ in range(TREE_FAN_OUT)]
    return 1 + sum([await child for child in children])


async def _tree(_n: int) -> Sized:
    return range(await node(TREE_LEVELS))


async def _cancel(invocations: list[DistributedInvocation[[], None]]) -> Sized:
    return [await invocation.cancel() for invocation in invocations]


@asynccontextmanager
async def _cancel_queued(n: int, /) -> AsyncIterator[Step]:
    invocations = [noop() for _ in range(n)]
    yield lambda: _cancel(invocations)
    assert all(invocation.status is InvocationStatus.CANCELLED for invocation in invocations)


@asynccontextmanager
async def _cancel_running(n: int, /) -> AsyncIterator[Step]:
    invocations = [held() for _ in range(n)]
    await GATE.filled(n)
    yield lambda: _cancel(invocations)
    assert all(invocation.status is InvocationStatus.CANCELLED for invocation in invocations)


CONTENDER = Contender(
    label="pynenc_async, await each",
    distribution="pynenc-async",
    scenarios={
        Workload.FAN_OUT: plain(partial(_each, noop)),
        Workload.YIELDING: plain(partial(_each, yielding)),
        Workload.TREE: plain(_tree),
        Workload.CANCEL_QUEUED: _cancel_queued,
        Workload.CANCEL_RUNNING: _cancel_running,
    },
)
