"""What the stores in memory of one process share: the tables, who is alive, and the bells.

A runner in memory need not renew its lease: it lives as long as nobody stops it (`MemoryStore.kill`, `stall`). From then on
its lease runs out by the clock of the hub, and it is dead from that moment on, whoever looks first.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from threading import RLock
from typing import Final

import msgspec

from pynenc_async.clock import monotonic_clock_of
from pynenc_async.errors import StoreError
from pynenc_async.store.memory_tables import Tables

Clock = Callable[[], float]


class Lease(msgspec.Struct, frozen=True):
    """What is known of the life of a runner."""

    seconds: float
    ends_at: float | None = None
    """None: it is renewed."""
    is_dead: bool = False
    """Once and for all, until it rejoins."""


class MemoryHub:
    """A database in memory: apps in one process, or one after the other, meet in it.

    `clock` measures the leases, in seconds; it only moves forward. By default it is that of the event loop of whoever opens a
    store: in a simulated loop, virtual time. A simulated loop is a world of its own: when a store is opened in another
    one, the runners of the world before are dead.
    """

    def __init__(self, *, clock: Clock | None = None) -> None:
        self.lock: Final = RLock()
        """Held while the tables are read or written: `peek` may be called in any thread."""
        self.tables: Final = Tables()
        self._given_clock: Final = clock
        self._clock: Clock | None = clock
        self._leases: Final[dict[str, Lease]] = {}
        self._deaths: Final[Counter[str]] = Counter()
        self._bells: Final[dict[str, list[Callable[[], None]]]] = {}
        self.stopping: Final[set[str]] = set()
        """The runners that have announced that they stop."""

    # -- life and death ------------------------------------------------------------------------------------------------

    def enrol(self, runner_id: str, lease_seconds: float) -> None:
        """Begin the lease of a runner. Raises `StoreError` for one that has been here before."""
        if runner_id in self._leases:
            raise StoreError(f"runner {runner_id!r} is enrolled already; the id of a runner is new with each start")
        self._enter_world()
        self._leases[runner_id] = Lease(lease_seconds)
        self._bells[runner_id] = []

    def _enter_world(self) -> None:
        if self._given_clock is not None:
            return
        clock = monotonic_clock_of(asyncio.get_running_loop())
        if self._clock is not None and clock != self._clock:
            for runner_id in self._leases:
                self.declare_dead(runner_id)
        self._clock = clock

    def is_alive(self, runner_id: str) -> bool:
        """Whether a runner has its lease."""
        lease = self._leases.get(runner_id)
        if lease is None or lease.is_dead:
            return False
        if lease.ends_at is not None and self._now() >= lease.ends_at:
            self.declare_dead(runner_id)
            return False
        return True

    def is_dead(self, runner_id: str) -> bool:
        """Whether others may take what a runner has."""
        return not self.is_alive(runner_id)

    def deaths(self) -> frozenset[tuple[str, int]]:
        """Return who has been declared dead, and how often: one that has joined again may have left something behind."""
        return frozenset(self._deaths.items())

    def notice_deaths(self) -> list[str]:
        """Return those whose lease has run out, and of whom nobody had noticed it."""
        living = [runner_id for runner_id, lease in self._leases.items() if not lease.is_dead]
        return [runner_id for runner_id in living if self.is_dead(runner_id)]

    def let_run_out(self, runner_id: str) -> None:
        """Renew the lease of a runner for the last time."""
        lease = self._leases[runner_id]
        if lease.ends_at is None:
            self._leases[runner_id] = Lease(lease.seconds, self._now() + lease.seconds, lease.is_dead)

    def declare_dead(self, runner_id: str) -> None:
        """End the lease of a runner at once."""
        if not self._leases[runner_id].is_dead:
            self._deaths[runner_id] += 1
        self._leases[runner_id] = Lease(self._leases[runner_id].seconds, is_dead=True)

    def renew(self, runner_id: str) -> None:
        """Give a runner a new lease."""
        self.stopping.discard(runner_id)
        self._leases[runner_id] = Lease(self._leases[runner_id].seconds)

    def _now(self) -> float:
        if self._clock is None:
            raise StoreError("nobody has opened this hub")
        return self._clock()

    # -- bells ---------------------------------------------------------------------------------------------------------

    def hang(self, runner_id: str, ring: Callable[[], None]) -> None:
        """Add a bell of a runner."""
        self._bells[runner_id].append(ring)

    def take_down(self, runner_id: str) -> None:
        """Remove all bells of a runner."""
        self._bells[runner_id] = []

    def ring(self, by: str) -> None:
        """Ring the bells of all others, in the order in which they were enrolled."""
        with self.lock:
            bells = [ring for runner_id, rings in self._bells.items() if runner_id != by for ring in rings]
        for ring in bells:
            with suppress(RuntimeError):  # a loop that has been closed: a lost ring costs time, never work
                ring()
