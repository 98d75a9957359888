"""huey on SQLite, tuned.

* `fsync=False` (`synchronous=OFF`; huey offers nothing between that and FULL). What is committed survives a crash of the
  process, as with our `normal`. With FULL, which it comes with, an item takes 4.5 times as long.
* One worker in a process of its own, for threads share the interpreter with the submitter: twice as long with one
  thread. A second process makes no difference.
* Results are read without removing them, which saves a write, and stay in the file as ours do.
* Polls of one millisecond. 1,000 items and 5,000 cost the same each.
"""

import logging

from huey import SqliteHuey  # type: ignore[import-untyped]  # it ships no types

from benchmarks.bodies import noop_in_thread
from benchmarks.durable.cases import Work
from benchmarks.durable.contenders import DurableContender, Job, Stopwatch

_POLL = 0.001


def burst(job: Job, *, fsync: bool | None, worker_type: str, preserve: bool) -> float:
    logging.getLogger("huey").setLevel(logging.CRITICAL)
    huey = SqliteHuey(filename=str(job.directory / "huey.db"), results=True, store_none=True, fsync=fsync)
    task = huey.task()(noop_in_thread)
    consumer = huey.create_consumer(
        workers=1,
        worker_type=worker_type,
        periodic=False,
        initial_delay=_POLL,
        backoff=1.0,
        max_delay=_POLL,
        check_worker_health=False,
    )
    consumer.start()
    try:
        task().get(blocking=True, backoff=1.0, max_delay=_POLL)
        watch = Stopwatch()
        for result in [task() for _ in range(job.n)]:
            result.get(blocking=True, backoff=1.0, max_delay=_POLL, preserve=preserve)
        return watch.read_wall(job.n) if worker_type == "process" else watch.read(job.n)
    finally:
        # A worker that is a process would outlive this one.
        consumer.stop()


def _tuned(job: Job) -> float:
    return burst(job, fsync=False, worker_type="process", preserve=True)


CONTENDER = DurableContender(
    label="huey on SQLite, tuned (fsync=False)", distribution="huey", most=5_000, runs={Work.BURST: _tuned}
)
