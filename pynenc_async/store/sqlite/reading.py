"""Rows as values. A question is one statement each, so that what it returns was true at one moment."""

import json
import sqlite3
from collections.abc import Collection, Iterable
from typing import Any, Final

from pynenc_async.history import told_in_order
from pynenc_async.store.sqlite.codes import STATUSES, read_steps
from pynenc_async.store.sqlite.names import Names
from pynenc_async.store.values import CancelRequest, StoredInvocation, StoredStep


def cell(name: str) -> str:
    """A value, wherever it is kept."""
    return f"CASE typeof({name}) WHEN 'integer' THEN (SELECT data FROM value WHERE value.key = {name}) ELSE {name} END"


WHOLE: Final = (
    "id, task, home, status, revision, attempt, retries, crashes, max_crashes, priority, registered_at, started_at, "
    f"ended_at, due_at, deadline_at, since, taken, parent, cancel_reason, options, {cell('arguments')}, {cell('result')}, "
    f"{cell('error')}"
)
"""The columns of a `StoredInvocation`, for `read`."""

_PEEK: Final = f"SELECT {WHOLE} FROM invocation WHERE id = ?"
_LOAD: Final = f"SELECT {WHOLE} FROM invocation WHERE id IN (SELECT value FROM json_each(?))"
_STANDING: Final = "SELECT invocation FROM stand WHERE key = ? AND (until IS NULL OR until > ?)"
_REQUESTS: Final = (
    "SELECT id, cancel_reason FROM invocation INDEXED BY invocation_cancel "
    "WHERE home = ? AND cancel_reason IS NOT NULL AND ended_at IS NULL"
)


def read(connection: sqlite3.Connection, names: Names, row: tuple[Any, ...]) -> StoredInvocation:
    """Return the invocation of a row with the columns of `WHOLE`."""
    (
        key, task, home, code, revision, attempt, retries, crashes, max_crashes, priority, registered_at, started_at,
        ended_at, due_at, deadline_at, since, taken, parent, cancel_reason, options, arguments, result, error,
    ) = row  # fmt: skip
    return StoredInvocation(
        invocation_id=names.spell(connection, key),
        task_id=names.task_id(connection, task),
        arguments=arguments,
        parent_invocation_id=None if parent is None else names.spell(connection, parent),
        status=STATUSES[code],
        revision=revision,
        home=names.runner_id(connection, home),
        attempt=attempt,
        num_retries=retries,
        crashes=crashes,
        max_crashes=max_crashes,
        priority=priority,
        registered_at=registered_at,
        started_at=started_at,
        ended_at=ended_at,
        due_at=due_at,
        deadline_at=deadline_at,
        since=since,
        options=options,
        result=result,
        error=error,
        cancel_reason=cancel_reason,
        taken=bool(taken),
    )


def read_all(connection: sqlite3.Connection, names: Names, rows: Iterable[tuple[Any, ...]]) -> list[StoredInvocation]:
    """Return the invocations of many rows."""
    return [read(connection, names, row) for row in rows]


def peek(connection: sqlite3.Connection, names: Names, invocation_id: str) -> StoredInvocation | None:
    """Return one invocation."""
    key = names.find(connection, invocation_id)
    # All rows are fetched, though there is one at most: a statement that is left open would hold on to its snapshot.
    rows = [] if key is None else connection.execute(_PEEK, (key,)).fetchall()
    return read(connection, names, rows[0]) if rows else None


def load(connection: sqlite3.Connection, names: Names, invocation_ids: Collection[str]) -> list[StoredInvocation]:
    """Return those that are there."""
    keys = json.dumps(names.find_all(connection, invocation_ids))
    return read_all(connection, names, connection.execute(_LOAD, (keys,)).fetchall())


def history(connection: sqlite3.Connection, names: Names, invocation_id: str) -> list[StoredStep]:
    """Return every step of one invocation."""
    key = names.find(connection, invocation_id)
    rows = connection.execute("SELECT history FROM invocation WHERE id = ?", (key,)).fetchall()
    steps = [step for (history,) in rows for step in read_steps(history)]
    return [
        StoredStep(
            status=status,
            timestamp=moment,
            attempt=attempt,
            reason=reason,
            runner_id=names.runner_id(connection, runner),
        )
        for (status, _, attempt, reason, runner), moment in zip(
            steps, told_in_order(step[1] for step in steps), strict=True
        )
    ]


def standing(connection: sqlite3.Connection, names: Names, unique_key: str, now: float) -> str | None:
    """Return who stands under a unique key."""
    rows = connection.execute(_STANDING, (unique_key, now)).fetchall()
    return names.spell(connection, rows[0][0]) if rows else None


def journal(connection: sqlite3.Connection, names: Names, invocation_id: str) -> list[bytes]:
    """Return the entries of a journal."""
    key = names.find(connection, invocation_id)
    question = "SELECT entry FROM journal WHERE invocation = ? ORDER BY position"
    return [entry for (entry,) in connection.execute(question, (key,)).fetchall()]


def cancel_requests(connection: sqlite3.Connection, names: Names, home: int) -> list[CancelRequest]:
    """Return what the runner is asked to cancel."""
    return [
        CancelRequest(invocation_id=names.spell(connection, key), reason=reason)
        for key, reason in connection.execute(_REQUESTS, (home,)).fetchall()
    ]
