"""Large values, out of the row: each kept once, by the hash of its content, and counted."""

import sqlite3
from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

LARGE: Final = 4096
"""Bytes from which on a value is kept out of its row: what is not looked at then costs no page."""

Cell = bytes | int | None
"""In a row: the value itself, or the key of a large one."""


def put(connection: sqlite3.Connection, value: bytes | bytearray) -> int:
    """Keep the value, or count one use more of it; return its key."""
    digest = blake2b(value, digest_size=32).digest()
    connection.execute(
        "INSERT INTO value (hash, uses, data) VALUES (?, 1, ?) ON CONFLICT (hash) DO UPDATE SET uses = uses + 1",
        (digest, value),
    )
    ((key,),) = connection.execute("SELECT key FROM value WHERE hash = ?", (digest,)).fetchall()
    return int(key)


def get(connection: sqlite3.Connection, cell: Cell) -> bytes | None:
    """Return what a cell stands for."""
    if not isinstance(cell, int):
        return cell
    ((data,),) = connection.execute("SELECT data FROM value WHERE key = ?", (cell,)).fetchall()
    return bytes(data)


def release(connection: sqlite3.Connection, cells: Iterable[Cell]) -> None:
    """Count one use less of each large value, and drop what nothing uses any more."""
    keys = [(cell,) for cell in cells if isinstance(cell, int)]
    if keys:
        connection.executemany("UPDATE value SET uses = uses - 1 WHERE key = ?", keys)
        connection.executemany("DELETE FROM value WHERE key = ? AND uses <= 0", keys)
