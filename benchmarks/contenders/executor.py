"""The loop's thread pool without `to_thread`'s copy of the context: how cheap a thread hop can be."""

import asyncio
from collections.abc import Sized

from benchmarks.bodies import noop_in_thread
from benchmarks.cases import Workload
from benchmarks.contenders import Contender, plain


async def _threads(n: int) -> Sized:
    run = asyncio.get_running_loop().run_in_executor
    return await asyncio.gather(*[run(None, noop_in_thread) for _ in range(n)])


CONTENDER = Contender(label="run_in_executor + gather", scenarios={Workload.THREADS: plain(_threads)})
