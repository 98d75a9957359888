"""A new store is made under another name, and put in its place when it is whole.

So a file that is empty, or half a store, is never one that was being made: it has been damaged, or is somebody else's.
"""

import os
import secrets
import sqlite3
from contextlib import suppress
from pathlib import Path

from pynenc_async.store.sqlite.connecting import migrate
from pynenc_async.store.sqlite.failures import store_error
from pynenc_async.store.sqlite.schema import MIGRATIONS


def create(path: str) -> None:
    """Make an empty store. Somebody else may do the same meanwhile; then theirs is the one."""
    wal = Path(path + "-wal")
    if wal.exists() and wal.stat().st_size:
        raise store_error(
            path,
            f"the file is missing, but {wal.name} with changes to it is there. Put the file back, or "
            "remove the other to begin with an empty store",
        )
    if not Path(path).absolute().parent.is_dir():
        raise store_error(path, f"there is no directory {Path(path).absolute().parent}; make it first")
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
    with suppress(OSError):  # not every system opens directories
        directory = os.open(Path(path).absolute().parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
