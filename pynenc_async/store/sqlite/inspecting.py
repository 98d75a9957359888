"""What is looked at before a file is used. Each check raises a `StoreError` that says what was found and what to do."""

import os
import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from pynenc_async.store.sqlite import lease, stamp
from pynenc_async.store.sqlite.beside import Loss, judge, see
from pynenc_async.store.sqlite.connecting import connect_plainly, scalar
from pynenc_async.store.sqlite.drafts import LOGS
from pynenc_async.store.sqlite.failures import store_error
from pynenc_async.store.sqlite.hold import Hold
from pynenc_async.store.sqlite.options import SqliteOptions
from pynenc_async.store.sqlite.schema import APPLICATION_ID, TABLES, VERSION

_SMALL: Final = 8 << 20
"""Up to so many bytes, every page is looked at when the file is opened: some 30 ms."""
_WAL_HEADER: Final = 32
_FRAME_HEADER: Final = 24
_END_FIRST: Final = "End it first, and not by force: it may have something to bring into the file"
_LOOKS: Final = 10
_PAUSE: Final = 0.05
"""Seconds between them. Who opens a store, or closes it, needs some milliseconds for that."""


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


def check_neighbours(path: str, hold: Hold) -> None:
    """Refuse a store of which others have files open that are not there any more, before one of them is made anew.

    Whoever is just about to open it, or to close it, is waited for.
    """
    looks = 0
    while (problem := _problem_beside(path, hold)) is not None:
        looks += 1
        if looks == _LOOKS:
            raise store_error(path, problem)
        time.sleep(_PAUSE)


def _problem_beside(path: str, hold: Hold) -> str | None:
    living = list(lease.living(path))  # asked for first: who ends its lease may remove the log
    found = see(path)
    for process, has in living:
        loss = judge(has, lease.marks_of(found))
        if loss is not None:
            return f"{loss.what(path)}: process {process} has it so. {_END_FIRST}"
    if None in found and hold.has_reader() and hold.read_header().has_wal:
        missing = Loss.LOG if found.wal is None else Loss.INDEX
        return f"{missing.what(path)}: another process has it so (`fuser {path}` says which). {_END_FIRST}"
    return None


def check_file(options: SqliteOptions, hold: Hold) -> None:
    """Refuse what is no store of ours, or not all of it, or meets the log of another, before anything is written."""
    path = options.path
    connection = connect_plainly(options, "ro")
    try:
        connection.execute("BEGIN")  # all is read as of one moment
        if size_of(f"{path}-wal") and stamp.is_of_another_file(connection, path):
            raise store_error(
                path,
                f"{_log_of(path)} is the log of another file: the file was exchanged, as for a backup, and the log left. To go "
                f"on with the file that is there, move {_log_of(path)} away; to go on with the other, put it back",
            )
        _check_length(path, hold)
        _check_owner(connection, path)
    finally:
        connection.close()


def _log_of(path: str) -> str:
    return f"{Path(path).name}-wal"


def _check_owner(connection: sqlite3.Connection, path: str) -> None:
    found = scalar(connection, "PRAGMA application_id")
    if found != APPLICATION_ID:
        raise store_error(
            path,
            f"this database belongs to another program (application_id {found:#x}, not "
            f"{APPLICATION_ID:#x}). Name another file: a store shares its file with nobody",
        )


def _check_length(path: str, hold: Hold) -> None:
    """Refuse a file that has been cut off, where SQLite does not see it.

    That is in the middle of the last page, of which it takes the rest for zeros; and anywhere, when there is a write-ahead
    log. A file may rightly be shorter than what is stored, as long as all that it lacks is in the log.
    """
    lost, pages = _lost_pages(path, hold)
    for _ in range(_LOOKS):
        if not lost:
            return
        time.sleep(_PAUSE)  # others may have brought in their log between the questions, and cut it back
        lost, pages = _lost_pages(path, hold)
    other = f" Or it was exchanged, as for a backup, and the log left: then move {_log_of(path)} away."
    raise store_error(
        path,
        f"the file has been cut off: {lost} of its {pages} pages are missing. Stop all that use "
        "it, keep it, and go on with a backup; `sqlite3 <file> .recover` may save what is readable."
        f"{other if size_of(path + '-wal') else ''}",
    )


def _lost_pages(path: str, hold: Hold) -> tuple[int, int]:
    """Return how many pages are neither in the file nor in the log, and how many there should be."""
    header = hold.read_header()
    pages_after_log, in_log = _read_log(f"{path}-wal")
    pages = pages_after_log or header.pages
    whole = size_of(path) // header.page_size if header.page_size else pages
    return max(0, pages - whole) - sum(whole < page <= pages for page in in_log), pages


def _read_log(path: str) -> tuple[int, set[int]]:
    """Return how many pages there are after the last commit in the log, and which are in it."""
    found: set[int] = set()
    pages = 0
    with suppress(FileNotFoundError), Path(path).open("rb") as wal:  # nobody locks this file: it may be closed again
        header = wal.read(_WAL_HEADER)
        page_size = int.from_bytes(header[8:12], "big")
        while len(frame := wal.read(_FRAME_HEADER)) == _FRAME_HEADER and frame[8:16] == header[16:24]:
            found.add(int.from_bytes(frame[:4], "big"))
            pages = int.from_bytes(frame[4:8], "big") or pages
            wal.seek(page_size, os.SEEK_CUR)
    return pages, found


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


def size_of(path: str) -> int:
    """Return the size of a file in bytes; 0 where there is none."""
    try:
        return os.stat(path).st_size  # noqa: PTH116  asked after every commit, and a Path takes longer than the answer
    except OSError:
        return 0
