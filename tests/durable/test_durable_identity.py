"""Whose registration it is: an id belongs to one runner, and what it has registered is told from what others have."""

import pytest
from durable_world import World
from helpers import S

from pynenc_async import Pynenc, StoreError
from pynenc_async.store.memory import MemoryStore
from pynenc_async.store.sqlite import SqliteStore
from pynenc_async.store.values import NewInvocation


class Committing(MemoryStore):
    """Lets something happen before each commit that registers."""

    def __init__(self, hub, before_commit):
        super().__init__(hub)
        self._before_commit = before_commit

    async def commit(self, changes):
        if new := [change for change in changes if isinstance(change, NewInvocation)]:
            await self._before_commit(self, new)
        return await super().commit(changes)


def make(new_store):
    app, ran = Pynenc(store=new_store), []

    @app.task
    async def work(x: int) -> int:
        ran.append(x)
        return x

    return app, work, ran


async def test_a_registration_whose_answer_was_lost_is_recognised_when_it_is_made_again():
    async def commit_once_more(store, new):
        await MemoryStore.commit(store, new)

    world = World()
    app, work, ran = make(lambda: Committing(world.hub, commit_once_more))
    async with app:
        assert await (await work.submit(1)) == 1
        assert await work.parallelize([(2,), (3,)]) == [2, 3]
    assert ran == [1, 2, 3]


async def test_an_id_that_another_runner_has_registered_is_an_error_for_the_caller():
    world = World()
    stranger = MemoryStore(world.hub)
    await stranger.open("stranger", lease_seconds=600)

    async def be_faster(_, new):
        await stranger.commit(new)

    app, work, ran = make(lambda: Committing(world.hub, be_faster))
    async with app:
        invocation = work(1)
        with pytest.raises(StoreError, match="registered by runner stranger"):
            await invocation.accepted()
        with pytest.raises(StoreError, match="registered by runner stranger"):
            await invocation
        assert invocation.status is S.CANCELLED
        with pytest.raises(StoreError):
            await work.submit(2)
    assert ran == []
    assert {row.home for row in world.rows()} == {"stranger"}
    await stranger.close()


def at_path(path):
    return lambda: SqliteStore(path)


def in_memory(_):
    world = World()
    return lambda: MemoryStore(world.hub)


@pytest.mark.parametrize("store_of", [at_path, in_memory])
async def test_an_app_with_the_id_of_a_living_runner_does_not_start(tmp_path, store_of):
    new_store = store_of(tmp_path / "jobs.db")
    app, work, _ = make(new_store)
    other, *_ = make(new_store)
    other._dispatcher.ids.runner_id = app._dispatcher.ids.runner_id
    async with app:
        with pytest.raises(StoreError, match=app._dispatcher.runner_id):
            await other.start()
        assert await work(1) == 1
    await other.shutdown()


async def test_what_a_dead_runner_of_the_same_id_has_registered_is_nobody_elses_result(tmp_path):
    path = tmp_path / "jobs.db"
    app, work, _ = make(at_path(path))
    async with app:
        first = await work.submit(1)
        assert await first == 1
    other, work, ran = make(at_path(path))
    other._dispatcher.ids.runner_id = first.invocation_id.rpartition("-")[0]
    async with other:
        invocation = work(2)
        assert invocation.invocation_id == first.invocation_id
        with pytest.raises(StoreError, match="registered by runner"):
            await invocation
        assert await work(3) == 3
    assert ran == [3]
