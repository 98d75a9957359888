"""A new store, where there is none."""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from pynenc_async.store.sqlite.connecting import migrate
from pynenc_async.store.sqlite.drafts import put_whole
from pynenc_async.store.sqlite.failures import store_error
from pynenc_async.store.sqlite.inspecting import log_of_another
from pynenc_async.store.sqlite.schema import MIGRATIONS


def create(path: str) -> None:
    """Make an empty store. Somebody else may do the same meanwhile; then theirs is the one."""
    if log := log_of_another(path):
        raise store_error(
            path,
            f"the file is missing, but {log} with changes to it is there. Put the file back, or "
            "remove the other to begin with an empty store",
        )
    if not Path(path).absolute().parent.is_dir():
        raise store_error(path, f"there is no directory {Path(path).absolute().parent}; make it first")
    with suppress(FileExistsError):
        put_whole(path, _make)


def _make(draft: str) -> None:
    with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        migrate(connection, MIGRATIONS)
        connection.execute("PRAGMA journal_mode = WAL")
