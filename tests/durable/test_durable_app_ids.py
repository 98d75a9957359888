"""A file belongs to one app: another one is refused, instead of running the work of both."""

import sqlite3

import pytest

from pynenc_async import Pynenc, StoreError
from pynenc_async.store.memory import MemoryHub, MemoryStore
from pynenc_async.store.sqlite import SqliteStore


def make(path, app_id):
    return with_work(Pynenc(f"sqlite:///{path}", app_id=app_id))


def with_work(app):

    @app.task
    async def work(x: int) -> int:
        return x

    return app, work


@pytest.mark.slow
@pytest.mark.parametrize(("owner", "other"), [("shop", "bank"), ("shop", None), (None, "bank")])
async def test_a_file_refuses_an_app_of_another_name_and_its_own_goes_on(tmp_path, owner, other):
    app, work = make(tmp_path / "jobs.db", owner)
    async with app:
        stranger, _ = make(tmp_path / "jobs.db", other)
        with pytest.raises(StoreError, match=f"belongs to the app {app.app_id!r}, and this one is {stranger.app_id!r}"):
            await stranger.start()
        assert await work(1) == 1
    again, work = make(tmp_path / "jobs.db", owner)
    async with again:
        assert await work(2) == 2


async def test_processes_of_one_app_share_its_file(tmp_path):
    apps = [make(tmp_path / "jobs.db", "shop")[0] for _ in range(2)]
    async with apps[0], apps[1]:
        assert len({app._dispatcher.runner_id for app in apps}) == 2


async def test_a_copy_belongs_to_the_same_app(tmp_path):
    app, _ = make(tmp_path / "jobs.db", "shop")
    async with app:
        await app.backup(tmp_path / "copy.db")
    stranger, _ = make(tmp_path / "copy.db", "bank")
    with pytest.raises(StoreError, match="belongs to the app 'shop'"):
        await stranger.start()


async def test_a_file_of_an_earlier_version_belongs_to_the_app_that_opens_it_first(tmp_path):
    path = tmp_path / "jobs.db"
    app, _ = make(path, "shop")
    async with app:
        pass
    connection = sqlite3.connect(path)
    for younger in (
        "DROP TABLE app",
        "DROP TABLE stamp",
        "DROP INDEX stand_since",
        "ALTER TABLE stand DROP COLUMN since",
        "ALTER TABLE invocation DROP COLUMN since",
    ):
        connection.execute(younger)
    connection.execute("PRAGMA user_version = 4")
    connection.commit()
    connection.close()
    heir, work = make(path, "bank")
    async with heir:
        assert await work(1) == 1
    with pytest.raises(StoreError, match="belongs to the app 'bank'"):
        await app.start()


@pytest.mark.parametrize("kind", [SqliteStore, MemoryStore])
async def test_so_does_every_store_that_an_app_is_given(tmp_path, kind):
    place = MemoryHub() if kind is MemoryStore else tmp_path / "jobs.db"
    app, work = with_work(Pynenc(store=lambda: kind(place), app_id="shop"))
    stranger, _ = with_work(Pynenc(store=lambda: kind(place), app_id="bank"))
    async with app:
        handle = await work.with_options(delay=0.01).submit(1)
        with pytest.raises(StoreError, match="belongs to the app 'shop', and this one is 'bank'"):
            await stranger.start()
        assert await handle == 1
    with pytest.raises(StoreError, match="belongs to the app 'shop'"):
        await stranger.start()
    again, work = with_work(Pynenc(store=lambda: kind(place), app_id="shop"))
    async with again:
        assert await work(2) == 2


async def test_a_file_that_an_app_has_by_its_url_refuses_another_that_has_it_otherwise(tmp_path):
    app, _ = make(tmp_path / "jobs.db", "shop")
    stranger, _ = with_work(Pynenc(store=lambda: SqliteStore(tmp_path / "jobs.db"), app_id="bank"))
    async with app:
        with pytest.raises(StoreError, match="belongs to the app 'shop'"):
            await stranger.start()
