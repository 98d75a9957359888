"""Running limits and rates across all processes: who holds which permit, and when others have started."""

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Collection
from struct import pack, unpack
from typing import Final

from pynenc_async.pacing import NONE, Starts, as_of, refused_until, started
from pynenc_async.store.values import Permit, RatePermit


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
    """The rates that a batch is concerned with, and what is remembered of the starts under each of them."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection: Final = connection
        self._starts: Final[dict[str, Starts]] = {}
        self._changed: Final[set[str]] = set()

    def look(self, names: Collection[str]) -> None:
        """Read what is remembered."""
        if names:
            question = "SELECT name, full_at, starts FROM bucket WHERE name IN (SELECT value FROM json_each(?))"
            for name, until, data in self._connection.execute(question, (json.dumps([*names]),)):
                self._starts[name] = _unpack(until, data)

    def take(self, rate: RatePermit, now: float) -> float | None:
        """Let one start; or return when it fits."""
        known = self._starts.get(rate.name, NONE)
        starts = as_of(rate, known, now)
        retry_at = refused_until(rate, starts, now)
        if retry_at is None:
            starts = started(rate, starts, now)
        if starts is not known:
            self._starts[rate.name] = starts
            self._changed.add(rate.name)
        return retry_at

    def write(self) -> None:
        """Write what has changed."""
        for name in self._changed:
            starts = self._starts[name]
            self._connection.execute(
                "INSERT OR REPLACE INTO bucket (name, full_at, starts) VALUES (?, ?, ?)",
                (name, starts.until, _pack(starts)),
            )


def _pack(starts: Starts) -> bytes | None:
    """Return the moments as little-endian doubles, behind the number of the next start; None: there are none."""
    return pack(f"<Q{len(starts.moments)}d", starts.number, *starts.moments) if starts.moments else None


def _unpack(until: float, data: bytes | None) -> Starts:
    if data is None:
        return Starts(until)
    number, *moments = unpack(f"<Q{len(data) // 8 - 1}d", data)
    return Starts(until, tuple(moments), number)
