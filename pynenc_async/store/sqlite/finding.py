"""`find`: pages in the order of registration, without sorting the table.

There is an index over (task, moment of registration), and no other order: a page is merged from what each task has to
offer, which is an index walk for each and no more. Within one moment the primary key decides.
"""

import heapq
import json
import sqlite3
from collections.abc import Generator
from itertools import islice
from typing import Any, Final

from pynenc_async.errors import StoreError
from pynenc_async.store.sqlite.codes import CODES
from pynenc_async.store.sqlite.names import Names
from pynenc_async.store.sqlite.reading import WHOLE, cell, read_all
from pynenc_async.store.values import Page, Query

_WHERE_TEXT: Final = ("arguments", "result", "error")
_FITS: Final = "fits"
Key = tuple[float, int]


def find(connection: sqlite3.Connection, names: Names, query: Query) -> Page:
    """Return a page, as of one moment."""
    connection.execute("BEGIN")
    try:
        found = _keys(connection, names, query)
        page, more = found[: query.limit], len(found) > query.limit
        rows = _rows(connection, [key for _, key in page])
    finally:
        connection.execute("COMMIT")
    # The names of what is there never change, and can be looked up later.
    invocations = read_all(connection, names, [rows[key] for _, key in page])
    return Page(invocations=tuple(invocations), next=f"{page[-1][0]!r}:{page[-1][1]}" if more else None)


def _rows(connection: sqlite3.Connection, keys: list[int]) -> dict[int, tuple[Any, ...]]:
    question = f"SELECT {WHOLE} FROM invocation WHERE id IN (SELECT value FROM json_each(?))"
    return {row[0]: row for row in connection.execute(question, (json.dumps(keys),)).fetchall()}


def _keys(connection: sqlite3.Connection, names: Names, query: Query) -> list[Key]:
    if query.limit < 1:
        raise ValueError(f"Query.limit must be 1 or more, not {query.limit}")
    tasks = connection.execute("SELECT key, task_id FROM task").fetchall()
    wanted = [(key, task_id) for key, task_id in tasks if not query.task_ids or task_id in query.task_ids]
    conditions, values = _conditions(connection, names, query)
    walks = [_walk(connection, query, task, task_id, conditions, values) for task, task_id in wanted]
    merged = heapq.merge(*walks, reverse=query.newest_first)
    try:
        return list(islice(merged, query.limit + 1))
    finally:
        for walk in walks:
            walk.close()


def _conditions(connection: sqlite3.Connection, names: Names, query: Query) -> tuple[list[str], list[Any]]:
    """Return what does not depend on the task."""
    conditions: list[str] = []
    values: list[Any] = []

    def add(condition: str, *its_values: Any) -> None:
        conditions.append(condition)
        values.extend(its_values)

    if query.statuses:
        add("status IN (SELECT value FROM json_each(?))", json.dumps([CODES[status] for status in query.statuses]))
    if query.parent_invocation_id is not None:
        add("parent = ?", names.find(connection, query.parent_invocation_id))
    if query.home is not None:
        add("home IN (SELECT key FROM runner WHERE runner_id = ?)", query.home)
    for column, operator, bound in (
        ("registered_at", ">=", query.registered_from),
        ("registered_at", "<", query.registered_before),
        ("ended_at", ">=", query.ended_from),
        ("ended_at", "<", query.ended_before),
    ):
        if bound is not None:
            add(f"{column} {operator} ?", bound)
    if query.after is not None:
        operator = "<" if query.newest_first else ">"
        add(f"(registered_at, id) {operator} (?, ?)", *_position(query.after))
    return conditions, values


def _position(after: str) -> Key:
    moment, _, key = after.partition(":")
    try:
        return float(moment), int(key)
    except ValueError:
        raise StoreError(f"Query.after must be the `next` of a page of the same query, not {after!r}") from None


def _walk(
    connection: sqlite3.Connection, query: Query, task: int, task_id: str, conditions: list[str], values: list[Any]
) -> Generator[Key, None, None]:
    """Yield the keys of what fits of one task, in order."""
    conditions, values = ["task = ?", *conditions], [task, *values]
    needle = query.text.casefold()
    if needle and needle not in task_id.casefold():
        conditions.append("(" + " OR ".join(f"{_FITS}(?, {cell(name)})" for name in _WHERE_TEXT) + ")")
        values.extend([needle] * len(_WHERE_TEXT))
    order = "DESC" if query.newest_first else "ASC"
    question = (
        f"SELECT registered_at, id FROM invocation INDEXED BY {_index(query)} WHERE {' AND '.join(conditions)} "
        f"ORDER BY registered_at {order}, id {order} LIMIT {query.limit + 1}"
    )
    cursor = connection.execute(question, values)
    try:
        yield from cursor
    finally:
        cursor.close()


def _index(query: Query) -> str:
    """What has few answers is asked first, and sorted."""
    return "invocation_task" if query.parent_invocation_id is None else "invocation_parent"


def fits(needle: str, value: bytes | None) -> bool:
    """Whether the text, in small letters, occurs in the value, whatever the case of its letters there."""
    return value is not None and needle in value.decode("utf-8", "replace").casefold()


def enable_find(connection: sqlite3.Connection) -> None:
    """Let the connection search for texts as `find` does."""
    connection.create_function(_FITS, 2, fits, deterministic=True)


def counts(connection: sqlite3.Connection) -> dict[str, int]:
    """Return how many there are in each status. What has ended was counted when it did: it is most of the file."""
    rows = connection.execute(
        "SELECT status.name, ended FROM tally JOIN status ON status.code = tally.status WHERE ended > 0 "
        "UNION ALL SELECT status.name, count(*) FROM invocation INDEXED BY invocation_ended "
        "JOIN status ON status.code = invocation.status WHERE ended_at IS NULL GROUP BY status.code"
    ).fetchall()
    return dict(rows)


def last_fires(connection: sqlite3.Connection) -> dict[str, float]:
    """Return, by schedule, the latest moment that was fired."""
    return dict(connection.execute("SELECT schedule, max(moment) FROM fire GROUP BY schedule"))
