"""From a path to a connection: what is there is looked at before anything is written, and is never replaced."""

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pynenc_async.errors import StoreError
from pynenc_async.store.sqlite.connecting import connect, migrate
from pynenc_async.store.sqlite.creating import create
from pynenc_async.store.sqlite.failures import Failures, store_error
from pynenc_async.store.sqlite.hold import Hold
from pynenc_async.store.sqlite.inspecting import (
    check_file,
    check_neighbours,
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


def hold_file(options: SqliteOptions) -> Hold:
    """Hold the file, which is made if there is none. Raises `StoreError`."""
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise StoreError(f"SQLite {sqlite3.sqlite_version} is too old: 3.33 or later is needed")
    with _translated(options):
        if not Path(options.path).exists():
            create(options.path)
        check_place(options.path)
        return Hold.take(options.path)


def open_file(options: SqliteOptions, hold: Hold) -> sqlite3.Connection:
    """Return a connection that may write, to a store that is there, whole, and of this version. Raises `StoreError`."""
    with _translated(options):
        check_neighbours(options.path, hold)
        check_file(options, hold)
        connection = connect(options)
        try:
            _make_ready(connection, options)
        except BaseException:
            connection.close()
            raise
    return connection


@contextmanager
def _translated(options: SqliteOptions) -> Generator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise Failures(options.path, options.busy_timeout).translate(error, "opening it") from error
    except OSError as error:
        raise store_error(options.path, f"cannot open it: {error}") from error


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
