"""The harness of the store in memory: also an example of one."""

from typing import Final

from pynenc_async.store.base import Store
from pynenc_async.store.memory import MemoryHub, MemoryStore
from pynenc_async.testing.store_checks.harness import StoreHarness

_LEASE_SECONDS: Final = 10.0


class MemoryStoreHarness(StoreHarness):
    """A hub with a clock that only `lose` moves: the living do not look at it."""

    store_type: type[MemoryStore] = MemoryStore
    """For a store that is derived from it."""

    def __init__(self) -> None:
        self._now = 0.0
        self._hub: Final = MemoryHub(clock=lambda: self._now)

    async def open(self, runner_id: str) -> MemoryStore:
        """Open a store on the hub."""
        store = self.store_type(self._hub)
        await store.open(runner_id, lease_seconds=_LEASE_SECONDS)
        return store

    async def lose(self, store: Store) -> None:
        """Stall the runner, and let its lease run out."""
        if isinstance(store, MemoryStore):
            store.stall()
        self._now += _LEASE_SECONDS
