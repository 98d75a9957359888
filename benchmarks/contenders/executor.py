"""The executors of the standard library: how cheap a hop to a thread, or to a worker process, can be."""

import asyncio
from collections.abc import AsyncIterator, Sized
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from multiprocessing import get_context

from benchmarks.bodies import noop_in_thread
from benchmarks.cases import PROCESSES, Workload
from benchmarks.contenders import Contender, Step, plain


async def _threads(n: int) -> Sized:
    run = asyncio.get_running_loop().run_in_executor
    return await asyncio.gather(*[run(None, noop_in_thread) for _ in range(n)])


async def _submit(pool: ProcessPoolExecutor, n: int) -> Sized:
    run = asyncio.get_running_loop().run_in_executor
    return await asyncio.gather(*[run(pool, noop_in_thread) for _ in range(n)])


@asynccontextmanager
async def _processes(n: int, /) -> AsyncIterator[Step]:
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        await _submit(pool, n)  # warm
        yield partial(_submit, pool, n)


CONTENDER = Contender(
    label="run_in_executor + gather",
    scenarios={Workload.THREADS: plain(_threads), Workload.PROCESSES: _processes},
)
