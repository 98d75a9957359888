"""What a URL says about the store: `sqlite:///jobs.db`, `sqlite:////var/lib/jobs.db?durability=full&lease=30`."""

import math
import os
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from pynenc_async.errors import StoreError
from pynenc_async.option_rules import did_you_mean

LEASE: Final = 10.0
BUSY_TIMEOUT: Final = 30.0
_TAKEN_OUT: Final = "\t\n\r"
"""What `urlsplit` drops without a word."""
_FORMS: Final = "sqlite:///relative.db, sqlite:////absolute/path.db or sqlite:///C:/path.db"


class Durability(StrEnum):
    """What a commit survives once it has returned."""

    NORMAL = "normal"
    """The death of the process, by whatever cause. Loss of power may undo the last commits, never damage the file."""
    FULL = "full"
    """Loss of power as well: each transaction waits for the disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SqliteOptions:
    """Where the file is and how it is used. Raises `StoreError` for what cannot be."""

    path: str
    """Of the file. A relative one begins in the working directory of now, wherever the process goes later."""
    durability: Durability = Durability.NORMAL
    lease_seconds: float = LEASE
    """A runner that has not renewed its lease for so long is dead."""
    busy_timeout: float = BUSY_TIMEOUT
    """Seconds for which the lock of another process is waited for."""

    def __post_init__(self) -> None:
        if not self.path or "\0" in self.path:
            raise StoreError(f"SQLite store: the URL names no file; write {_FORMS}")
        try:
            os.fsencode(self.path)
        except UnicodeEncodeError as error:
            raise StoreError(f"SQLite store: no file has the name {self.path!r}: {error}") from None
        if ":memory:" in self.path:
            raise StoreError("SQLite store: ':memory:' would keep nothing; write memory:// for a store in memory")
        if self.durability not in list(Durability):
            raise _bad("durability", str(self.durability), f"{' or '.join(Durability)}")
        object.__setattr__(self, "durability", Durability(self.durability))
        object.__setattr__(self, "path", str(Path(self.path).absolute()))
        if not 0 < self.lease_seconds < math.inf:
            raise _bad("lease", str(self.lease_seconds), "a number of seconds above 0, for instance lease=10")
        if not 0 <= self.busy_timeout <= 1e6:  # noqa: PLR2004  SQLite counts milliseconds in 32 bits
            raise _bad("busy_timeout", str(self.busy_timeout), "a number of seconds, for instance busy_timeout=30")

    def resolved(self) -> "SqliteOptions":
        """Return the same for the file itself, whatever links lead to it: what lies beside it has one name for all."""
        return replace(self, path=os.path.realpath(self.path))

    @classmethod
    def from_url(cls, url: str) -> "SqliteOptions":
        """Read a URL. Raises `StoreError`, which names the part that is wrong and says what it should be."""
        parts = urlsplit(url)
        if parts.scheme != "sqlite":
            raise StoreError(f"{url!r} is no URL of a SQLite store; write {_FORMS}")
        if parts.netloc:
            raise StoreError(f"{url!r}: a file has no host, {parts.netloc!r} was found; write {_FORMS}")
        if not parts.path.startswith("/"):
            raise StoreError(f"{url!r}: three slashes come before the name of the file; write {_FORMS}")
        if any(letter in url for letter in _TAKEN_OUT):
            raise StoreError(f"{url!r}: a tab or a line break ends no name; write %09, %0A or %0D if it is part of it")
        if parts.fragment:
            raise StoreError(f"{url!r}: '#' begins a fragment; write %23 for a '#' in the name of the file")
        values = _parameters(url, parts.query)
        return cls(
            # The first slash ends the (empty) host. What is no UTF-8 is a name all the same, as `os.fsdecode` has it.
            path=unquote(parts.path, errors="surrogateescape")[1:],
            durability=_durability(values.pop("durability", Durability.NORMAL)),
            lease_seconds=_number("lease", values.pop("lease", str(LEASE))),
            busy_timeout=_number("busy_timeout", values.pop("busy_timeout", str(BUSY_TIMEOUT))),
        )


def _parameters(url: str, query: str) -> dict[str, str]:
    known = ("durability", "lease", "busy_timeout")
    values: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in known:
            raise StoreError(
                f"{url!r}: unknown parameter {name!r}; there are {', '.join(known)}{did_you_mean(name, known)}"
            )
        if name in values:
            raise StoreError(f"{url!r}: parameter {name!r} is there twice; keep one of them")
        values[name] = value
    return values


def _durability(value: str) -> Durability:
    if value not in list(Durability):
        raise _bad("durability", value, " or ".join(Durability))
    return Durability(value)


def _number(name: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise _bad(name, value, f"a number of seconds, for instance {name}=10") from None


def _bad(name: str, value: str, wanted: str) -> StoreError:
    return StoreError(f"SQLite store: parameter {name!r} must be {wanted}, not {value!r}")
