"""`sqlite3` alone, one commit for each invocation: its whole row, as it is when all is over, in one INSERT.

That is less than a program without group commit could do with: it would have to write the registration down before the
body runs. In D3 this commit is the unit.
"""

import sqlite3
import statistics
import time

from benchmarks.durable.cases import Work
from benchmarks.durable.contenders import DurableContender, Job, Stopwatch
from benchmarks.durable.files import INSERT, STEP, make


def _commit(connection: sqlite3.Connection, number: int) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(INSERT, (number, 13, 4, 1.7e9, 1.7e9, 1.7e9, STEP * 4, b"null"))
    connection.execute("COMMIT")


def _full(job: Job) -> float:
    connection = make(job.directory / "raw.db", synchronous="FULL")
    watch = Stopwatch()
    for number in range(1, job.n + 1):
        _commit(connection, number)
    return watch.read(job.n)


def _one(job: Job) -> float:
    connection = make(job.directory / "raw.db", synchronous="NORMAL")
    samples: list[float] = []
    for number in range(1, job.n + 1):
        begin = time.perf_counter()
        _commit(connection, number)
        samples.append(time.perf_counter() - begin)
    return statistics.median(samples) * 1e6


CONTENDER = DurableContender(
    label="sqlite3: a commit for each invocation", runs={Work.CONCURRENT_FULL: _full, Work.AWAIT_ONE: _one}
)
