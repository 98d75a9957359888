"""Who stands under a unique key, and which moments of a schedule have been fired."""

import json
import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from pynenc_async.store.sqlite.sparing import release
from pynenc_async.store.values import Fire, Unique

_STANDS: Final = "SELECT key, invocation, until_started, until, since FROM stand"
_BY_KEY: Final = f"{_STANDS} WHERE key IN (SELECT value FROM json_each(?))"
_BY_INVOCATION: Final = f"{_STANDS} WHERE invocation IN (SELECT value FROM json_each(?))"


@dataclass(frozen=True, slots=True)
class _Stand:
    invocation: int
    until_started: bool
    until: float | None
    since: float | None


class Stands:
    """The unique keys that a batch is concerned with."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection: Final = connection
        self._stands: dict[str, _Stand | None] = {}
        self._keys: dict[int, str] = {}
        self._changed: set[str] = set()
        self._replaced: set[int] = set()

    def look(self, keys: Collection[str], invocations: Collection[int]) -> None:
        """Read who stands under these keys, and where these invocations stand."""
        for question, subjects in ((_BY_KEY, keys), (_BY_INVOCATION, invocations)):
            if not subjects:
                continue
            for key, invocation, until_started, *span in self._connection.execute(question, (json.dumps([*subjects]),)):
                self._stands[key] = _Stand(invocation, bool(until_started), *span)
                self._keys[invocation] = key

    def standing_under(self, keys: Collection[str]) -> set[int]:
        """Return the invocations that stand under these keys, or have stood there until a moment."""
        return {stand.invocation for key in keys if (stand := self._stands.get(key)) is not None}

    def standing(self, key: str, now: float) -> int | None:
        """Return the invocation that stands under the key."""
        stand = self._stands.get(key)
        return None if stand is None or (stand.until is not None and stand.until <= now) else stand.invocation

    def enter(self, unique: Unique, invocation: int) -> None:
        """Let the invocation stand, in the place of whatever stood there."""
        former = self._stands.get(unique.key)
        if former is not None:
            self._replaced.add(former.invocation)
        self._stands[unique.key] = _Stand(invocation, unique.until_started, unique.until, unique.since)
        self._keys[invocation] = unique.key
        self._changed.add(unique.key)

    def started(self, invocation: int) -> None:
        """End its stand if that was only until the start."""
        stand = self._stand_of(invocation)
        if stand is not None and stand.until_started and stand.until is None:
            self._leave(invocation)

    def ended(self, invocation: int) -> None:
        """End its stand, unless that has a moment of its own."""
        stand = self._stand_of(invocation)
        if stand is not None and stand.until is None:
            self._leave(invocation)

    def _stand_of(self, invocation: int) -> _Stand | None:
        key = self._keys.get(invocation)
        stand = None if key is None else self._stands.get(key)
        return stand if stand is not None and stand.invocation == invocation else None

    def _leave(self, invocation: int) -> None:
        key = self._keys[invocation]
        self._stands[key] = None
        self._changed.add(key)

    def write(self) -> None:
        """Write what has changed."""
        release(self._connection, self._replaced)
        for key in self._changed:
            stand = self._stands[key]
            if stand is None:
                self._connection.execute("DELETE FROM stand WHERE key = ?", (key,))
                continue
            self._connection.execute(
                "INSERT OR REPLACE INTO stand (key, invocation, until_started, until, since) VALUES (?, ?, ?, ?, ?)",
                (key, stand.invocation, stand.until_started, stand.until, stand.since),
            )


class Fires:
    """The moments of schedules that a batch wants to fire."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection: Final = connection
        self._fired: set[tuple[str, float]] = set()
        self._new: list[tuple[str, float]] = []

    def look(self, fires: Sequence[Fire]) -> None:
        """Read which of them have been fired."""
        for fire in fires:
            moment = (fire.schedule, fire.moment)
            question = "SELECT 1 FROM fire WHERE schedule = ? AND moment = ?"
            if self._connection.execute(question, moment).fetchall():
                self._fired.add(moment)

    def take(self, fire: Fire) -> bool:
        """Fire; return False where somebody has done so."""
        moment = (fire.schedule, fire.moment)
        if moment in self._fired:
            return False
        self._fired.add(moment)
        self._new.append(moment)
        return True

    def write(self) -> None:
        """Write what was fired."""
        self._connection.executemany("INSERT INTO fire (schedule, moment) VALUES (?, ?)", self._new)
