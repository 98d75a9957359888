"""A whole batch as one statement: what is inserted into a view is done.

Python lets other threads run around every step of a statement, and a busy event loop then keeps the interpreter for
milliseconds. So a batch is to take one step, in which the loop goes on in parallel: it is one INSERT into `batch`, a view
that nobody reads. Each of its rows is a command, of one of a few kinds, and a trigger for each kind carries it out, one
row after the other. Outside of a transaction, that one step commits, too.

A command that finds something else than it expects undoes the whole statement; that is a `sqlite3.IntegrityError`.

View and triggers are TEMP: they belong to the connection that writes, and are no part of the file.
"""

import sqlite3
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, Final

from pynenc_async.store.sqlite.schema import ALIVE

Row = tuple[Any, ...]
"""A command, with the columns of `COLUMNS`. See `NOTHING`."""

NOTHING: Final = -(1 << 62)
"""NULL, in a row; no moment and no key is that low. None would take ten times as long to be bound, for Python tries to adapt
it first. For the same reason bytes are a `bytearray`, and truths are integers."""

RUNNER: Final = 1
"""See that the runner is alive."""
NEW: Final = 2
"""Insert an invocation, which must not be there."""
STEP: Final = 3
"""Go on with one that is as expected (see `_FENCE`), in memory, and neither ends nor waits."""
END: Final = 4
"""End one that is as expected, in memory."""
CHANGE: Final = 5
"""Go on in any way with one that is as expected."""
REWRITE: Final = 6
"""The same, where all has been looked at in this transaction."""
TALLY: Final = 7
"""Add to the tally of what has ended."""

COLUMNS: Final = (
    # In NEW:              in STEP, END, CHANGE, REWRITE:             in others:
    "kind",
    "id",  #               its key                                    -
    "home",  #             the runner it belongs to: the one that writes; RUNNER: its key
    "status",  #           after its last step                        TALLY: which
    "count",  #            of its steps                               TALLY: how many more
    "attempt",  #          of its last step
    "history",  #          its steps
    "started_at",  #       if it has started: when
    "ended_at",  #         if it has ended: when
    "due_at",
    "taken",
    "backlog",
    "retries",  #          how many of the steps are one
    "value",  #            the arguments; the result
    "detail",  #           the options; the error
    "revision",  #         -; the expected one
    "before",  #           -; a bit for each status that is expected
    "since",  #            if it has `due_at` or a deadline: what time it was when they were decided
    "marks",  #            from here on, only in NEW
    "task",
    "parent",
    "priority",
    "max_crashes",
    "registered_at",
    "deadline_at",
)
_HOME: Final = COLUMNS.index("home")
VALUE: Final = COLUMNS.index("value")
DETAIL: Final = COLUMNS.index("detail")

_UNREAD: Final = (0,) * len(COLUMNS)
_SIZES: Final[tuple[int, ...]] = (
    *(2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 160, 192, 224, 256, 320, 384, 448),
    *range(520, 1025, 56),
)
"""There is a statement for each of these numbers of rows; what is missing to the next is filled up with rows of no kind."""

_FENCE: Final = "revision = NEW.revision AND home = NEW.home AND (NEW.before >> status) & 1 AND marks = 0"
"""Nobody else has written meanwhile, the path is one of the status table, and there is nothing rare about it."""
_SOMETHING_DONE: Final = "SELECT RAISE(ABORT, 'not as expected') WHERE changes() = 0"


def _nullable(column: str) -> str:
    return f"nullif(NEW.{column}, {NOTHING})"


_ANY_STEP: Final = {
    "status": "NEW.status",
    "revision": "revision + NEW.count",
    "attempt": "NEW.attempt",
    "history": "CAST(history || NEW.history AS BLOB)",
    "started_at": f"coalesce({_nullable('started_at')}, started_at)",
    "due_at": "NULL",
}
_ANY_END: Final = _ANY_STEP | {
    "ended_at": _nullable("ended_at"),
    "result": f"coalesce({_nullable('value')}, result)",
    "error": f"coalesce({_nullable('detail')}, error)",
}
_ANY_CHANGE: Final = _ANY_END | {
    "due_at": _nullable("due_at"),
    "taken": "NEW.taken",
    "backlog": _nullable("backlog"),
    "retries": "retries + NEW.retries",
    "since": f"coalesce({_nullable('since')}, since)",
}
_INSERT: Final = {
    "id": "NEW.id",
    "home": "NEW.home",
    "status": "NEW.status",
    "revision": "NEW.count",
    "attempt": "NEW.attempt",
    "history": "NEW.history",
    "started_at": _nullable("started_at"),
    "ended_at": _nullable("ended_at"),
    "due_at": _nullable("due_at"),
    "taken": "NEW.taken",
    "backlog": _nullable("backlog"),
    "retries": "NEW.retries",
    "arguments": "NEW.value",
    "options": f"coalesce({_nullable('detail')}, x'')",
    "since": _nullable("since"),
    "marks": "NEW.marks",
    "task": "NEW.task",
    "parent": _nullable("parent"),
    "priority": "NEW.priority",
    "max_crashes": "NEW.max_crashes",
    "registered_at": "NEW.registered_at",
    "deadline_at": _nullable("deadline_at"),
}


def _insert(values: Mapping[str, str]) -> str:
    return f"INSERT INTO invocation ({', '.join(values)}) VALUES ({', '.join(values.values())})"


def _update(values: Mapping[str, str], fence: str = "") -> str:
    assigned = ", ".join(f"{column} = {value}" for column, value in values.items())
    return f"UPDATE invocation SET {assigned} WHERE id = NEW.id{fence}; {_SOMETHING_DONE}"


# The usual ways have a kind each, for an index is written as soon as a column of it is named, whether it changes or not.
_TRIGGERS: Final = {
    RUNNER: f"SELECT RAISE(ABORT, 'dead') WHERE (SELECT state FROM runner WHERE key = NEW.home) IS NOT {ALIVE}",
    NEW: _insert(_INSERT),
    STEP: _update(_ANY_STEP, f" AND {_FENCE} AND taken = 1"),
    END: _update(_ANY_END, f" AND {_FENCE} AND taken = 1"),
    CHANGE: _update(_ANY_CHANGE, f" AND {_FENCE}"),
    REWRITE: _update(_ANY_CHANGE),
    TALLY: "UPDATE tally SET ended = ended + NEW.count WHERE status = NEW.status",
}


_IS_ALIVE: Final = f"(SELECT state FROM runner WHERE key = ?) IS {ALIVE}"
_ALONE: Final = f"INSERT INTO batch VALUES (CASE WHEN {_IS_ALIVE} THEN ? ELSE {RUNNER} END{', ?' * (len(COLUMNS) - 1)})"
"""For a runner that is not alive, the command becomes the one that says so. A single row goes through no table in between."""


def enable_batches(connection: sqlite3.Connection) -> None:
    """Make view and triggers for a connection that is to write."""
    connection.execute(f"CREATE TEMP VIEW batch AS SELECT {', '.join(f'NULL AS {column}' for column in COLUMNS)}")
    for kind, done in _TRIGGERS.items():
        connection.execute(
            f"CREATE TEMP TRIGGER batch_{kind} INSTEAD OF INSERT ON batch WHEN NEW.kind = {kind} BEGIN {done}; END"
        )


def check_runner(home: int) -> Row:
    """Return the command to see that the runner is alive."""
    return (RUNNER, 0, home, *_UNREAD[3:])


def count_ended(ended: Mapping[int, int]) -> list[Row]:
    """Return the commands to add to the tally: how many have ended in each status."""
    return [(TALLY, 0, 0, code, count, *_UNREAD[5:]) for code, count in ended.items() if count]


def is_one_statement(rows: Sequence[Row]) -> bool:
    """Whether `write_rows` takes one step, and needs no transaction around it."""
    return len(rows) <= _SIZES[-1]


def write_rows(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Carry out the commands in order. Raises `sqlite3.IntegrityError` where something is not as expected."""
    most = _SIZES[-1]
    for position in range(0, len(rows), most):
        some = rows[position : position + most]
        size = _SIZES[bisect_left(_SIZES, len(some))]
        values = list(chain.from_iterable(some))
        values.extend([0] * (len(COLUMNS) * (size - len(some))))
        connection.execute(_spelled(size), values)


def write_alone(connection: sqlite3.Connection, row: Row) -> None:
    """See that the runner is alive, and carry out one command: what is awaited one by one shall be quick."""
    connection.execute(_ALONE, (row[_HOME], *row))


@lru_cache(maxsize=len(_SIZES))
def _spelled(size: int) -> str:
    row = f"({', '.join('?' * len(COLUMNS))})"
    return f"INSERT INTO batch VALUES {', '.join([row] * size)}"
