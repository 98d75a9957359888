"""huey on SQLite, tuned: results kept, four worker threads of this process, polls of one millisecond."""

import logging

from huey import SqliteHuey  # type: ignore[import-untyped]  # it ships no types

from benchmarks.bodies import noop_in_thread
from benchmarks.durable.cases import Work
from benchmarks.durable.contenders import DurableContender, Job, Stopwatch

_POLL = 0.001


def _burst(job: Job) -> float:
    logging.getLogger("huey").setLevel(logging.CRITICAL)
    huey = SqliteHuey(filename=str(job.directory / "huey.db"), results=True, store_none=True)
    task = huey.task()(noop_in_thread)
    consumer = huey.create_consumer(
        workers=4, periodic=False, initial_delay=_POLL, backoff=1.0, max_delay=_POLL, check_worker_health=False
    )
    consumer.start()
    task().get(blocking=True, backoff=1.0, max_delay=_POLL)
    watch = Stopwatch()
    for result in [task() for _ in range(job.n)]:
        result.get(blocking=True, backoff=1.0, max_delay=_POLL)
    return watch.read(job.n)


CONTENDER = DurableContender(label="huey on SQLite", distribution="huey", most=1_000, runs={Work.BURST: _burst})
