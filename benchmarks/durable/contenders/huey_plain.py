"""huey on SQLite with the settings that it comes with, but for polls of one millisecond: `synchronous=FULL`, one thread.

Two threads and four are no faster: they wait for one another.
"""

from benchmarks.durable.cases import Work
from benchmarks.durable.contenders import DurableContender, Job
from benchmarks.durable.contenders.huey import burst


def _plain(job: Job) -> float:
    return burst(job, fsync=None, worker_type="thread", preserve=False)


CONTENDER = DurableContender(
    label="huey on SQLite, as it comes", distribution="huey", most=1_000, runs={Work.BURST: _plain}
)
