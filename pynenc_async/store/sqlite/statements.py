"""Statements that write many rows at once.

Python lets other threads run around every step of a statement, and a busy event loop then keeps the interpreter for
milliseconds. `executemany` takes a step for each row; these statements take one for up to 512 rows, in which the loop
goes on in parallel, and they are faster besides. There is a statement for each of a few numbers of rows; what is missing
to the next of them is filled up with rows of NULL, which fit nothing.
"""

import sqlite3
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, Final

from pynenc_async.store.sqlite.schema import ALIVE

_SIZES: Final = (1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)

Row = tuple[Any, ...]

Columns = tuple[str, ...]

NEW: Final[Columns] = (
    "id", "task", "status", "revision", "attempt", "max_crashes", "priority", "registered_at", "started_at", "due_at",
    "deadline_at", "taken", "backlog", "parent", "options", "history", "arguments",
)  # fmt: skip
RARE: Final[Columns] = ("ended_at", "retries", "marks")
STEP: Final[Columns] = ("id", "revision", "before", "steps", "status", "attempt", "started_at", "history")
END: Final[Columns] = (*STEP, "ended_at", "result", "error")
CHANGE: Final[Columns] = (*END, "retries", "due_at", "taken", "backlog")


def _insert(columns: Columns, constants: str, condition: str) -> str:
    names = ", ".join((*columns, "home", *constants.split()[::2]))
    values = ", ".join(("*", "{home}", *constants.split()[1::2]))
    return (
        f"INSERT INTO invocation ({names}) SELECT {values} FROM (VALUES {{rows}}) WHERE {condition} "
        "ON CONFLICT (id) DO NOTHING"
    )


def _update(columns: Columns, fence: str) -> str:
    new = {name: f"new.column{position}" for position, name in enumerate(columns, 1)}
    sets = {name: value for name, value in new.items() if name not in ("id", "before", "steps")}
    sets |= {
        "revision": f"revision + {new['steps']}",
        "started_at": f"coalesce({new['started_at']}, started_at)",
        "history": f"CAST(history || {new['history']} AS BLOB)",
        "due_at": new.get("due_at", "NULL"),
    }
    sets |= {name: f"coalesce({new[name]}, {name})" for name in ("result", "error") if name in new}
    if "retries" in new:
        sets["retries"] = f"retries + {new['retries']}"
    assigned = ", ".join(f"{name} = {value}" for name, value in sets.items())
    condition = f"id = {new['id']}" + fence.format(**new, home="{home}")
    return f"UPDATE invocation SET {assigned} FROM (VALUES {{rows}}) AS new WHERE {condition}"


_ALIVE: Final = f"(SELECT state FROM runner WHERE key = {{home}}) = {ALIVE}"
_FENCE: Final = (
    f" AND {_ALIVE} AND revision = {{revision}} AND home = {{home}} AND ({{before}} >> status) & 1 AND marks = 0"
)
"""What is as it was thought to be, and has nothing rare about it: the count says whether that was so for all."""
_IN_MEMORY: Final = _FENCE + " AND taken = 1"

INSERT: Final = _insert(NEW, "retries 0", f"column1 > 0 AND {_ALIVE}")
INSERT_RARE: Final = _insert((*NEW, *RARE), "", "column1 > 0")

# The usual ways are spelled out, for an index is written as soon as a column of it is named, whether it changes or not.
TAKE_STEP: Final = _update(STEP, _IN_MEMORY)
MAKE_END: Final = _update(END, _IN_MEMORY)
MAKE_CHANGE: Final = _update(CHANGE, _FENCE)
REWRITE: Final = _update(CHANGE, "")
"""The same, where all has been looked at in this transaction."""


@lru_cache(maxsize=256)
def _spelled(template: str, home: int, width: int, rows: int) -> str:
    row = f"({', '.join('?' * width)})"
    return template.format(home=home, rows=", ".join([row] * rows))


def write_rows(connection: sqlite3.Connection, template: str, rows: Sequence[Row], *, home: int) -> int:
    """Execute the statement for all rows, and return for how many it did something."""
    done, most = 0, _SIZES[-1]
    for position in range(0, len(rows), most):
        some = rows[position : position + most]
        size, width = _SIZES[bisect_left(_SIZES, len(some))], len(some[0])
        values: list[Any] = list(chain.from_iterable(some))
        values.extend([None] * (width * (size - len(some))))
        done += connection.execute(_spelled(template, home, width, size), values).rowcount
    return done
