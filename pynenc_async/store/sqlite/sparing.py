"""What is not forgotten though it has ended: it is named by the journal of an invocation that has not, or stands under a key.

**Theory of operation.** A purge looks at what ended the longest ago, and asks of that alone whether it is named. What is,
is marked as SPARED, and with that leaves the index along which purges go: no purge meets it twice, however much is
spared. Whoever names it is marked, too (SPARES), so that it is let go when that one ends or drops the entry; and what
stands under a unique key until a moment, when that has come, or another one takes its place. The next purge then asks again.
"""

import json
import sqlite3
from collections.abc import Collection, Sequence
from typing import Final

from pynenc_async.store.sqlite.schema import IS_SPARED, NOT_COUNTED, SPARED, SPARES
from pynenc_async.store.sqlite.statements import count_ended, write_rows

_THESE: Final = "IN (SELECT value FROM json_each(?))"
_NAMERS: Final = f"""
SELECT named, invocation FROM journal INDEXED BY journal_named CROSS JOIN invocation AS namer ON namer.id = invocation
WHERE named {_THESE} AND namer.ended_at IS NULL"""
_STANDING: Final = f"SELECT invocation FROM stand INDEXED BY stand_invocation WHERE invocation {_THESE} AND until > ?"
_MARK: Final = f"UPDATE invocation SET marks = marks | ? WHERE id {_THESE}"
_RELEASE: Final = f"UPDATE invocation SET marks = marks & ~{SPARED} WHERE id {_THESE} AND {IS_SPARED}"
_LET_GO: Final = f"""
UPDATE invocation SET marks = marks & ~{SPARED}
WHERE id IN (SELECT named FROM journal WHERE invocation = ? AND position >= ?) AND {IS_SPARED}"""


def spare(connection: sqlite3.Connection, keys: Sequence[int], now: float) -> set[int]:
    """Spare those of these ended invocations that are still needed; return which."""
    these = json.dumps(keys)
    namers = connection.execute(_NAMERS, (these,)).fetchall()
    standing = connection.execute(_STANDING, (these, now)).fetchall()
    needed = {named for named, _ in namers} | {invocation for (invocation,) in standing}
    if needed:
        connection.execute(_MARK, (SPARED, json.dumps([*needed])))
        connection.execute(_MARK, (SPARES, json.dumps([*{namer for _, namer in namers}])))
        _count(connection, len(needed))
    return needed


def let_go(connection: sqlite3.Connection, namer: int, index: int = 0) -> None:
    """Spare no longer what the journal of `namer` names from entry `index` on."""
    released = connection.execute(_LET_GO, (namer, index)).rowcount
    if released:
        _count(connection, -released)


def release(connection: sqlite3.Connection, keys: Collection[int]) -> None:
    """Spare no longer what stands under its key no more."""
    released = connection.execute(_RELEASE, (json.dumps([*keys]),)).rowcount if keys else 0
    if released:
        _count(connection, -released)


def _count(connection: sqlite3.Connection, spared: int) -> None:
    write_rows(connection, count_ended({NOT_COUNTED: -spared}))
