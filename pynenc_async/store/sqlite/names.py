"""Texts that occur in many rows, as small integers: task ids, runner ids, and invocation ids made of them.

What a key stands for never changes and is never given back, so what has been looked up once is remembered. Reading is
for any thread; only the writer learns new ones.
"""

import sqlite3
from collections.abc import Iterable
from typing import Final

from pynenc_async.store.sqlite.schema import BURIED, NUMBER_BITS

_LARGEST: Final = (1 << NUMBER_BITS) - 1
_TASK_KEY: Final = "SELECT key FROM task WHERE task_id = ?"
_OTHER_KEY: Final = "SELECT key FROM other_id WHERE id = ?"
_RUNNER_KEY: Final = "SELECT min(key) FROM runner WHERE runner_id = ?"


class Names:
    """The dictionary of one file."""

    def __init__(self) -> None:
        self.tasks: Final[dict[str, int]] = {}
        self.bases: Final[dict[str, int]] = {}
        """By runner id: the primary key of its invocation number 0. The first key that a runner id has had counts."""
        self._task_ids: Final[dict[int, str]] = {}
        self._runner_ids: Final[dict[int, str]] = {}

    def find(self, connection: sqlite3.Connection, invocation_id: str) -> int | None:
        """Return the primary key that the id stands for; None where nothing is known that could have it."""
        runner_id, dash, digits = invocation_id.rpartition("-")
        base = self.bases.get(runner_id)
        if base is not None and digits.isdecimal() and digits.isascii() and digits[0] != "0" and len(digits) < 13:  # noqa: PLR2004
            return base | int(digits)  # as nearly always
        if not (dash and _is_number(digits)):
            rows = connection.execute(_OTHER_KEY, (invocation_id,)).fetchall()
            return rows[0][0] if rows else None
        if base is None:
            key = connection.execute(_RUNNER_KEY, (runner_id,)).fetchall()[0][0]
            if key is None:
                return None
            base = self.bases[runner_id] = key << NUMBER_BITS
        return base | int(digits)

    def find_all(self, connection: sqlite3.Connection, invocation_ids: Iterable[str]) -> list[int]:
        """Return the keys of those ids that have one."""
        return [key for one in invocation_ids if (key := self.find(connection, one)) is not None]

    def find_task(self, connection: sqlite3.Connection, task_id: str) -> int | None:
        """Return the key of a task; None where it has never had an invocation."""
        key = self.tasks.get(task_id)
        if key is None:
            rows = connection.execute(_TASK_KEY, (task_id,)).fetchall()
            if not rows:
                return None
            key = self.tasks[task_id] = rows[0][0]
        return key

    def find_tasks(self, connection: sqlite3.Connection, task_ids: Iterable[str]) -> list[int]:
        """Return the keys of those tasks that have one."""
        return [key for one in task_ids if (key := self.find_task(connection, one)) is not None]

    def learn_task(self, connection: sqlite3.Connection, task_id: str) -> int:
        """Return the key of a task, which gets one now if it has none. Outside of a transaction: it is kept for good."""
        key = self.find_task(connection, task_id)
        if key is None:
            connection.execute("INSERT INTO task (task_id) VALUES (?) ON CONFLICT DO NOTHING", (task_id,))
            key = self.tasks[task_id] = connection.execute(_TASK_KEY, (task_id,)).fetchall()[0][0]
        return key

    def learn(self, connection: sqlite3.Connection, invocation_id: str) -> int:
        """Return the primary key for an id, which becomes known now if it is not. Outside of a transaction."""
        key = self.find(connection, invocation_id)
        while key is None:
            runner_id, dash, digits = invocation_id.rpartition("-")
            if dash and _is_number(digits):
                # Two processes may both do so: the smaller of the keys counts, for both.
                connection.execute("INSERT INTO runner (runner_id, state) VALUES (?, ?)", (runner_id, BURIED))
            else:
                connection.execute("INSERT INTO other_id (id) VALUES (?) ON CONFLICT DO NOTHING", (invocation_id,))
            key = self.find(connection, invocation_id)
        return key

    def spell(self, connection: sqlite3.Connection, key: int) -> str:
        """Return the invocation id of a primary key."""
        if key <= _LARGEST:
            ((name,),) = connection.execute("SELECT id FROM other_id WHERE key = ?", (key,)).fetchall()
            return str(name)
        return f"{self.runner_id(connection, key >> NUMBER_BITS)}-{key & _LARGEST}"

    def runner_id(self, connection: sqlite3.Connection, key: int) -> str:
        """Return the id of the runner with this key."""
        name = self._runner_ids.get(key)
        if name is None:
            ((name,),) = connection.execute("SELECT runner_id FROM runner WHERE key = ?", (key,)).fetchall()
            self._runner_ids[key] = name
        return name

    def task_id(self, connection: sqlite3.Connection, key: int) -> str:
        """Return the id of the task with this key."""
        name = self._task_ids.get(key)
        if name is None:
            ((name,),) = connection.execute("SELECT task_id FROM task WHERE key = ?", (key,)).fetchall()
            self._task_ids[key] = name
        return name


def _is_number(digits: str) -> bool:
    """Whether the text is how a number is written, and not another way to write it: ids are compared as text."""
    return (
        digits.isdecimal()
        and digits.isascii()
        and (digits[0] != "0" or digits == "0")
        and (len(digits) < 13 or int(digits) <= _LARGEST)  # noqa: PLR2004  2**40 has 13 digits
    )
