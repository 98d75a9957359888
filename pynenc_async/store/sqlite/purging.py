"""Forgetting what has ended, a bounded piece at a time, so that others get their turn between the pieces."""

import json
import sqlite3
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from pynenc_async.pacing import LATE
from pynenc_async.store.sqlite import large, waits
from pynenc_async.store.sqlite.schema import FORGETTABLE
from pynenc_async.store.sqlite.session import Session
from pynenc_async.store.sqlite.sparing import release, spare
from pynenc_async.store.sqlite.statements import count_ended, write_rows
from pynenc_async.store.values import Retention

PIECE: Final = 1_000
"""How many go in one transaction: some 10 ms."""
_SMALL_PIECE: Final = 100
"""The same while the size of the file decides, which is known only afterwards."""
_FIRES_KEPT: Final = 30 * 86_400.0
"""Seconds for which the fires of schedules are remembered; of each schedule the last is never forgotten."""
_SLACK: Final = 8
"""One page in so many may stay free in the file, to be used again, before pages go back to the file system."""
_PAGES_AT_ONCE: Final = 2_000

_OLDEST: Final = (
    "SELECT id, status, arguments, result, error FROM invocation INDEXED BY invocation_ended "
    f"WHERE {FORGETTABLE} AND ended_at < ? ORDER BY ended_at LIMIT ?"
)
_ALWAYS: Final = 1e300


class Piece(NamedTuple):
    """What became of some of what exceeds the retention."""

    forgotten: int
    spared: int


def purge_piece(session: Session, retention: Retention, now: float, limit: int) -> Piece:
    """Look at up to `limit` of what exceeds the retention; return what became of it. Nothing: it is not exceeded any more."""
    connection = session.connection
    rows = _exceeding(connection, retention, now, min(limit, PIECE))
    if rows:
        return _forget(connection, rows, now)
    forgotten = spared = 0
    # How much room an invocation takes is seen when it is gone.
    while (
        retention.bytes is not None
        and forgotten + spared < min(limit, _SMALL_PIECE)
        and used_bytes(connection) > retention.bytes
    ):
        rows = connection.execute(_OLDEST, (_ALWAYS, 1)).fetchall()
        if not rows:
            break
        piece = _forget(connection, rows, now)
        forgotten, spared = forgotten + piece.forgotten, spared + piece.spared
    return Piece(forgotten, spared)


def _exceeding(connection: sqlite3.Connection, retention: Retention, now: float, most: int) -> list[tuple[Any, ...]]:
    """Return the rows of what ended the longest ago, as far as there are too many, or too old ones."""
    if retention.seconds is not None:
        rows = connection.execute(_OLDEST, (now - retention.seconds, most)).fetchall()
        if rows:
            return rows
    if retention.count is not None:
        ((ended,),) = connection.execute("SELECT sum(ended) FROM tally").fetchall()
        if ended > retention.count:
            return connection.execute(_OLDEST, (_ALWAYS, min(most, ended - retention.count))).fetchall()
    return []


def _forget(connection: sqlite3.Connection, rows: Sequence[tuple[Any, ...]], now: float) -> Piece:
    needed = spare(connection, [row[0] for row in rows], now)
    gone = [row for row in rows if row[0] not in needed]
    keys = json.dumps([row[0] for row in gone])
    connection.execute("DELETE FROM journal WHERE invocation IN (SELECT value FROM json_each(?))", (keys,))
    connection.execute("DELETE FROM invocation WHERE id IN (SELECT value FROM json_each(?))", (keys,))
    ended = Counter(row[1] for row in gone)
    write_rows(connection, count_ended({code: -count for code, count in ended.items()}))
    large.release(connection, (cell for row in gone for cell in row[2:]))
    return Piece(len(gone), len(needed))


def sweep(session: Session, now: float) -> None:
    """Forget what has had its time: stands, full buckets, fires, waits that are over."""
    connection = session.connection
    past = connection.execute("SELECT invocation FROM stand WHERE until IS NOT NULL AND until <= ?", (now,)).fetchall()
    release(connection, [invocation for (invocation,) in past])
    connection.execute("DELETE FROM stand WHERE until IS NOT NULL AND until <= ?", (now,))
    connection.execute("DELETE FROM bucket WHERE full_at <= ?", (now - LATE,))
    waits.sweep(connection)
    connection.execute(
        "DELETE FROM fire WHERE moment < ? AND moment < "
        "(SELECT max(moment) FROM fire AS later WHERE later.schedule = fire.schedule)",
        (now - _FIRES_KEPT,),
    )


def give_back(session: Session, *, all_of_it: bool) -> bool:
    """Give free pages back to the file system; return whether there are more to give."""
    connection = session.connection
    free = _pragma(connection, "freelist_count")
    kept = 0 if all_of_it else _pragma(connection, "page_count") // _SLACK
    if free <= kept:
        return False
    for _ in range(min(free - kept, _PAGES_AT_ONCE)):
        # One by one: the sqlite3 module ends a statement without columns after its first step, which moves one page.
        connection.execute("PRAGMA incremental_vacuum(1)")
    return free - kept > _PAGES_AT_ONCE


def used_bytes(connection: sqlite3.Connection) -> int:
    """Return the size of what is in the file, without its free pages."""
    pages = _pragma(connection, "page_count") - _pragma(connection, "freelist_count")
    return pages * _pragma(connection, "page_size")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchall()[0][0])
