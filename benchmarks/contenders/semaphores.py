"""asyncio, and by hand what `ours_policed` asks for with options: a loop of attempts, a timeout, a semaphore for each key."""

import asyncio
from asyncio import create_task, gather
from collections import defaultdict
from collections.abc import Sized
from functools import partial

from benchmarks import bodies
from benchmarks.cases import KEYS, KEYS_LIMIT, RETRIES, TIMEOUT, Workload
from benchmarks.contenders import Contender, crowd, plain

Semaphores = defaultdict[int, asyncio.Semaphore]


async def _policed(customer: int, running: Semaphores) -> None:
    for attempt in range(RETRIES + 1):
        try:
            async with running[customer], asyncio.timeout(TIMEOUT):
                await bodies.keyed(customer)
        except Exception:
            if attempt == RETRIES:
                raise
        else:
            return


async def _keyed(limit: int, n: int) -> Sized:
    running = Semaphores(lambda: asyncio.Semaphore(limit))
    return await gather(*[create_task(_policed(number % KEYS, running)) for number in range(n)])


async def _in_order(n: int) -> Sized:
    bodies.ORDER.clear()
    keys, slot = Semaphores(lambda: asyncio.Semaphore(1)), asyncio.Semaphore(1)

    async def limited(customer: int) -> None:
        async with keys[customer], slot:
            await bodies.noted(customer)

    await gather(*[create_task(limited(customer)) for customer in crowd(n)])
    return bodies.ORDER


CONTENDER = Contender(
    label="asyncio, by hand with semaphores",
    scenarios={
        Workload.KEYED: plain(partial(_keyed, KEYS_LIMIT)),
        Workload.KEYED_WAITING: plain(partial(_keyed, 1)),
        Workload.FAIR_SLOTS: plain(_in_order),
        Workload.FAIR_TOTAL: plain(_in_order),
    },
)
