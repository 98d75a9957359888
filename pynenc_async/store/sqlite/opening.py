"""From a path to a connection: what is there is looked at before anything is written, and is never replaced."""

import sqlite3
from pathlib import Path
from typing import Final

from pynenc_async.errors import StoreError
from pynenc_async.store.sqlite.connecting import connect, migrate
from pynenc_async.store.sqlite.creating import create
from pynenc_async.store.sqlite.failures import Failures, store_error
from pynenc_async.store.sqlite.inspecting import (
    check_length,
    check_owner,
    check_pages,
    check_place,
    check_tables,
    check_version,
)
from pynenc_async.store.sqlite.options import Durability, SqliteOptions
from pynenc_async.store.sqlite.schema import MIGRATIONS

_OLDEST_SQLITE: Final = (3, 33)
"""The first with UPDATE ... FROM."""
_LARGEST_WAL: Final = 64 << 20
"""Bytes: a write-ahead log that has grown beyond is cut back when it begins anew."""


def open_file(options: SqliteOptions) -> sqlite3.Connection:
    """Return a connection that may write, to a store that is there, whole, and of this version. Raises `StoreError`."""
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise StoreError(f"SQLite {sqlite3.sqlite_version} is too old: 3.33 or later is needed")
    path, failures = options.path, Failures(options.path, options.busy_timeout)
    try:
        if not Path(path).exists():
            create(path)
        check_place(path)
        check_length(path)
        check_owner(options)
        connection = connect(options)
        try:
            _make_ready(connection, options)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise failures.translate(error, "opening it") from error
    except OSError as error:
        raise store_error(path, f"cannot open it: {error}") from error
    return connection


def _make_ready(connection: sqlite3.Connection, options: SqliteOptions) -> None:
    path = options.path
    check_version(connection, path)
    check_pages(connection, path)
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchall()[0][0]
    if mode != "wal":
        raise store_error(
            path,
            f"the file system has no shared memory for write-ahead logging (journal_mode is {mode}); "
            "put the file on a local disk",
        )
    synchronous = "FULL" if options.durability is Durability.FULL else "NORMAL"
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    connection.execute(f"PRAGMA journal_size_limit = {_LARGEST_WAL}")
    migrate(connection, MIGRATIONS)
    check_tables(connection, path)
