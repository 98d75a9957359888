"""Runners come and go: their rows, and their leases.

The lease is there before the row, and goes after it: a runner that others can see is one that can be seen to live. A
runner that joins again gets a new key, so that what it had under the old one is not its own any more.
"""

import os
import sqlite3
import time
from collections.abc import Callable
from typing import Final

from pynenc_async.store.belonging import belongs_to_another
from pynenc_async.store.sqlite.bell import Bell
from pynenc_async.store.sqlite.failures import store_error
from pynenc_async.store.sqlite.lease import Lease, is_dead
from pynenc_async.store.sqlite.schema import ALIVE, BURIED, DEAD
from pynenc_async.store.sqlite.session import Session
from pynenc_async.store.sqlite.work import Work

_ENROL: Final = (
    "INSERT INTO runner (runner_id, state, lease, pid, port, token, opened_at) VALUES (?, ?, ?, ?, ?, ?, ?) "
)
_NAMESAKES: Final = f"SELECT lease, pid FROM runner INDEXED BY runner_name WHERE runner_id = ? AND state = {ALIVE}"
_RETIRE: Final = f"""
UPDATE runner SET state = CASE WHEN EXISTS (
    SELECT 1 FROM invocation INDEXED BY invocation_living WHERE ended_at IS NULL AND home = runner.key
) THEN {DEAD} ELSE {BURIED} END
WHERE key = ?"""


def enrol_first(connection: sqlite3.Connection, runner_id: str, lease: Lease, bell: Bell, database: str) -> int:
    """Make a new runner known; return its key. Raises `StoreError` where one with this id lives."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        _refuse_namesake(connection, runner_id, database)
        key = enrol(connection, runner_id, lease, bell)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return key


def belong(connection: sqlite3.Connection, app_id: str, database: str) -> None:
    """Let the file be that of this app, if it is nobody's yet. Raises `StoreError` where it is another's."""
    owners = [owner for (owner,) in connection.execute("SELECT app_id FROM app").fetchall()]
    if not owners:
        connection.execute("INSERT INTO app (app_id) VALUES (?)", (app_id,))
    elif app_id not in owners:
        raise store_error(database, belongs_to_another(owners[0], app_id))


def _refuse_namesake(connection: sqlite3.Connection, runner_id: str, database: str) -> None:
    for lease, process_id in connection.execute(_NAMESAKES, (runner_id,)).fetchall():
        if not is_dead(database, lease):
            raise store_error(
                database,
                f"runner {runner_id!r} is alive in process {process_id}, and two of one id would take each other's work for "
                "their own; let each process start the app, or its runner, under an id of its own",
            )


def enrol(connection: sqlite3.Connection, runner_id: str, lease: Lease, bell: Bell) -> int:
    """Make a living runner known, in an open transaction; return its key."""
    connection.execute(_ENROL, (runner_id, ALIVE, lease.name, os.getpid(), bell.port, bell.token, time.time()))
    ((key,),) = connection.execute("SELECT last_insert_rowid()").fetchall()
    return int(key)


def announce_stop(connection: sqlite3.Connection, key: int) -> None:
    """Say that a runner is about to stop."""
    connection.execute("UPDATE runner SET stopping = 1 WHERE key = ?", (key,))


def retire(connection: sqlite3.Connection, key: int) -> None:
    """Say that a runner is dead, and whether it has left something."""
    connection.execute(_RETIRE, (key,))


class Rejoin(Work):
    """A runner that was declared dead begins anew. Returns whether it was dead."""

    doing = "joining again"

    def __init__(
        self, runner_id: str, bell: Bell, take_lease: Callable[[], Lease], joined: Callable[[Lease], None]
    ) -> None:
        self._runner_id: Final = runner_id
        self._bell: Final = bell
        self._take_lease: Final = take_lease
        self._joined: Final = joined
        self._lease: Lease | None = None
        self._key: int | None = None

    def prepare(self, session: Session) -> None:  # noqa: ARG002
        """Take the new lease."""
        self._lease = self._take_lease()

    def perform(self, session: Session) -> bool:
        """Retire the one before and enrol."""
        if session.alive or self._lease is None:
            return False
        retire(session.connection, session.home)
        self._key = enrol(session.connection, self._runner_id, self._lease, self._bell)
        return True

    def settle(self, session: Session, *, done: bool) -> None:
        """Be the new one from here on."""
        if self._lease is None:
            return
        if not done or self._key is None:
            self._lease.end()
            return
        session.live_again(self._key)
        self._joined(self._lease)
