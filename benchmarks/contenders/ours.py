"""pynenc_async, the usual way: `await task.parallelize(params)`. Default settings, but where a workload has a limit."""

from collections.abc import AsyncIterator, Sequence, Sized
from contextlib import asynccontextmanager
from functools import partial

from benchmarks import bodies
from benchmarks.cases import CONCURRENCY_LIMIT, KEYS, PROCESSES, TREE_FAN_OUT, TREE_LEVELS, Workload
from benchmarks.contenders import Contender, Step, plain, single
from benchmarks.records import check_fields
from pynenc_async import DistributedInvocation, InvocationStatus, Pynenc

# Wider than any size in cases.py: for the workloads that need all of their bodies running at once.
_WIDE = 10_000_000

app = Pynenc()
process_app = Pynenc(max_processes=PROCESSES)
limited_app = Pynenc(max_concurrency=CONCURRENCY_LIMIT)
wide_app = Pynenc(max_concurrency=_WIDE)

noop = app.task(bodies.noop)
noop_in_thread = app.task(bodies.noop_in_thread)
noop_in_process = process_app.task(runs_in="process")(bodies.noop_in_thread)
yielding = app.task(bodies.yielding)
add = app.task(bodies.add)
napping = limited_app.task(bodies.napping)
held = wide_app.task(bodies.held)
keyed = app.task(bodies.keyed)


@app.task
async def node(level: int) -> int:
    """A parent of ten, each a parent of ten, down to level 0."""
    if not level:
        return 1
    return 1 + sum(await node.parallelize([(level - 1,)] * TREE_FAN_OUT))


@wide_app.task
async def branch(level: int) -> None:
    """The same tree, whose leaves stay until the gate opens."""
    if level:
        await branch.parallelize([(level - 1,)] * TREE_FAN_OUT)
    else:
        await bodies.GATE.enter()


async def _fan_out(n: int) -> Sized:
    return await noop.parallelize([()] * n)


async def _yielding(n: int) -> Sized:
    return await yielding.parallelize([()] * n)


async def _sleeping(n: int) -> Sized:
    return await napping.parallelize([()] * n)


async def _threads(n: int) -> Sized:
    return await noop_in_thread.parallelize([()] * n)


async def _in_processes(n: int) -> Sized:
    return await noop_in_process.parallelize([()] * n)


@asynccontextmanager
async def _processes(n: int, /) -> AsyncIterator[Step]:
    async with process_app:
        await _in_processes(n)  # warm
        yield partial(_in_processes, n)


async def _tree(_n: int) -> Sized:
    return range(await node(TREE_LEVELS))


@asynccontextmanager
async def _queued(n: int, /) -> AsyncIterator[Step]:
    invocations: list[DistributedInvocation[[], None]] = []

    async def submit() -> Sized:
        invocations.extend([noop() for _ in range(n)])
        return invocations

    yield submit
    for invocation in invocations:
        await invocation


@asynccontextmanager
async def _running(n: int, /) -> AsyncIterator[Step]:
    invocations: list[DistributedInvocation[[], None]] = []

    async def start() -> Sized:
        invocations.extend([held() for _ in range(n)])
        await bodies.GATE.filled(n)
        return invocations

    yield start
    bodies.GATE.open()
    for invocation in invocations:
        await invocation
    bodies.GATE.close()


async def _finished(n: int) -> Sized:
    invocations = [noop() for _ in range(n)]
    for invocation in invocations:
        await invocation
    return invocations


async def _added(n: int) -> Sequence[DistributedInvocation[..., int]]:
    invocations = [add(number, 2) for number in range(n)]
    for invocation in invocations:
        await invocation
    return invocations


@asynccontextmanager
async def _encode(n: int, /) -> AsyncIterator[Step]:
    invocations = await _added(n)
    check_fields(invocations[0].to_json())

    async def run() -> Sized:
        return [invocation.to_json() for invocation in invocations]

    yield run


@asynccontextmanager
async def _decode(n: int, /) -> AsyncIterator[Step]:
    written = [invocation.to_json() for invocation in await _added(n)]
    # Another app, which does not know the ids: the one that does would return its living invocations unread.
    reader = Pynenc()
    reader.task(bodies.add)

    async def run() -> Sized:
        return [DistributedInvocation.from_json(reader, text) for text in written]

    yield run


@asynccontextmanager
async def _cancel_queued(n: int, /) -> AsyncIterator[Step]:
    group = noop.parallelize([()] * n)

    async def cancel() -> Sized:
        return await group.cancel()

    yield cancel
    assert all(invocation.status is InvocationStatus.CANCELLED for invocation in group)


@asynccontextmanager
async def _cancel_running(n: int, /) -> AsyncIterator[Step]:
    group = held.parallelize([()] * n)
    await bodies.GATE.filled(n)

    async def cancel() -> Sized:
        return await group.cancel()

    yield cancel
    assert all(invocation.status is InvocationStatus.CANCELLED for invocation in group)


@asynccontextmanager
async def _cancel_tree(_n: int, /) -> AsyncIterator[Step]:
    root = branch(TREE_LEVELS)
    await bodies.GATE.filled(TREE_FAN_OUT**TREE_LEVELS)
    tree = [member for member in wide_app.invocations(task=branch) if not member.status.is_final()]

    async def cancel() -> Sized:
        await root.cancel()
        return tree

    yield cancel
    assert all(member.status is InvocationStatus.CANCELLED for member in tree)


async def _keyed(n: int) -> Sized:
    return await keyed.parallelize([(number % KEYS,) for number in range(n)])


@asynccontextmanager
async def _delayed(n: int, /) -> AsyncIterator[Step]:
    later = noop.with_options(delay=bodies.LONG)
    invocations: list[DistributedInvocation[[], None]] = []

    async def submit() -> Sized:
        invocations.extend([later() for _ in range(n)])
        return invocations

    yield submit
    for invocation in invocations:
        await invocation.cancel()


CONTENDER = Contender(
    label="pynenc_async, parallelize",
    distribution="pynenc-async",
    scenarios={
        Workload.FAN_OUT: plain(_fan_out),
        Workload.AWAIT_ONE: single(noop),
        Workload.YIELDING: plain(_yielding),
        Workload.SLEEPING: plain(_sleeping),
        Workload.THREADS: plain(_threads),
        Workload.PROCESSES: _processes,
        Workload.QUEUED: _queued,
        Workload.RUNNING: _running,
        Workload.FINISHED: plain(_finished),
        Workload.TREE: plain(_tree),
        Workload.ENCODE: _encode,
        Workload.DECODE: _decode,
        Workload.CANCEL_QUEUED: _cancel_queued,
        Workload.CANCEL_RUNNING: _cancel_running,
        Workload.KEYED: plain(_keyed),
        Workload.KEYED_WAITING: plain(_keyed),
        Workload.DELAYED: _delayed,
        Workload.CANCEL_TREE: _cancel_tree,
    },
)
