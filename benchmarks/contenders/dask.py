"""dask.distributed in this process: scheduler, worker and client on one loop, over its in-process transport."""

from collections.abc import AsyncIterator, Callable, Sized
from contextlib import asynccontextmanager
from typing import Any

from distributed import Client, LocalCluster, get_client

from benchmarks.bodies import noop, noop_in_thread, yielding
from benchmarks.cases import TREE_FAN_OUT, TREE_LEVELS, TREE_SIZE, Workload
from benchmarks.contenders import Contender, Scenario, Step


@asynccontextmanager
async def _connected(threads: int = 1) -> AsyncIterator[Any]:
    cluster = LocalCluster(  # type: ignore[no-untyped-call]  # distributed annotates few of its functions
        n_workers=1,
        threads_per_worker=threads,
        processes=False,
        protocol="inproc",
        dashboard_address=None,
        asynchronous=True,
    )
    async with cluster:
        client = Client(cluster, asynchronous=True)  # type: ignore[no-untyped-call]
        async with client:
            yield client


def _submitting(body: Callable[[], Any], *, threads: int = 1) -> Scenario:
    @asynccontextmanager
    async def scenario(n: int, /) -> AsyncIterator[Step]:
        async with _connected(threads) as client:

            async def run() -> Sized:
                # `pure=False`: it would otherwise run the body once and share the result.
                futures = [client.submit(body, pure=False) for _ in range(n)]
                results: list[None] = await client.gather(futures)
                return results

            yield run

    return scenario


@asynccontextmanager
async def _one(_n: int, /) -> AsyncIterator[Step]:
    async with _connected() as client:
        yield lambda: client.submit(noop, pure=False)


async def _node(level: int) -> int:
    if not level:
        return 1
    client: Any = get_client()
    children = [client.submit(_node, level - 1, pure=False) for _ in range(TREE_FAN_OUT)]
    counts: list[int] = await client.gather(children)
    return 1 + sum(counts)


@asynccontextmanager
async def _tree(_n: int, /) -> AsyncIterator[Step]:
    # A parent keeps its thread's slot while it waits, so there are as many as bodies.
    async with _connected(threads=TREE_SIZE) as client:

        async def run() -> Sized:
            return range(await client.submit(_node, TREE_LEVELS, pure=False))

        yield run


CONTENDER = Contender(
    label="dask.distributed",
    distribution="distributed",
    most=300,
    scenarios={
        Workload.FAN_OUT: _submitting(noop),
        Workload.AWAIT_ONE: _one,
        Workload.YIELDING: _submitting(yielding),
        Workload.THREADS: _submitting(noop_in_thread, threads=4),
        Workload.TREE: _tree,
    },
)
