"""A deadline holds for what a body has submitted also where that lies in the store alone, or is run by another process."""

import asyncio

import pytest

from pynenc_async import InvocationExpiredError
from pynenc_async import InvocationStatus as S

pytestmark = pytest.mark.virtual


def with_tasks(app):
    @app.task
    async def child(number: int, seconds: float) -> int:
        await asyncio.sleep(seconds)
        return number

    @app.task(detached=True)
    async def free() -> None: ...

    @app.task(deadline=20)
    async def parent(count: int) -> list[str]:
        children = [child(number, 15) for number in range(count)] + [free()]
        return [one.invocation_id for one in children]

    app.parent = parent
    return app


@pytest.mark.parametrize("window", [1, 10_000])
async def test_the_deadline_of_a_parent_is_stored_with_its_children_and_ends_them(world, window):
    app = with_tasks(world.app(store_window=window, max_concurrency=1, drain_seconds=0))
    async with app:
        parent = app.parent(4)
        *tied, free = await parent
        await asyncio.sleep(1)
        deadline = world.row(parent.invocation_id).deadline_at
        assert {world.row(one).deadline_at for one in tied} == {deadline}
        assert world.row(free).deadline_at is None
        await asyncio.sleep(100)
        assert world.row(tied[0]).status is S.SUCCESS
        assert not [one for one in tied[2:] if world.row(one).status is S.SUCCESS]
        assert world.row(free).status is S.SUCCESS


async def test_a_child_that_another_process_takes_over_ends_at_the_deadline_of_its_parent(world):
    one = with_tasks(world.app(max_concurrency=1, drain_seconds=0))
    async with one:
        *tied, _ = await one.parent(3)
        await asyncio.sleep(1)
    other = with_tasks(world.app(max_concurrency=1, drain_seconds=0))
    async with other:
        await asyncio.sleep(100)
        last = other.get_invocation(tied[-1])
        with pytest.raises(InvocationExpiredError, match="deadline"):
            await last


async def test_a_child_comes_back_from_the_store_after_its_parent_was_forgotten(world):
    app = with_tasks(world.app(store_window=1, max_concurrency=1, retain_count=0, drain_seconds=0))
    async with app:
        *tied, free = await app.parent(2)
        handles = [app.get_invocation(one) for one in (*tied, free)]
        await asyncio.gather(*(one.wait() for one in handles))
        assert handles[-1].status is S.SUCCESS


def with_family(app):
    app.ran = []

    @app.task
    async def child(number: int) -> None:
        app.ran.append(number)
        await asyncio.sleep(1_000)

    @app.task(detached=True)
    async def free() -> None: ...

    @app.task
    async def parent(count: int) -> None:
        if not app.stored():
            for number in range(count):
                child(number)
            free()
        await asyncio.sleep(10_000)

    app.parent = parent
    return app


def of_task(world, name):
    return [row for row in world.rows() if row.task_id.endswith(name)]


async def test_children_that_lie_in_the_store_alone_are_cancelled_with_their_parent(world):
    app = with_family(world.app(store_window=1, max_concurrency=2, drain_seconds=0))
    app.stored = lambda: False
    async with app:
        parent = await app.parent.submit(20)
        await asyncio.sleep(5)
        await parent.cancel()
        await asyncio.sleep(5)
        assert {row.status for row in of_task(world, ".child")} == {S.CANCELLED}
        assert [row.status for row in of_task(world, ".free")] == [S.SUCCESS]
        assert len(app.ran) == 1


async def test_cancelling_a_recovered_parent_cancels_the_children_of_its_interrupted_attempt(world):
    one, other = (with_family(world.app(drain_seconds=0)) for _ in range(2))
    one.stored = other.stored = lambda: bool(of_task(world, ".child"))
    await one.start()
    parent = await one.parent.submit(3)
    await asyncio.sleep(5)
    async with other:
        world.stores[0].kill(is_noticed=True)
        await asyncio.sleep(5)
        recovered = other.get_invocation(parent.invocation_id)
        assert recovered.status is S.RUNNING
        assert sorted(other.ran) == [0, 1, 2]
        await recovered.cancel()
        await asyncio.sleep(5)
        assert {row.status for row in of_task(world, ".child")} == {S.CANCELLED}
        assert [row.status for row in of_task(world, ".free")] == [S.SUCCESS]
    await one.shutdown(0)
