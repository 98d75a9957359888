"""The system refuses the store a thread: opening it says so, and leaves nothing behind."""

import asyncio
import threading

import pytest
from refusals import REFUSALS, System, open_files

from pynenc_async import Pynenc, StoreError
from pynenc_async.store.sqlite import SqliteStore

THREADS = ("reader", "writer", "keeper", "checkpoints", "searcher")


def threads_of_store():
    return {thread for thread in threading.enumerate() if thread.name.startswith("pynenc_async-sqlite")}


def beside(path):
    return sorted(one.name for one in path.iterdir() if one.name != "jobs.db")


@pytest.mark.slow
@pytest.mark.parametrize("thread", THREADS)
async def test_opening_says_so_and_leaves_nothing_behind(thread, tmp_path, monkeypatch):
    database = tmp_path / "jobs.db"
    await opened_and_closed(database)
    before, others = beside(tmp_path), threads_of_store()
    system = System(monkeypatch, name=f"pynenc_async-sqlite-{thread}")
    with pytest.raises(StoreError, match="a thread that it needs could not be started") as caught:
        await SqliteStore(str(database)).open("one")
    assert caught.value.__cause__ is REFUSALS[0]
    assert beside(tmp_path) == before
    assert open_files(tmp_path) == 0
    assert threads_of_store() <= others
    system.relent()
    await opened_and_closed(database)


async def opened_and_closed(database):
    store = SqliteStore(str(database))
    await store.open("one")
    await store.close()


@pytest.mark.parametrize("thread", THREADS)
async def test_an_app_that_could_not_start_can_be_started_again(thread, tmp_path, monkeypatch):
    app = Pynenc(f"sqlite:///{tmp_path}/jobs.db")

    @app.task
    async def work() -> str:
        return "done"

    system = System(monkeypatch, name=f"pynenc_async-sqlite-{thread}")
    with pytest.raises(StoreError, match="could not be started"):
        await app.start()
    system.relent()
    async with app:
        assert await work() == "done"


async def test_whoever_opens_it_is_cancelled_and_nothing_is_left(tmp_path):
    database = tmp_path / "jobs.db"
    await opened_and_closed(database)
    before, others = beside(tmp_path), threads_of_store()
    opening = asyncio.ensure_future(SqliteStore(str(database)).open("one"))
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert beside(tmp_path) == before
    assert open_files(tmp_path) == 0
    assert threads_of_store() <= others
    await opened_and_closed(database)
