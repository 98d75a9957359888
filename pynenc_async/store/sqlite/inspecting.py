"""What is looked at before a file is used. Each check raises a `StoreError` that says what was found and what to do."""

import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Final

from pynenc_async.store.sqlite.connecting import connect_plainly, scalar
from pynenc_async.store.sqlite.drafts import LOGS
from pynenc_async.store.sqlite.failures import store_error
from pynenc_async.store.sqlite.options import SqliteOptions
from pynenc_async.store.sqlite.schema import APPLICATION_ID, TABLES, VERSION

_SMALL: Final = 8 << 20
"""Up to so many bytes, every page is looked at when the file is opened: some 30 ms."""
_WAL_HEADER: Final = 32
_FRAME_HEADER: Final = 24


def check_place(path: str) -> None:
    """Refuse what SQLite would take for an empty database, or not understand."""
    if Path(path).is_dir():
        raise store_error(path, "this is a directory; name a file in it")
    if not Path(path).is_file():
        raise store_error(path, "this is no plain file, but a device, a pipe or the like; name another")
    if Path(path).stat().st_size == 0:
        raise store_error(
            path,
            "the file is empty (0 bytes). No store is ever so: it was cut off, or somebody else made "
            "it. Put a backup in its place, or remove it to begin with an empty store",
        )


def log_of_another(path: str) -> str | None:
    """Return the name of a log beside a file that is not there: SQLite would take it for changes to what is put there."""
    for log in LOGS:
        if size_of(path + log):
            return Path(path + log).name
    return None


def check_owner(options: SqliteOptions) -> None:
    """Refuse what is no store of ours, before anything is written.

    The header is read by SQLite, not by us: to close a file is to lose the locks that this process has on it, by whatever
    connection.
    """
    connection = connect_plainly(options, "ro")
    try:
        found = scalar(connection, "PRAGMA application_id")
    finally:
        connection.close()
    if found != APPLICATION_ID:
        raise store_error(
            options.path,
            f"this database belongs to another program (application_id {found:#x}, not "
            f"{APPLICATION_ID:#x}). Name another file: a store shares its file with nobody",
        )


def check_pages(connection: sqlite3.Connection, path: str) -> None:
    """Refuse a small file in which a page is damaged; of a large one that is seen when the page is needed."""
    if Path(path).stat().st_size > _SMALL:
        return
    problem = connection.execute("PRAGMA quick_check(1)").fetchall()[0][0]
    if problem != "ok":
        raise store_error(
            path,
            f"the file is damaged ({problem}). Stop all that use it, keep it, and go on with a backup; "
            "`sqlite3 <file> .recover` may save what is readable",
        )


def check_tables(connection: sqlite3.Connection, path: str) -> None:
    """Refuse a file in which a table is missing."""
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if missing := TABLES - names:
        raise store_error(
            path, f"the file is damaged: it has no table {', '.join(sorted(missing))}. Go on with a backup"
        )


def check_version(connection: sqlite3.Connection, path: str) -> None:
    """Refuse what a newer version has written."""
    found = scalar(connection, "PRAGMA user_version")
    if not 0 < found <= VERSION:
        raise store_error(
            path,
            f"the file has version {found}, this pynenc_async knows 1 to {VERSION}. "
            "Upgrade pynenc_async in this process, or name another file",
        )


def check_length(path: str) -> None:
    """Refuse a file that has been cut off, where SQLite does not see it: when there is a write-ahead log beside it.

    A file may rightly be shorter than what is stored, as long as all that it lacks is in the log.
    """
    pages, page_size, in_wal = _read_wal(f"{path}-wal")
    # Asked after the log was read: when the log begins anew meanwhile, all of the old one is in the file by then.
    there = size_of(path) // page_size
    if lost := set(range(there + 1, pages + 1)) - in_wal:
        raise store_error(
            path,
            f"the file has been cut off: {len(lost)} of its {pages} pages are missing. Stop all that use "
            "it, keep it, and go on with a backup; `sqlite3 <file> .recover` may save what is readable",
        )


def _read_wal(path: str) -> tuple[int, int, set[int]]:
    """Return how many pages the database has after the last commit in the log, their size, and which are in the log."""
    found: set[int] = set()
    pages, page_size = 0, 1
    with suppress(FileNotFoundError), Path(path).open("rb") as wal:  # nobody locks this file: it may be closed again
        header = wal.read(_WAL_HEADER)
        while len(frame := wal.read(_FRAME_HEADER)) == _FRAME_HEADER and frame[8:16] == header[16:24]:
            page_size = int.from_bytes(header[8:12], "big")
            found.add(int.from_bytes(frame[:4], "big"))
            pages = int.from_bytes(frame[4:8], "big") or pages
            wal.seek(page_size, os.SEEK_CUR)
    return pages, page_size, found


def identity_of(path: str) -> tuple[int, int] | None:
    """Return what tells the file that is at `path` from any other; None where there is none."""
    try:
        found = Path(path).stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino


def size_of(path: str) -> int:
    """Return the size of a file in bytes; 0 where there is none."""
    try:
        return os.stat(path).st_size  # noqa: PTH116  asked after every commit, and a Path takes longer than the answer
    except OSError:
        return 0
