"""Files for the runs: with the tables that the store itself makes, and with rows that have ended long ago."""

import sqlite3
from pathlib import Path

from pynenc_async.store.sqlite.creating import create
from pynenc_async.store.sqlite.schema import NUMBER_BITS

_AT_ONCE = 50_000
STEP = b"\x01" * 19
"""As long as one step of a history is in its row."""

INSERT = (
    "INSERT INTO invocation (id, task, home, status, revision, attempt, retries, max_crashes, priority, registered_at, "
    "started_at, ended_at, taken, options, history, arguments, result) "
    "VALUES (?, 1, 1, ?, ?, 1, 0, 3, 0, ?, ?, ?, 1, x'', ?, x'7b7d', ?)"
)


def make(path: Path, *, synchronous: str) -> sqlite3.Connection:
    """Make an empty store and return a raw connection to it."""
    create(str(path))
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    return connection


def fill(path: Path, finished: int) -> None:
    """Make a store in which so many invocations of a runner that is gone have ended."""
    connection = make(path, synchronous="OFF")
    connection.execute("INSERT INTO runner (key, runner_id, state) VALUES (1, 'gone', 2)")
    connection.execute("INSERT INTO task (key, task_id) VALUES (1, 'benchmarks.bodies.noop')")
    first, history = (1 << NUMBER_BITS) + 1, STEP * 4
    for begin in range(0, finished, _AT_ONCE):
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            INSERT,
            (
                (first + number, 13, 4, 1.7e9 + number, 1.7e9 + number, 1.7e9 + number, history, b"null")
                for number in range(begin, min(finished, begin + _AT_ONCE))
            ),
        )
        connection.execute("COMMIT")
    connection.execute("UPDATE tally SET ended = ? WHERE status = 13", (finished,))
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
