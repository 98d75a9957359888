"""`sqlite3` alone, the rows and indexes of the store: 500 INSERTs, 500 UPDATEs to running, 500 UPDATEs to success, a
transaction each. Nothing is decided, encoded, run or waited for: the values are there, and the statements are prepared once.
"""

import sqlite3
from collections.abc import Sequence

from benchmarks.durable.cases import Work
from benchmarks.durable.contenders import DurableContender, Job, Stopwatch
from benchmarks.durable.files import INSERT, STEP, make

_BATCH = 500
_NOW = 1.7e9
_START = (
    "UPDATE invocation SET status = 7, revision = 3, attempt = 1, started_at = ?, "
    "history = CAST(history || ? AS BLOB) WHERE id = ? AND revision = ? AND home = 1"
)
END = (
    "UPDATE invocation SET status = 13, revision = 4, ended_at = ?, result = ?, "
    "history = CAST(history || ? AS BLOB) WHERE id = ? AND revision = 3 AND home = 1"
)

Row = tuple[object, ...]


def write(connection: sqlite3.Connection, statement: str, rows: Sequence[Row]) -> None:
    """Write all rows in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(statement, rows)
    connection.execute("COMMIT")


def batches(n: int) -> list[range]:
    return [range(begin + 1, min(n, begin + _BATCH) + 1) for begin in range(0, n, _BATCH)]


def registered(number: int) -> Row:
    return (number, 1, 1, _NOW + number, None, None, STEP, None)


def ended(number: int) -> Row:
    return (_NOW + number, b"null", STEP, number)


def _burst(job: Job) -> float:
    connection = make(job.directory / "raw.db", synchronous="NORMAL")
    watch = Stopwatch()
    for ids in batches(job.n):
        write(connection, INSERT, [registered(number) for number in ids])
        write(connection, _START, [(_NOW + number, STEP + STEP, number, 1) for number in ids])
        write(connection, END, [ended(number) for number in ids])
    return watch.read(job.n)


CONTENDER = DurableContender(label="sqlite3: INSERT, UPDATE, UPDATE, batches of 500", runs={Work.BURST: _burst})
