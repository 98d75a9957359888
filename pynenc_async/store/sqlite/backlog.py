"""What waits outside of the memory of its runner: `backlog` is NULL for all else, 0 for what is due, else the moment."""

import json
import sqlite3
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from pynenc_async.store.sqlite.names import Names
from pynenc_async.store.sqlite.reading import WHOLE, read
from pynenc_async.store.sqlite.session import Session
from pynenc_async.store.values import Backlog, StoredInvocation

_FALLEN_DUE: Final = 10_000
"""How many of what has come due are put in line at once, the longest due first."""

_IS_DUE: Final = """
SELECT 1 FROM invocation INDEXED BY invocation_due WHERE home = ? AND backlog > 0 AND backlog <= ? LIMIT 1"""
_PUT_IN_LINE: Final = """
UPDATE invocation SET backlog = 0 WHERE id IN (
    SELECT id FROM invocation INDEXED BY invocation_due
    WHERE home = ? AND backlog > 0 AND backlog <= ? ORDER BY backlog LIMIT ?)"""
_AS_TAKEN: Final = WHOLE.replace(" taken,", " 1,")
_READY: Final = f"""
SELECT {_AS_TAKEN}, marks FROM invocation INDEXED BY invocation_ready
WHERE home = ? AND backlog = 0 AND task IN (SELECT value FROM json_each(?))
ORDER BY priority DESC, registered_at, id LIMIT ?"""
_READY_OF_THESE: Final = f"""
SELECT {_AS_TAKEN}, marks FROM invocation
WHERE id IN (SELECT value FROM json_each(?)) AND +home = ? AND +backlog = 0 AND task IN (SELECT value FROM json_each(?))
ORDER BY priority DESC, registered_at, id LIMIT ?"""
_SUMS: Final = """
SELECT count(*), sum(revision), sum(marks) FROM invocation
WHERE id IN (SELECT value FROM json_each(?)) AND +backlog = 0 AND +home = ?"""
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


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for."""

    task_ids: Collection[str]
    limit: int
    only: Collection[str] | None
    """The ids, where not whatever comes first is wanted."""


class Seen:
    """What comes first in a backlog, as it will be once it is taken.

    To read it takes longer than to take it, and any connection can do that: so the one that writes need not.
    """

    def __init__(self, connection: sqlite3.Connection, names: Names, home: int, wanted: Wanted) -> None:
        tasks = json.dumps(names.find_tasks(connection, wanted.task_ids))
        if wanted.only is None:
            rows = connection.execute(_READY, (home, tasks, wanted.limit)).fetchall()
        else:
            keys = json.dumps(names.find_all(connection, wanted.only))
            rows = connection.execute(_READY_OF_THESE, (keys, home, tasks, wanted.limit)).fetchall()
        self.invocations: Final = [read(connection, names, row[:-1]) for row in rows]
        self._home: Final = home
        self._keys: Final = json.dumps([row[0] for row in rows])
        self._sums: Final = (len(rows), sum(row[4] for row in rows), sum(row[-1] for row in rows))
        self._marked: Final = [row[0] for row in rows if row[-1]]

    def take(self, session: Session) -> bool:
        """Take it out of the backlog; return False where something has happened to any of it meanwhile.

        Both revisions and marks only grow as long as an invocation lies there.
        """
        connection = session.connection
        if connection.execute(_SUMS, (self._keys, self._home)).fetchall() != [self._sums]:
            return False
        connection.execute(_TAKE, (self._keys,))
        session.marked.update(self._marked)
        return True


def look(connection: sqlite3.Connection, names: Names, home: int, wanted: Wanted, now: float) -> Seen | None:
    """Look at what comes first; None where something has come due that is not in line yet."""
    if connection.execute(_IS_DUE, (home, now)).fetchall():
        return None
    return Seen(connection, names, home, wanted)


def put_in_line(session: Session, now: float) -> None:
    """Put what has come due where it is claimed from."""
    session.connection.execute(_PUT_IN_LINE, (session.home, now, _FALLEN_DUE))


def take(session: Session, seen: Seen, wanted: Wanted) -> list[StoredInvocation]:
    """Take what comes first out of the backlog: what was seen, nearly always."""
    if not session.alive:
        return []  # what a dead runner had waits for who recovers it
    if not seen.take(session):
        seen = Seen(session.connection, session.names, session.home, wanted)
        seen.take(session)
    return seen.invocations


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
