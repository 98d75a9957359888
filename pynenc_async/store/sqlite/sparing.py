"""What is not forgotten though it has ended: the journal of an invocation that has not ended names it.

**Theory of operation.** A purge looks at what ended the longest ago, and asks of that alone whether it is named. What is,
is marked as SPARED, and with that leaves the index along which purges go: no purge meets it twice, however much is
spared. Whoever names it is marked, too (SPARES), so that it is let go when that one ends or drops the entry; the next
purge then asks again.
"""

import json
import sqlite3
from collections.abc import Sequence
from typing import Final

from pynenc_async.store.sqlite.schema import IS_SPARED, NOT_COUNTED, SPARED, SPARES
from pynenc_async.store.sqlite.statements import count_ended, write_rows

_THESE: Final = "IN (SELECT value FROM json_each(?))"
_NAMERS: Final = f"""
SELECT named, invocation FROM journal INDEXED BY journal_named CROSS JOIN invocation AS namer ON namer.id = invocation
WHERE named {_THESE} AND namer.ended_at IS NULL"""
_MARK: Final = f"UPDATE invocation SET marks = marks | ? WHERE id {_THESE}"
_LET_GO: Final = f"""
UPDATE invocation SET marks = marks & ~{SPARED}
WHERE id IN (SELECT named FROM journal WHERE invocation = ? AND position >= ?) AND {IS_SPARED}"""


def spare(connection: sqlite3.Connection, keys: Sequence[int]) -> set[int]:
    """Spare those of these ended invocations that are still needed; return which."""
    namers = connection.execute(_NAMERS, (json.dumps(keys),)).fetchall()
    needed = {named for named, _ in namers}
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


def _count(connection: sqlite3.Connection, spared: int) -> None:
    write_rows(connection, count_ended({NOT_COUNTED: -spared}))
