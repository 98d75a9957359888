"""The same, where registration and start are one change, as they are for us when there is room: INSERT, then UPDATE."""

from benchmarks.durable.cases import Work
from benchmarks.durable.contenders import DurableContender, Job, Stopwatch
from benchmarks.durable.contenders.raw_three import END, batches, ended, write
from benchmarks.durable.files import INSERT, STEP, make


def _burst(job: Job) -> float:
    connection = make(job.directory / "raw.db", synchronous="NORMAL")
    started = STEP * 3
    watch = Stopwatch()
    for ids in batches(job.n):
        write(connection, INSERT, [(number, 7, 3, 1.7e9, 1.7e9, None, started, None) for number in ids])
        write(connection, END, [ended(number) for number in ids])
    return watch.read(job.n)


CONTENDER = DurableContender(label="sqlite3: INSERT, UPDATE, batches of 500", runs={Work.BURST: _burst})
