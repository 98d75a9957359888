"""A process that is killed while it stops: what it had under way has not crashed."""

import asyncio

import pytest
from durable_world import World
from helpers import S

pytestmark = pytest.mark.virtual


def make(world, **options):
    app = world.app(**options)

    @app.task(max_crashes=2)
    async def report() -> str:
        await asyncio.sleep(1_000)
        return "written"

    return app, report


async def interrupted(world, *, announced):
    """Let a process that has the invocation be killed: while it drains, or without a word."""
    app, _ = make(world)
    await app.start()
    await asyncio.sleep(1)
    stopping = asyncio.ensure_future(app.shutdown(500)) if announced else None
    await asyncio.sleep(1)
    world.stores[-1].kill(is_noticed=True)
    if stopping is not None:
        stopping.cancel()
    await app.shutdown(0)


async def test_many_deploys_do_not_fail_a_long_task():
    world = World()
    app, report = make(world)
    async with app:
        invocation_id = (await report.submit()).invocation_id
        await asyncio.sleep(1)
        world.stores[-1].kill(is_noticed=True)  # one crash, which counts
        await app.shutdown(0)
    for _ in range(4):
        await interrupted(world, announced=True)
        assert world.row(invocation_id).crashes == 1
    app, _ = make(world)
    async with app:
        assert await app.get_invocation(invocation_id) == "written"


async def test_a_death_without_a_word_counts():
    world = World()
    app, report = make(world)
    async with app:
        invocation_id = (await report.submit()).invocation_id
        await asyncio.sleep(1)
        world.stores[-1].kill(is_noticed=True)
        await app.shutdown(0)
    await interrupted(world, announced=False)
    app, _ = make(world)
    async with app:
        assert app.get_invocation(invocation_id).status is S.FAILED
