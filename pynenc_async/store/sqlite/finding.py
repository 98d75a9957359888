"""`find`: pages in the order of registration, without sorting the table.

A page is merged from walks along an index, each of which yields what fits in the right order: one for each task, or, where
only some statuses are asked for, one for each status that is rare, and one for all that has not ended. Within one moment
the primary key decides.
"""

import heapq
import json
import sqlite3
from collections.abc import Generator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final

from pynenc_async.errors import StoreError
from pynenc_async.status import InvocationStatus
from pynenc_async.store.sqlite.codes import CODES, FINAL
from pynenc_async.store.sqlite.names import Names
from pynenc_async.store.sqlite.reading import WHOLE, cell, read_all
from pynenc_async.store.sqlite.schema import FORGETTABLE, IS_SPARED
from pynenc_async.store.values import Page, Query, spellings

_SUCCESS: Final = CODES[InvocationStatus.SUCCESS]
_FITS: Final = "fits"
_ESCAPES: Final = str.maketrans({"%": "\\%", "_": "\\_", "\\": "\\\\"})
_OF_PARENT: Final = (
    "parent IS NOT NULL AND (SELECT status FROM invocation AS submitter WHERE submitter.id = invocation.parent) "
    "IN (SELECT value FROM json_each(?))"
)
Key = tuple[float, int]


@dataclass(frozen=True, slots=True)
class _Walk:
    """A question that yields keys in order: along which index, under which conditions."""

    index: str
    conditions: tuple[str, ...] = ()
    values: tuple[Any, ...] = ()

    def where(self, condition: str, *values: Any) -> "_Walk":
        return replace(self, conditions=(*self.conditions, condition), values=(*self.values, *values))


def find(connection: sqlite3.Connection, names: Names, query: Query) -> Page:
    """Return a page, as of one moment."""
    connection.execute("BEGIN")
    try:
        found = _keys(connection, names, query)
        page, more = found[: max(query.limit, 0)], len(found) > query.limit
        rows = _rows(connection, [key for _, key in page])
    finally:
        connection.execute("COMMIT")
    # The names of what is there never change, and can be looked up later.
    invocations = read_all(connection, names, [rows[key] for _, key in page])
    return Page(invocations=tuple(invocations), next=f"{page[-1][0]!r}:{page[-1][1]}" if more and page else None)


def _rows(connection: sqlite3.Connection, keys: list[int]) -> dict[int, tuple[Any, ...]]:
    question = f"SELECT {WHOLE} FROM invocation WHERE id IN (SELECT value FROM json_each(?))"
    return {row[0]: row for row in connection.execute(question, (json.dumps(keys),)).fetchall()}


def _keys(connection: sqlite3.Connection, names: Names, query: Query) -> list[Key]:
    tasks = connection.execute("SELECT key, task_id FROM task").fetchall()
    wanted = {key: task_id for key, task_id in tasks if not query.task_ids or task_id in query.task_ids}
    walks = [_narrow(connection, names, query, wanted, walk) for walk in _walks(query, list(wanted))]
    with ExitStack() as stack:
        steps = [stack.enter_context(closing(_walk(connection, query, walk))) for walk in walks]
        return list(islice(heapq.merge(*steps, reverse=query.newest_first), query.limit + 1))


def _walks(query: Query, tasks: Sequence[int]) -> list[_Walk]:
    """Return the walks that meet all that could fit, each of it once."""
    codes = {CODES[status] for status in query.statuses}
    if query.parent_invocation_id is not None:
        return [_Walk("invocation_parent")]  # of which there are few: they are sorted
    if query.ended_from is not None:
        return [_Walk("invocation_ended", (FORGETTABLE,)), _Walk("invocation_spared", (IS_SPARED,))]
    if not codes or _SUCCESS in codes:
        return [_Walk("invocation_task", ("task = ?",), (task,)) for task in tasks]
    rare = f"ended_at IS NOT NULL AND status != {_SUCCESS} AND status = ?"
    walks = [_Walk("invocation_unlucky", (rare,), (code,)) for code in codes & FINAL]
    return [*walks, _Walk("invocation_living", ("ended_at IS NULL",))] if codes - FINAL else walks


def _narrow(connection: sqlite3.Connection, names: Names, query: Query, tasks: dict[int, str], walk: _Walk) -> _Walk:
    """Return the walk under all conditions of the query."""
    if query.statuses:
        walk = walk.where(
            "status IN (SELECT value FROM json_each(?))", _json(CODES[status] for status in query.statuses)
        )
    if query.task_ids:
        walk = walk.where("task IN (SELECT value FROM json_each(?))", _json(tasks))
    if query.parent_invocation_id is not None:
        walk = walk.where("parent = ?", names.find(connection, query.parent_invocation_id))
    if query.parent_statuses:
        walk = walk.where(_OF_PARENT, _json(CODES[status] for status in query.parent_statuses))
    if query.home is not None:
        walk = walk.where("home IN (SELECT key FROM runner WHERE runner_id = ?)", query.home)
    for condition, bound in (
        ("registered_at >= ?", query.registered_from),
        ("registered_at < ?", query.registered_before),
        ("ended_at >= ?", query.ended_from),
        ("ended_at < ?", query.ended_before),
    ):
        if bound is not None:
            walk = walk.where(condition, bound)
    if query.after is not None:
        walk = walk.where(f"(registered_at, id) {'<' if query.newest_first else '>'} (?, ?)", *_position(query.after))
    return _with_text(spellings(query.text), tasks, walk) if query.text else walk


def _with_text(needles: Sequence[str], tasks: dict[int, str], walk: _Walk) -> _Walk:
    """Where the text is in the name of the task, nothing else is looked at."""
    named = _json(key for key, task_id in tasks.items() if any(needle in task_id.casefold() for needle in needles))
    conditions, values = ["task IN (SELECT value FROM json_each(?))"], [named]
    for needle in needles:
        for name in ("arguments", "result", "error"):
            if needle.isascii():
                # SQLite knows the case of ASCII letters only, and is fast; a value with other letters is looked at by Python.
                conditions.append(_ascii_fits(cell(name)))
                values.append(f"%{needle.translate(_ESCAPES)}%")
            else:
                conditions.append(f"{_FITS}(?, {cell(name)})")
            values.append(needle)
    return walk.where(f"({' OR '.join(conditions)})", *values)


def _ascii_fits(value: str) -> str:
    text = f"CAST({value} AS TEXT)"
    return f"CASE WHEN length({text}) = length({value}) THEN {text} LIKE ? ESCAPE '\\' ELSE {_FITS}(?, {value}) END"


def _json(numbers: Any) -> str:
    return json.dumps(list(numbers))


def _position(after: str) -> Key:
    moment, _, key = after.partition(":")
    try:
        return float(moment), int(key)
    except ValueError:
        raise StoreError(f"Query.after must be the `next` of a page of the same query, not {after!r}") from None


def _walk(connection: sqlite3.Connection, query: Query, walk: _Walk) -> Generator[Key, None, None]:
    order = "DESC" if query.newest_first else "ASC"
    question = (
        f"SELECT registered_at, id FROM invocation INDEXED BY {walk.index} WHERE {' AND '.join(walk.conditions)} "
        f"ORDER BY registered_at {order}, id {order} LIMIT {max(query.limit, 0) + 1}"
    )
    with closing(connection.execute(question, walk.values)) as cursor:
        yield from cursor


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
        "UNION ALL SELECT status.name, count(*) FROM invocation INDEXED BY invocation_living "
        "JOIN status ON status.code = invocation.status WHERE ended_at IS NULL GROUP BY status.code"
    ).fetchall()
    return dict(rows)


def last_fires(connection: sqlite3.Connection) -> dict[str, float]:
    """Return, by schedule, the latest moment that was fired."""
    return dict(connection.execute("SELECT schedule, max(moment) FROM fire GROUP BY schedule"))
