"""What waits outside of the memory of its runner: `backlog` is NULL for all else, 0 for what is due, else the moment."""

import json
import sqlite3
from collections import Counter
from collections.abc import Collection
from typing import Final

from pynenc_async.store.sqlite.names import Names
from pynenc_async.store.sqlite.reading import WHOLE, read_all
from pynenc_async.store.sqlite.session import Session
from pynenc_async.store.values import Backlog, StoredInvocation

_FALLEN_DUE: Final = 10_000
"""How many of what has come due are put in line at once, the longest due first."""

_PUT_IN_LINE: Final = """
UPDATE invocation SET backlog = 0 WHERE id IN (
    SELECT id FROM invocation INDEXED BY invocation_due
    WHERE home = ? AND backlog > 0 AND backlog <= ? ORDER BY backlog LIMIT ?)"""
_AS_TAKEN: Final = WHOLE.replace(" taken,", " 1,")
_READY: Final = f"""
SELECT {_AS_TAKEN}, marks FROM invocation INDEXED BY invocation_ready
WHERE home = ? AND backlog = 0 AND task IN (SELECT value FROM json_each(?))
ORDER BY priority DESC, registered_at, id LIMIT ?"""
_TAKE: Final = "UPDATE invocation SET taken = 1, backlog = NULL WHERE id IN (SELECT value FROM json_each(?))"

_COUNT_READY: Final = """
SELECT priority, count(*) FROM invocation INDEXED BY invocation_ready
WHERE home = ? AND backlog = 0 AND task IN (SELECT value FROM json_each(?)) GROUP BY priority"""
_COUNT_DUE: Final = """
SELECT priority, count(*) FROM invocation INDEXED BY invocation_due
WHERE home = ? AND backlog > 0 AND backlog <= ? AND task IN (SELECT value FROM json_each(?)) GROUP BY priority"""
_NEXT_DUE: Final = """
SELECT backlog FROM invocation INDEXED BY invocation_due
WHERE home = ? AND backlog > 0 AND backlog > ? AND task IN (SELECT value FROM json_each(?)) ORDER BY backlog LIMIT 1"""


def claim(session: Session, task_ids: Collection[str], limit: int, now: float) -> list[StoredInvocation]:
    """Take what comes first out of the backlog."""
    connection, names, home = session.connection, session.names, session.home
    if not session.alive or limit < 1:
        return []  # what a dead runner had waits for who recovers it
    connection.execute(_PUT_IN_LINE, (home, now, _FALLEN_DUE))
    tasks = json.dumps(names.find_tasks(connection, task_ids))
    rows = connection.execute(_READY, (home, tasks, limit)).fetchall()
    keys = [row[0] for row in rows]
    if keys:
        connection.execute(_TAKE, (json.dumps(keys),))
        session.marked.update(row[0] for row in rows if row[-1])
    return read_all(connection, names, [row[:-1] for row in rows])


def count(connection: sqlite3.Connection, names: Names, home: int, task_ids: Collection[str], now: float) -> Backlog:
    """Say what waits."""
    tasks = json.dumps(names.find_tasks(connection, task_ids))
    connection.execute("BEGIN")
    try:
        ready = Counter(dict(connection.execute(_COUNT_READY, (home, tasks)).fetchall()))
        ready.update(dict(connection.execute(_COUNT_DUE, (home, now, tasks)).fetchall()))
        following = connection.execute(_NEXT_DUE, (home, now, tasks)).fetchall()
    finally:
        connection.execute("COMMIT")
    return Backlog(ready=dict(ready), next_due=following[0][0] if following else None)
