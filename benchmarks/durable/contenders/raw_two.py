"""The same, where registration and start are one change, as they are for us when there is room: INSERT, then UPDATE."""

import time

from benchmarks.durable.cases import Work
from benchmarks.durable.contenders import DurableContender, Job
from benchmarks.durable.contenders.raw_three import END, batches, ended, write
from benchmarks.durable.files import INSERT, STEP, make


def _burst(job: Job) -> float:
    connection = make(job.directory / "raw.db", synchronous="NORMAL")
    started = STEP * 3
    begin = time.perf_counter()
    for ids in batches(job.n):
        write(connection, INSERT, [(number, 7, 3, 1.7e9, 1.7e9, None, started, None) for number in ids])
        write(connection, END, [ended(number) for number in ids])
    return (time.perf_counter() - begin) / job.n * 1e6


CONTENDER = DurableContender(label="sqlite3: INSERT, UPDATE, batches of 500", runs={Work.BURST: _burst})
