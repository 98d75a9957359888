"""How the stores that are shipped are made for the conformance suite."""

import asyncio
import shutil
import tempfile
from pathlib import Path

from pynenc_async.store.sqlite import SqliteStore
from pynenc_async.testing import MemoryStoreHarness, StoreHarness

SHM = Path("/dev/shm")  # noqa: S108
IN_MEMORY = SHM if SHM.is_dir() else None  # what is asked here is not whether disks are quick


class SqliteStoreHarness(StoreHarness):
    """A file of its own, and a process that is deaf and stopped where it is to be lost."""

    patience = 50.0

    async def start(self):
        self._directory = tempfile.mkdtemp(dir=IN_MEMORY)

    async def open(self, runner_id):
        store = SqliteStore(Path(self._directory) / "store.db")
        await store.open(runner_id, lease_seconds=600)
        return store

    async def lose(self, store):
        store._opened.lease._seconds = -1.0  # as if it had not been renewed for so long
        store._opened.lease.renew()

    async def stop(self):
        await asyncio.to_thread(shutil.rmtree, self._directory)


HARNESSES = [MemoryStoreHarness, SqliteStoreHarness]
