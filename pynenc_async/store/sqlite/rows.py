"""Changes as commands of a batch; their columns are named in `statements`."""

import sqlite3
from collections.abc import Iterable
from typing import Final

from pynenc_async.store.sqlite import large
from pynenc_async.store.sqlite.codes import Path, write_steps
from pynenc_async.store.sqlite.statements import CHANGE, DETAIL, END, NEW, NOTHING, STEP, VALUE, Row
from pynenc_async.store.values import NewInvocation, Transition

_ONLY_IN_NEW: Final = (0,) * 7
"""What a transition says in the columns that are for a new invocation."""


def new_row(
    change: NewInvocation, path: Path, key: int, *, task: int, home: int, parent: int | None, marks: int = 0
) -> Row:
    """Return the command to insert an invocation."""
    return (
        NEW,
        key,
        *_written(change, path, home),
        bytearray(change.arguments),
        bytearray(change.options) if change.options else NOTHING,
        0,
        0,
        NOTHING if change.since is None else change.since,
        marks,
        task,
        NOTHING if parent is None else parent,
        change.priority,
        change.max_crashes,
        change.steps[0][1],
        NOTHING if change.deadline_at is None else change.deadline_at,
    )


def _written(change: NewInvocation | Transition, path: Path, home: int) -> Row:
    """What every command about an invocation says of its steps: the columns from `home` to `retries`."""
    steps = change.steps
    last = steps[-1]
    return (
        home,
        path.code,
        len(steps),
        last[2],
        bytearray(write_steps(steps, home)),
        NOTHING if path.start is None else steps[path.start][1],
        last[1] if path.final else NOTHING,
        NOTHING if change.due_at is None else change.due_at,
        1 if change.taken else 0,
        NOTHING if change.taken else _backlog(change, path),
        path.retries,
    )


def usual_kind(change: Transition, path: Path) -> int:
    """Return the kind of command for a transition that is expected to find what it was decided on."""
    if not change.taken or change.due_at is not None or path.retries:
        return CHANGE
    if path.final:
        return END
    return STEP if change.result is None and change.error is None else CHANGE


def changed_row(kind: int, change: Transition, path: Path, key: int, *, home: int) -> Row:
    """Return the command for a transition, of any kind that is for one."""
    return (
        kind,
        key,
        *_written(change, path, home),
        NOTHING if change.result is None else bytearray(change.result),
        NOTHING if change.error is None else bytearray(change.error),
        change.revision,
        path.before,
        NOTHING if change.since is None else change.since,
        *_ONLY_IN_NEW,
    )


def _backlog(change: NewInvocation | Transition, path: Path) -> float:
    """Return when it may be claimed, 0 for now."""
    if not path.claimable:
        return NOTHING
    return change.due_at if change.due_at is not None and change.due_at > 0 else 0.0


def move_large(connection: sqlite3.Connection, rows: Iterable[Row]) -> list[Row]:
    """Return the rows with their large arguments, results and errors kept elsewhere."""
    return [_move(connection, row) for row in rows]


def _move(connection: sqlite3.Connection, row: Row) -> Row:
    for position in (VALUE,) if row[0] == NEW else (VALUE, DETAIL):
        value = row[position]
        if isinstance(value, bytearray) and len(value) > large.LARGE:
            row = (*row[:position], large.put(connection, value), *row[position + 1 :])
    return row
