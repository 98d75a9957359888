"""Changes as rows for the statements."""

import sqlite3
from typing import Any, Final

from pynenc_async.store.sqlite import large
from pynenc_async.store.sqlite.codes import Path, write_steps
from pynenc_async.store.sqlite.statements import CHANGES, COLUMNS, Row
from pynenc_async.store.values import NewInvocation, Transition

_ARGUMENTS: Final = COLUMNS.index("arguments")
_RESULT: Final = CHANGES.index("result")
_ERROR: Final = CHANGES.index("error")


def new_row(
    change: NewInvocation, path: Path, key: int, *, task: int, home: int, parent: int | None, marks: int = 0
) -> Row:
    """Return the row of a new invocation, for `statements.INSERT`."""
    steps = change.steps
    first, last = steps[0], steps[-1]
    return (
        key,
        task,
        home,
        path.code,
        len(steps),
        last[2],
        path.retries,
        change.max_crashes,
        change.priority,
        first[1],
        None if path.start is None else steps[path.start][1],
        last[1] if path.final else None,
        change.due_at,
        change.deadline_at,
        change.taken,
        _backlog(change, path),
        marks,
        parent,
        change.options,
        write_steps(steps, home),
        change.arguments,
    )


def changed_row(change: Transition, path: Path, key: int, *, home: int) -> Row:
    """Return the row of a transition, for `statements.UPDATE` and `REWRITE`."""
    steps = change.steps
    last = steps[-1]
    return (
        key,
        change.revision,
        home,
        path.before,
        len(steps),
        path.code,
        last[2],
        path.retries,
        None if path.start is None else steps[path.start][1],
        last[1] if path.final else None,
        change.due_at,
        change.taken,
        _backlog(change, path),
        change.result,
        change.error,
        write_steps(steps, home),
    )


def _backlog(change: NewInvocation | Transition, path: Path) -> float | None:
    """Return when it may be claimed, 0 for now; None: it is not in the backlog."""
    if change.taken or not path.claimable:
        return None
    return change.due_at if change.due_at is not None and change.due_at > 0 else 0.0


def is_large(value: bytes | None) -> bool:
    """Whether the value is kept out of its row."""
    return value is not None and len(value) > large.LARGE


def move_arguments(connection: sqlite3.Connection, row: Row) -> Row:
    """Return the row of a new invocation with its large arguments kept elsewhere."""
    cell: Any = large.put(connection, row[_ARGUMENTS]) if is_large(row[_ARGUMENTS]) else row[_ARGUMENTS]
    return (*row[:_ARGUMENTS], cell, *row[_ARGUMENTS + 1 :])


def move_outcome(connection: sqlite3.Connection, row: Row) -> Row:
    """Return the row of a transition with its large result or error kept elsewhere."""
    cells = list(row)
    for position in (_RESULT, _ERROR):
        if is_large(cells[position]):
            cells[position] = large.put(connection, cells[position])
    return tuple(cells)
