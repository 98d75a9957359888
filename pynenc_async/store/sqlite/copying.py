"""A copy of the whole store, as of one moment, while everything goes on."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from pynenc_async.errors import StoreError
from pynenc_async.store.sqlite import stamp
from pynenc_async.store.sqlite.connecting import connect
from pynenc_async.store.sqlite.drafts import put_whole
from pynenc_async.store.sqlite.failures import Failures, is_full, store_error
from pynenc_async.store.sqlite.inspecting import log_of_another
from pynenc_async.store.sqlite.options import SqliteOptions
from pynenc_async.store.sqlite.schema import ALIVE, DEAD

_OF_SOURCE: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_IOERR_READ,
        sqlite3.SQLITE_IOERR_SHORT_READ,
    }
)
"""What goes wrong where it is read; all else goes wrong where it is written."""


_NOBODY_LIVES: Final = f"UPDATE runner SET state = {DEAD} WHERE state = {ALIVE}"
"""A copy knows no living runner, and no file beside it is to be waited for that would tell of one."""


def copy(options: SqliteOptions, failures: Failures, target: str) -> None:
    """Write the copy to `target`, where nothing may be. Raises `StoreError`; then nothing is left of it."""
    parent = Path(target).absolute().parent
    if os.path.lexists(target):
        raise _exists(options.path, target)
    if not parent.is_dir():
        raise store_error(options.path, f"cannot back up to {target}: there is no directory {parent}; make it first")
    if log := log_of_another(target):
        raise store_error(
            options.path,
            f"cannot back up to {target}: {log}, the log of another file, would be taken for changes to it; "
            "remove it, or name another file",
        )
    with closing(connect(options, mode="ro")) as source:
        _put(source, options, failures, target)


def _put(source: sqlite3.Connection, options: SqliteOptions, failures: Failures, target: str) -> None:
    try:
        put_whole(target, lambda draft: _copy(source, draft))
    except FileExistsError:
        raise _exists(options.path, target) from None
    except (OSError, sqlite3.Error) as error:
        code = getattr(error, "sqlite_errorcode", None)
        if isinstance(error, sqlite3.Error) and (code in _OF_SOURCE or (code or 0) & 0xFF in _OF_SOURCE):
            raise failures.translate(error, f"backing up to {target}") from error
        raise store_error(
            options.path,
            f"cannot back up to {target}: {error}. Nothing is left of the copy, and the store itself goes on; make room "
            "there, or name a file where this process may write, and ask again",
            temporary=isinstance(error, sqlite3.Error) and is_full(error),
        ) from error


def _copy(source: sqlite3.Connection, draft: str) -> None:
    with closing(sqlite3.connect(draft, isolation_level=None)) as target:
        target.execute("PRAGMA journal_mode = OFF")  # a copy that fails is dropped
        target.execute("PRAGMA synchronous = OFF")  # it is synced as a whole, at the end
        source.backup(target)  # in one go: a copy in steps would begin anew with every commit
    with closing(sqlite3.connect(draft, isolation_level=None)) as target:
        stamp.begin(target)
        target.execute(_NOBODY_LIVES)


def _exists(path: str, target: str) -> StoreError:
    return store_error(path, f"cannot back up to {target}: it exists; name a new file")
