"""The tables of a store in memory, and how a change to several of them is taken back.

Every value in them is frozen: what is handed out cannot be changed by anybody, and the old value is all that it takes to
undo a change.
"""

from collections.abc import Callable
from typing import Final, Self, TypeVar

import msgspec

from pynenc_async.pacing import Starts
from pynenc_async.status import RULES, Ownership
from pynenc_async.store.values import Fire, StoredInvocation, StoredStep, WaitChange

K = TypeVar("K")
V = TypeVar("V")

OWNED: Final = frozenset(
    status for status, rule in RULES.items() if rule.ownership in (Ownership.ACQUIRES, Ownership.REQUIRED)
)
"""The statuses in which a runner owns an invocation, and the invocation holds its permits."""


class Stand(msgspec.Struct, frozen=True):
    """Who stands under a unique key."""

    invocation_id: str
    until_started: bool
    until: float | None
    since: float | None

    def holds(self, now: float) -> bool:
        """Whether it still does, as far as time is concerned."""
        return self.until is None or now < self.until


class Tables:
    """All that the store knows."""

    def __init__(self) -> None:
        self.app_id: str | None = None
        """Of the app whose they are; None: nobody's yet."""
        self.invocations: Final[dict[str, StoredInvocation]] = {}
        """In the order of their first commit."""
        self.histories: Final[dict[str, tuple[StoredStep, ...]]] = {}
        self.journals: Final[dict[str, tuple[tuple[bytes, str | None], ...]]] = {}
        """Each entry with the invocation that it names."""
        self.spared: Final[dict[str, None]] = {}
        """What a purge has met and left, for the journal of an invocation that has not ended names it."""
        self.sparing: Final[dict[str, None]] = {}
        """For the sake of which that was."""
        self.asked: Final[dict[str, None]] = {}
        """Which somebody wants to be cancelled."""
        self.orphans: Final[dict[str, None]] = {}
        """Which belong to a former life of their home: to nobody, until somebody recovers them."""
        self.stands: Final[dict[str, Stand]] = {}
        """By unique key."""
        self.keys: Final[dict[str, str]] = {}
        """The unique key of an invocation that has one."""
        self.fires: Final[dict[Fire, None]] = {}
        self.holders: Final[dict[str, frozenset[str]]] = {}
        """Which invocations hold a permit, by its name."""
        self.held: Final[dict[str, frozenset[str]]] = {}
        """The names of the permits that an invocation holds."""
        self.waits: Final[dict[str, tuple[int, WaitChange]]] = {}
        """What was said to wait, in its present revision, each with its number."""
        self.waits_said = 0
        """The number of the last of them; it may have been taken back."""
        self.buckets: Final[dict[str, Starts]] = {}
        """What is remembered of the starts under each rate, by its name."""

    def is_home(self, runner_id: str, row: StoredInvocation) -> bool:
        """Whether an invocation belongs to a runner, in its present life."""
        return row.home == runner_id and row.invocation_id not in self.orphans

    def standing_until_later(self, now: float) -> set[str]:
        """Return what stands until a moment that lies ahead."""
        return {stand.invocation_id for stand in self.stands.values() if stand.until is not None and stand.holds(now)}

    def standing(self, key: str, now: float) -> str | None:
        """Return who stands under a key."""
        stand = self.stands.get(key)
        return stand.invocation_id if stand is not None and stand.holds(now) else None


class Transaction:
    """A set of changes that happens as a whole: what raises inside of the `with` has changed nothing."""

    def __init__(self) -> None:
        self._undo: Final[list[Callable[[], object]]] = []

    def put(self, table: dict[K, V], key: K, value: V) -> None:
        """Set an entry."""
        if key in table:
            before = table[key]
            self._undo.append(lambda: table.__setitem__(key, before))
        else:
            self._undo.append(lambda: table.pop(key))
        table[key] = value

    def drop(self, table: dict[K, V], key: K) -> None:
        """Remove an entry, if there is one."""
        if key in table:
            before = table.pop(key)
            self._undo.append(lambda: table.__setitem__(key, before))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_rest: object) -> None:
        if kind is not None:
            while self._undo:
                self._undo.pop()()
