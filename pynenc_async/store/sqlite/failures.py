"""What SQLite complains about, as a `StoreError` that names the file, what was found and what to do."""

import sqlite3
from typing import Final

from pynenc_async.errors import StoreError
from pynenc_async.printable import printable
from pynenc_async.store.sqlite.beside import Loss
from pynenc_async.user_errors import name_of

_PRIMARY: Final = 0xFF
_FULL: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})
_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


def store_error(path: str, problem: str, *, temporary: bool = False) -> StoreError:
    """Return what to raise about the file at `path`: what is wrong, and what to do."""
    return StoreError(printable(f"SQLite store {path}: {problem}"), temporary=temporary)


def refused_thread(path: str, error: Exception) -> StoreError:
    """Return what to raise where the system refuses a thread that the store cannot do without."""
    problem = (
        f"a thread that it needs could not be started ({str(error) or name_of(error)}); nothing of it is left open"
    )
    return store_error(
        path, f"{problem}. Raise the limit of threads (`ulimit -u`, pids.max), or try again", temporary=True
    )


class Failures:
    """Translates the errors of one file; `busy_timeout` is for how long its locks were waited for."""

    def __init__(self, path: str, busy_timeout: float) -> None:
        self._path: Final = path
        self._busy_timeout: Final = busy_timeout

    def lost(self, loss: Loss, doing: str) -> StoreError:
        """Return what to raise where the files are not those that were opened."""
        return store_error(
            self._path,
            f"{loss.what(self._path)}; {doing} would be lost, and nothing is written any more. {loss.remedy(self._path)}",
        )

    def translate(self, error: sqlite3.Error, doing: str) -> StoreError:
        """Return what to raise for `error`, which came up while `doing` something."""
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & _PRIMARY
        if code in _FULL:
            return store_error(
                self._path,
                f"cannot write ({error}) while {doing}; nothing was changed. "
                "Make room on the disk (or lift the limit on file sizes), and it goes on by itself",
                temporary=True,
            )
        if code in _BUSY:
            return store_error(
                self._path,
                f"another process or connection has held the file locked for more than "
                f"{self._busy_timeout:g} s ({error}) while {doing}; nothing was changed. Find who has a transaction open "
                f"on it (`fuser {self._path}`), or raise busy_timeout",
                temporary=True,
            )
        if code == sqlite3.SQLITE_NOTADB:
            return store_error(
                self._path, f"this is no SQLite database ({error}). Name another file, or put a backup in its place"
            )
        if code == sqlite3.SQLITE_CORRUPT:
            return store_error(
                self._path,
                f"the file is damaged ({error}), found while {doing}. Stop all that use it, keep it, and go on "
                "with a backup; `sqlite3 <file> .recover` may save what is readable",
            )
        if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_AUTH):
            return store_error(
                self._path,
                f"no access ({error}) while {doing}; this process must be able to read and write the file and to "
                "create files next to it",
            )
        return store_error(self._path, f"{type(error).__name__}: {error}, while {doing}; nothing was changed")


def is_full(error: sqlite3.Error) -> bool:
    """Whether there was no room for what was to be written."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & _PRIMARY in _FULL


def is_of_one_change(error: sqlite3.Error) -> bool:
    """Whether the error comes from what was written, not from the file: others of the transaction are not concerned."""
    return isinstance(
        error, (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.DataError, sqlite3.InterfaceError)
    )
