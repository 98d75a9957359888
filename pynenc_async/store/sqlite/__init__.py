"""The store of one host: a SQLite file, no server."""

from pynenc_async.store.sqlite.options import Durability, SqliteOptions
from pynenc_async.store.sqlite.store import SqliteStore

__all__ = ["Durability", "SqliteOptions", "SqliteStore", "store_from_url"]


def store_from_url(url: str) -> SqliteStore:
    """Return the store that a URL names. Raises `StoreError`; nothing is opened."""
    return SqliteStore(SqliteOptions.from_url(url))
