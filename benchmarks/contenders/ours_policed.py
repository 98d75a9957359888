"""pynenc_async with policies: retries, a timeout, a limit for each key. `semaphores` does the same by hand."""

from collections.abc import Sized
from functools import partial

from benchmarks import bodies
from benchmarks.cases import KEYS, KEYS_LIMIT, RETRIES, TIMEOUT, Workload
from benchmarks.contenders import Contender, crowd, plain
from pynenc_async import Pynenc, Task

app = Pynenc()
one_slot = Pynenc(max_concurrency=1)

roomy = app.task(
    max_retries=RETRIES,
    timeout=TIMEOUT,
    running_concurrency="keys",
    key_arguments="customer",
    running_limit=KEYS_LIMIT,
)(bodies.keyed)
crowded = roomy.with_options(running_limit=1)
in_slots = one_slot.task(running_concurrency="keys", key_arguments="customer")(bodies.noted)
in_total = app.task(running_concurrency="keys", key_arguments="customer", running_total=1)(bodies.noted)


async def _keyed(task: Task[[int], None], n: int) -> Sized:
    return await task.parallelize([(number % KEYS,) for number in range(n)])


async def _in_order(task: Task[[int], None], n: int) -> Sized:
    bodies.ORDER.clear()
    await task.parallelize([(customer,) for customer in crowd(n)])
    return bodies.ORDER


CONTENDER = Contender(
    label="pynenc_async with policies",
    distribution="pynenc-async",
    scenarios={
        Workload.KEYED: plain(partial(_keyed, roomy)),
        Workload.KEYED_WAITING: plain(partial(_keyed, crowded)),
        Workload.FAIR_SLOTS: plain(partial(_in_order, in_slots)),
        Workload.FAIR_TOTAL: plain(partial(_in_order, in_total)),
    },
)
