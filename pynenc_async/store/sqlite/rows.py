"""Changes as rows for the statements; each function says for which. Their columns are named in `statements`."""

import sqlite3
from typing import Final

from pynenc_async.store.sqlite import large
from pynenc_async.store.sqlite.codes import Path, write_steps
from pynenc_async.store.sqlite.statements import CHANGE, NEW, Row
from pynenc_async.store.values import NewInvocation, Transition

_ARGUMENTS: Final = NEW.index("arguments")
_RESULT: Final = CHANGE.index("result")
_ERROR: Final = CHANGE.index("error")


def new_row(change: NewInvocation, path: Path, key: int, *, task: int, home: int, parent: int | None) -> Row:
    """Return the row of a new invocation, which has not ended and has nothing rare about it: for `INSERT`."""
    steps = change.steps
    return (
        key,
        task,
        path.code,
        len(steps),
        steps[-1][2],
        change.max_crashes,
        change.priority,
        steps[0][1],
        None if path.start is None else steps[path.start][1],
        change.due_at,
        change.deadline_at,
        change.taken,
        _backlog(change, path),
        parent,
        change.options,
        write_steps(steps, home),
        change.arguments,
    )


def new_row_rare(
    change: NewInvocation, path: Path, key: int, *, task: int, home: int, parent: int | None, marks: int
) -> Row:
    """Return the row of any new invocation: for `INSERT_RARE`."""
    row = new_row(change, path, key, task=task, home=home, parent=parent)
    return (*row, change.steps[-1][1] if path.final else None, path.retries, marks)


def step_row(change: Transition, path: Path, key: int, *, home: int) -> Row:
    """Return the row of a transition that ends nothing and puts nothing off: for `TAKE_STEP`."""
    steps = change.steps
    return (
        key,
        change.revision,
        path.before,
        len(steps),
        path.code,
        steps[-1][2],
        None if path.start is None else steps[path.start][1],
        write_steps(steps, home),
    )


def end_row(change: Transition, path: Path, key: int, *, home: int) -> Row:
    """Return the row of an end: for `MAKE_END`."""
    ended_at = change.steps[-1][1] if path.final else None
    return (*step_row(change, path, key, home=home), ended_at, change.result, change.error)


def changed_row(change: Transition, path: Path, key: int, *, home: int) -> Row:
    """Return the row of any transition: for `MAKE_CHANGE` and `REWRITE`."""
    return (
        *end_row(change, path, key, home=home),
        path.retries,
        change.due_at,
        change.taken,
        _backlog(change, path),
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
    return _move(connection, row, _ARGUMENTS)


def move_outcome(connection: sqlite3.Connection, row: Row) -> Row:
    """Return the row of an end, or of any transition, with its large result or error kept elsewhere."""
    return _move(connection, _move(connection, row, _RESULT), _ERROR)


def _move(connection: sqlite3.Connection, row: Row, position: int) -> Row:
    value = row[position]
    if not is_large(value):
        return row
    return (*row[:position], large.put(connection, value), *row[position + 1 :])
