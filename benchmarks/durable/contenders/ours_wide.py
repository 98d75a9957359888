"""pynenc_async with a window in memory as large as the burst: nothing is read back from the file before it runs."""

from functools import partial

from benchmarks.durable.cases import Work
from benchmarks.durable.contenders import DurableContender
from benchmarks.durable.contenders.ours import burst

CONTENDER = DurableContender(
    label="pynenc_async, store_window=200,000",
    distribution="pynenc-async",
    runs={Work.BURST: partial(burst, window=200_000)},
)
