"""Connections, and the way from one version of the tables to the next."""

import os
import sqlite3
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from pynenc_async.store.sqlite.options import SqliteOptions

_FIRST_STRICT: Final = (3, 37)
_CACHED_STATEMENTS: Final = 256
_CACHE_KIB: Final = 16_384


def connect(options: SqliteOptions, *, mode: str = "rw") -> sqlite3.Connection:
    """Return a connection to a file that exists; `mode` is `rw`, or `ro` for reading.

    Whoever has it closes it; one thread at a time may use it.
    """
    connection = connect_plainly(options, mode)
    try:
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA wal_autocheckpoint = 0")  # see `checkpoints`
    except BaseException:
        connection.close()  # a damaged file may fail as early as this
        raise
    return connection


def connect_plainly(options: SqliteOptions, mode: str) -> sqlite3.Connection:
    """Return a connection for which nothing has been read yet."""
    return sqlite3.connect(
        f"file:{quote(os.fsencode(options.path))}?mode={mode}",
        uri=True,
        timeout=options.busy_timeout,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=_CACHED_STATEMENTS,
    )


def migrate(connection: sqlite3.Connection, steps: Sequence[Sequence[str]]) -> None:
    """Bring the tables to the version that the steps lead to: all of it in one transaction, or nothing."""
    if scalar(connection, "PRAGMA user_version") >= len(steps):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Looked at again: another process may have done it while this one waited.
        for statements in steps[scalar(connection, "PRAGMA user_version") :]:
            for statement in statements:
                connection.execute(_spelled(statement))
        connection.execute(f"PRAGMA user_version = {len(steps)}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _spelled(statement: str) -> str:
    """Return the statement as this version of SQLite understands it."""
    if sqlite3.sqlite_version_info >= _FIRST_STRICT:
        return statement
    return statement.replace(" STRICT, WITHOUT ROWID", " WITHOUT ROWID").removesuffix(" STRICT")


def scalar(connection: sqlite3.Connection, question: str) -> int:
    """Return the one number that is the answer."""
    return int(connection.execute(question).fetchall()[0][0])
