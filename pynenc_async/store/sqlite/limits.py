"""Running limits and rates across all processes: who holds which permit, and when a bucket is full."""

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Collection
from typing import Final

from pynenc_async.store.values import Permit, RatePermit

_EARLY: Final = 1e-6
"""Seconds by which a start may be early, as far as rates are concerned: sums of floats do not meet."""


class Permits:
    """The permits that a batch is concerned with."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection: Final = connection
        self._counts: Counter[str] = Counter()
        self._held: defaultdict[int, set[str]] = defaultdict(set)
        self._stored: defaultdict[int, set[str]] = defaultdict(set)

    def look(self, names: Collection[str], holders: Collection[int]) -> None:
        """Read how many hold permits of these names, and what these invocations hold."""
        if holders:
            question = "SELECT holder, name FROM permit WHERE holder IN (SELECT value FROM json_each(?))"
            for holder, name in self._connection.execute(question, (json.dumps([*holders]),)):
                self._held[holder].add(name)
                self._stored[holder].add(name)
        if names:
            question = "SELECT name, count(*) FROM permit WHERE name IN (SELECT value FROM json_each(?)) GROUP BY name"
            self._counts.update(dict(self._connection.execute(question, (json.dumps([*names]),)).fetchall()))

    def missing(self, permits: Collection[Permit], holder: int) -> str | None:
        """Return the first permit that is not to be had. What the holder has does not stand in its own way."""
        held = self._held[holder]
        for permit in permits:
            if self._counts[permit.name] - (permit.name in held) >= permit.limit:
                return permit.name
        return None

    def take(self, permits: Collection[Permit], holder: int) -> None:
        """Take all of them."""
        for permit in permits:
            if permit.name not in self._held[holder]:
                self._held[holder].add(permit.name)
                self._counts[permit.name] += 1

    def held(self, holder: int) -> bool:
        """Whether it holds any."""
        return bool(self._held[holder])

    def free(self, holder: int) -> None:
        """Give back whatever it holds."""
        for name in self._held[holder]:
            self._counts[name] -= 1
        self._held[holder].clear()

    def write(self) -> None:
        """Write what has changed."""
        gone = [(name, holder) for holder, names in self._stored.items() for name in names - self._held[holder]]
        new = [(name, holder) for holder, names in self._held.items() for name in names - self._stored[holder]]
        if gone:
            self._connection.executemany("DELETE FROM permit WHERE name = ? AND holder = ?", gone)
        if new:
            self._connection.executemany("INSERT INTO permit (name, holder) VALUES (?, ?)", new)


class Buckets:
    """The rates that a batch is concerned with: the generic cell rate algorithm, which is one moment for each name."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection: Final = connection
        self._full_at: dict[str, float] = {}
        self._changed: set[str] = set()

    def look(self, names: Collection[str]) -> None:
        """Read when the buckets are full."""
        if names:
            question = "SELECT name, full_at FROM bucket WHERE name IN (SELECT value FROM json_each(?))"
            self._full_at = dict(self._connection.execute(question, (json.dumps([*names]),)).fetchall())

    def take(self, rate: RatePermit, now: float) -> float | None:
        """Let one start; or return when it fits."""
        full_at = self._full_at.get(rate.name, now)
        fits_at = full_at - (rate.capacity - 1) * rate.interval
        if fits_at > now + _EARLY:
            return fits_at
        self._full_at[rate.name] = max(full_at, now) + rate.interval
        self._changed.add(rate.name)
        return None

    def write(self) -> None:
        """Write what has changed."""
        for name in self._changed:
            self._connection.execute(
                "INSERT OR REPLACE INTO bucket (name, full_at) VALUES (?, ?)", (name, self._full_at[name])
            )
