"""Files for the runs: with the tables that the store itself makes, and with rows that have ended long ago."""

import sqlite3
import time
from pathlib import Path

from pynenc_async.store.sqlite.creating import create
from pynenc_async.store.sqlite.schema import NUMBER_BITS

_AT_ONCE = 500_000
_FIRST = (1 << NUMBER_BITS) + 1
_SPAN = 5 * 86_400.0
STEP = b"\x01" * 19
"""As long as one step of a history is in its row."""

INSERT = (
    "INSERT INTO invocation (id, task, home, status, revision, attempt, retries, max_crashes, priority, registered_at, "
    "started_at, ended_at, taken, options, history, arguments, result) "
    "VALUES (?, 1, 1, ?, ?, 1, 0, 3, 0, ?, ?, ?, 1, x'', ?, x'7b7d', ?)"
)

_FILL = """
WITH RECURSIVE numbers (number) AS (SELECT ?1 UNION ALL SELECT number + 1 FROM numbers WHERE number + 1 < ?2)
INSERT INTO invocation (id, task, home, status, revision, attempt, retries, max_crashes, priority, registered_at,
started_at, ended_at, taken, options, history, arguments, result)
SELECT ?3 + number, 1, 1, 13, 4, 1, 0, 3, 0, ?4 + number * ?5, ?4 + number * ?5 + 0.001, ?4 + number * ?5 + 0.002, 1,
x'', ?6, x'7b7d', CAST('null' AS BLOB) FROM numbers
"""


def make(path: Path, *, synchronous: str) -> sqlite3.Connection:
    """Make an empty store and return a raw connection to it."""
    create(str(path))
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    return connection


def fill(path: Path, finished: int) -> float:
    """Make a store in which so many invocations of a runner that is gone have ended; return the seconds that it took.

    They ended one after the other in the last five days: what is older than a week would be purged in the midst of a run.
    """
    begin = time.perf_counter()
    connection = make(path, synchronous="OFF")
    # Nobody else has the file yet, and it is made anew if this fails.
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("INSERT INTO runner (key, runner_id, state) VALUES (1, 'gone', 2)")
    connection.execute("INSERT INTO task (key, task_id) VALUES (1, 'benchmarks.bodies.noop')")
    pace, since = _SPAN / finished, time.time() - _SPAN
    for number in range(0, finished, _AT_ONCE):
        connection.execute(_FILL, (number, min(finished, number + _AT_ONCE), _FIRST, since, pace, STEP * 4))
    connection.execute("UPDATE tally SET ended = ? WHERE status = 13", (finished,))
    connection.execute("PRAGMA locking_mode = NORMAL")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    return time.perf_counter() - begin
