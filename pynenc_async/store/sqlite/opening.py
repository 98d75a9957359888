"""From a path to a connection: what is there is looked at before anything is written, and is never replaced.

A new store is made under another name and put in its place when it is whole. So a file that is empty, or half a store,
is never one that was being made: it has been damaged, or belongs to somebody else, and is refused.
"""

import contextlib
import os
import secrets
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

from pynenc_async.errors import StoreError
from pynenc_async.store.sqlite.failures import Failures
from pynenc_async.store.sqlite.options import Durability, SqliteOptions
from pynenc_async.store.sqlite.schema import APPLICATION_ID, MIGRATIONS, TABLES, VERSION

_OLDEST_SQLITE: Final = (3, 33)
"""The first with UPDATE ... FROM."""
_FIRST_STRICT: Final = (3, 37)
_MAGIC: Final = b"SQLite format 3\0"
_HEADER: Final = 100
_SMALL: Final = 8 << 20
"""Up to so many bytes, every page is looked at when the file is opened: some 30 ms."""
_CACHED_STATEMENTS: Final = 256
_CACHE_KIB: Final = 16_384


def open_file(options: SqliteOptions) -> sqlite3.Connection:
    """Return a connection that may write, to a store that is there, whole, and of this version. Raises `StoreError`."""
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise StoreError(f"SQLite {sqlite3.sqlite_version} is too old: 3.33 or later is needed")
    path, failures = options.path, Failures(options.path, options.busy_timeout)
    try:
        if not Path(path).exists():
            _create(path)
        _check_header(path)
        connection = connect(options)
        try:
            _make_ready(connection, options)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise failures.translate(error, "opening it") from error
    except OSError as error:
        raise StoreError(f"SQLite store {path}: cannot open it: {error}") from error
    return connection


def connect(options: SqliteOptions, *, read_only: bool = False) -> sqlite3.Connection:
    """Return a connection to a file that exists. Whoever has it closes it; one thread at a time may use it."""
    mode = "ro" if read_only else "rw"
    connection = sqlite3.connect(
        f"file:{quote(str(Path(options.path).absolute()))}?mode={mode}",
        uri=True,
        timeout=options.busy_timeout,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=_CACHED_STATEMENTS,
    )
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def _create(path: str) -> None:
    """Make an empty store. Somebody else may do the same meanwhile; then theirs is the one."""
    wal = Path(path + "-wal")
    if wal.exists() and wal.stat().st_size:
        raise StoreError(
            f"SQLite store {path}: the file is missing, but {wal.name} with changes to it is there. Put the file back, or "
            "remove the other to begin with an empty store"
        )
    if not Path(path).absolute().parent.is_dir():
        raise StoreError(f"SQLite store {path}: there is no directory {Path(path).absolute().parent}; make it first")
    draft = f"{path}-new-{secrets.token_hex(4)}"
    try:
        connection = sqlite3.connect(draft, isolation_level=None)
        try:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            migrate(connection, MIGRATIONS)
            connection.execute("PRAGMA journal_mode = WAL")
        finally:
            connection.close()
        _put_in_place(draft, path)
    finally:
        for leftover in (draft, draft + "-wal", draft + "-shm", draft + "-journal"):
            Path(leftover).unlink(missing_ok=True)


def _put_in_place(draft: str, path: str) -> None:
    try:
        os.link(draft, path)
    except FileExistsError:
        return
    except OSError:  # no hard links here; what another process may put there in this moment is lost, but was empty
        if not Path(path).exists():
            Path(draft).rename(path)
    _sync_directory(path)


def _sync_directory(path: str) -> None:
    """Let the name of the new file survive a loss of power."""
    with contextlib.suppress(OSError):  # not every system opens directories
        directory = os.open(Path(path).absolute().parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _check_header(path: str) -> None:
    """Refuse what is no store of ours, before SQLite touches it."""
    if Path(path).is_dir():
        raise StoreError(f"SQLite store {path}: this is a directory; name a file in it")
    with Path(path).open("rb") as file:
        header = file.read(_HEADER)
    if not header:
        raise StoreError(
            f"SQLite store {path}: the file is empty (0 bytes). No store is ever so: it was cut off, or somebody else made "
            "it. Put a backup in its place, or remove it to begin with an empty store"
        )
    if len(header) < _HEADER or not header.startswith(_MAGIC):
        raise StoreError(
            f"SQLite store {path}: this is no SQLite database (it begins with {header[:16]!r}). Name another file, or put a "
            "backup in its place"
        )
    found = int.from_bytes(header[68:72], "big")
    if found != APPLICATION_ID:
        raise StoreError(
            f"SQLite store {path}: this database belongs to another program (application_id {found:#x}, not "
            f"{APPLICATION_ID:#x}). Name another file: a store shares its file with nobody"
        )


def _make_ready(connection: sqlite3.Connection, options: SqliteOptions) -> None:
    path = options.path
    found = _scalar(connection, "PRAGMA user_version")
    if not 0 < found <= VERSION:
        raise StoreError(
            f"SQLite store {path}: the file has version {found}, this pynenc_async knows 1 to {VERSION}. "
            "Upgrade pynenc_async in this process, or name another file"
        )
    _check_pages(connection, path)
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StoreError(
            f"SQLite store {path}: the file system has no shared memory for write-ahead logging (journal_mode is {mode}); "
            "put the file on a local disk"
        )
    synchronous = "FULL" if options.durability is Durability.FULL else "NORMAL"
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    migrate(connection, MIGRATIONS)
    _check_tables(connection, path)


def _check_pages(connection: sqlite3.Connection, path: str) -> None:
    if Path(path).stat().st_size > _SMALL:
        return
    problem = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if problem != "ok":
        raise StoreError(
            f"SQLite store {path}: the file is damaged ({problem}). Stop all that use it, keep it, and go on with a backup; "
            "`sqlite3 <file> .recover` may save what is readable"
        )


def _check_tables(connection: sqlite3.Connection, path: str) -> None:
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if missing := TABLES - names:
        raise StoreError(
            f"SQLite store {path}: the file is damaged: it has no table {', '.join(sorted(missing))}. Go on with a backup"
        )


def migrate(connection: sqlite3.Connection, steps: Sequence[Sequence[str]]) -> None:
    """Bring the tables to the version that the steps lead to: all of it in one transaction, or nothing."""
    if _scalar(connection, "PRAGMA user_version") >= len(steps):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Looked at again: another process may have done it while this one waited.
        for statements in steps[_scalar(connection, "PRAGMA user_version") :]:
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


def _scalar(connection: sqlite3.Connection, question: str) -> int:
    return int(connection.execute(question).fetchone()[0])
