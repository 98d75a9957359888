"""Statements that write many rows at once.

Python lets other threads run around every step of a statement, and a busy event loop then keeps the interpreter for
milliseconds. `executemany` takes a step for each row; these statements take one for up to 256 rows, in which the loop
goes on in parallel, and they are faster besides.
"""

import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, Final

_SIZES: Final = (256, 32, 4, 1)

Row = tuple[Any, ...]

COLUMNS: Final = (
    "id",
    "task",
    "home",
    "status",
    "revision",
    "attempt",
    "retries",
    "max_crashes",
    "priority",
    "registered_at",
    "started_at",
    "ended_at",
    "due_at",
    "deadline_at",
    "taken",
    "backlog",
    "marks",
    "parent",
    "options",
    "history",
    "arguments",
)
"""Of a row for `INSERT`."""

INSERT: Final = f"INSERT INTO invocation ({', '.join(COLUMNS)}) VALUES {{rows}} ON CONFLICT (id) DO NOTHING"

CHANGES: Final = (
    "id",
    "revision",
    "home",
    "before",
    "steps",
    "status",
    "attempt",
    "retries",
    "started_at",
    "ended_at",
    "due_at",
    "taken",
    "backlog",
    "result",
    "error",
    "history",
)
"""Of a row for `UPDATE`."""


def _new(name: str) -> str:
    return f"new.column{CHANGES.index(name) + 1}"


_SET: Final = f"""
    status = {_new("status")}, revision = revision + {_new("steps")}, attempt = {_new("attempt")},
    retries = retries + {_new("retries")},
    started_at = coalesce({_new("started_at")}, started_at), ended_at = {_new("ended_at")}, due_at = {_new("due_at")},
    taken = {_new("taken")}, backlog = {_new("backlog")}, result = coalesce({_new("result")}, result),
    error = coalesce({_new("error")}, error), history = CAST(history || {_new("history")} AS BLOB)"""

_FENCE: Final = f"""
    id = {_new("id")} AND revision = {_new("revision")} AND home = {_new("home")}
    AND ({_new("before")} >> status) & 1 AND marks = 0"""

UPDATE: Final = f"UPDATE invocation SET {_SET} FROM (VALUES {{rows}}) AS new WHERE {_FENCE}"
"""Changes what is as it was thought to be, and has nothing rare about it; the count says whether that was so for all."""

REWRITE: Final = f"UPDATE invocation SET {_SET} FROM (VALUES {{rows}}) AS new WHERE id = {_new('id')}"
"""The same, where all has been looked at in this transaction."""


@lru_cache(maxsize=256)
def _spelled(template: str, width: int, rows: int) -> str:
    row = f"({', '.join('?' * width)})"
    return template.format(rows=", ".join([row] * rows))


def write_rows(connection: sqlite3.Connection, template: str, rows: Sequence[Row]) -> int:
    """Execute the statement for all rows, and return for how many it did something."""
    done, position, left = 0, 0, len(rows)
    if not left:
        return 0
    width = len(rows[0])
    for size in _SIZES:
        while left >= size:
            values = rows[0] if left == len(rows) == 1 else list(chain.from_iterable(rows[position : position + size]))
            done += connection.execute(_spelled(template, width, size), values).rowcount
            position += size
            left -= size
    return done
