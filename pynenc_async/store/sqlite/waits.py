"""What waits for what: written with the other changes of a batch, and followed along all processes.

What was said of an invocation holds as long as the invocation has the revision of which it was said. So nothing has to be
done when it goes on: no batch is slower for it, and what holds no more is swept away with the next purge.
"""

import json
import sqlite3
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

from pynenc_async.store.sqlite.codes import OWNED
from pynenc_async.store.sqlite.names import Names
from pynenc_async.store.sqlite.schema import ALIVE
from pynenc_async.store.values import Permit, StoredWait, WaitChange
from pynenc_async.store.waiting import Standing, Tour

_STANDINGS: Final = f"""
SELECT invocation.id, invocation.home, invocation.status, wait.number, wait.refusable, wait.seen, wait.needs,
    runner.lease, runner.state = {ALIVE}
FROM invocation JOIN runner ON runner.key = invocation.home LEFT JOIN wait
    ON wait.waiter = invocation.id AND wait.revision = invocation.revision AND wait.home = invocation.home
WHERE invocation.id IN (SELECT value FROM json_each(?)) AND ended_at IS NULL AND cancel_reason IS NULL"""
_HOLDERS: Final = "SELECT holder FROM permit WHERE name = ? ORDER BY holder"
_SAY_AGAIN: Final = (
    "UPDATE wait SET refusable = ?, seen = ? WHERE waiter = ? AND revision = ? AND home = ? AND needs = ?"
)
_SAY: Final = "INSERT OR REPLACE INTO wait (refusable, seen, waiter, revision, home, needs) VALUES (?, ?, ?, ?, ?, ?)"
_OVER: Final = """
DELETE FROM wait WHERE NOT EXISTS (
    SELECT 1 FROM invocation WHERE invocation.id = wait.waiter AND invocation.revision = wait.revision)"""


def write(connection: sqlite3.Connection, names: Names, home: int, said: Sequence[tuple[int, WaitChange]]) -> None:
    """Write what was said, in order."""
    for key, one in said:
        row = int(one.refusable), one.seen, key, one.revision, home, _write_needs(connection, names, one)
        if not connection.execute(_SAY_AGAIN, row).rowcount:
            connection.execute(_SAY, row)


def _write_needs(connection: sqlite3.Connection, names: Names, change: WaitChange) -> str:
    return json.dumps(
        [
            [
                [names.find(connection, other.invocation_id), [[p.name, p.limit] for p in other.permits]]
                for other in need
            ]
            for need in change.needs
        ]
    )


def sweep(connection: sqlite3.Connection) -> None:
    """Forget what holds no more."""
    connection.execute(_OVER)


def follow(
    connection: sqlite3.Connection, names: Names, is_dead: Callable[[str], bool], invocation_ids: Collection[str]
) -> list[StoredWait]:
    """Return what these wait for, and what that waits for. `is_dead` looks at the lease of that name."""
    connection.execute("BEGIN")  # all is read as of one moment
    try:
        reader = _Reader(connection, names, is_dead)
        tour = Tour(reader.look, reader.holders_of, lambda key: names.spell(connection, key))
        return tour.go(names.find_all(connection, invocation_ids))
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


class _Reader:
    """Looks into the tables."""

    def __init__(self, connection: sqlite3.Connection, names: Names, is_dead: Callable[[str], bool]) -> None:
        self._connection: Final = connection
        self._names: Final = names
        self._is_dead: Final = is_dead
        self._lost: Final[dict[str, bool]] = {}
        """By the name of a lease, whether it has ended: each is looked at once."""

    def look(self, keys: Collection[int]) -> dict[int, Standing[int]]:
        """Return where they stand."""
        rows = self._connection.execute(_STANDINGS, (json.dumps([*keys]),)).fetchall()
        return {row[0]: self._standing(*row[1:]) for row in rows}

    def holders_of(self, name: str) -> list[int]:
        """Return who holds permits of that name."""
        return [holder for (holder,) in self._connection.execute(_HOLDERS, (name,)).fetchall()]

    def _standing(
        self, home: int, code: int, number: int | None, refusable: int, seen: int, needs: str, lease: str, is_alive: int
    ) -> Standing[int]:
        runner_id = self._names.runner_id(self._connection, home)
        if number is None or code not in OWNED or not is_alive or self._has_lost(lease):
            return Standing(runner_id, code in OWNED)
        return Standing(
            runner_id, is_owned=True, needs=_read_needs(needs), number=number, refusable=bool(refusable), seen=seen
        )

    def _has_lost(self, lease: str) -> bool:
        if lease not in self._lost:
            self._lost[lease] = self._is_dead(lease)
        return self._lost[lease]


def _read_needs(text: str) -> list[list[tuple[int, tuple[Permit, ...]]]]:
    needs: Any = json.loads(text)
    return [[(key, tuple(Permit(*permit) for permit in permits)) for key, permits in need] for need in needs]
