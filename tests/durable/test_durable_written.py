"""What is written down is what happened: the store's history and the handle's are one, and waiting costs next to nothing."""

import asyncio
import gc

import pytest
from durable_world import World

from pynenc_async import RetryError


def told_here(invocation):
    return [(step.status, step.timestamp, step.attempt, step.reason) for step in invocation.history]


def told_by_store(world, invocation):
    steps = world.hub.tables.histories[invocation.invocation_id]
    return [(step.status, step.timestamp, step.attempt, step.reason) for step in steps]


def ways_to_an_end(app):
    @app.task
    async def child():
        await asyncio.sleep(1)

    @app.task
    async def returns():
        return 1

    @app.task
    async def raises():
        raise ValueError("no")

    @app.task
    async def pauses():
        await child()

    @app.task(max_retries=2)
    async def retries():
        raise RetryError(after=1)

    @app.task
    def in_thread():
        return 1

    @app.task(delay=1)
    async def later():
        return 1

    @app.task(running_concurrency="task")
    async def limited():
        await asyncio.sleep(1)

    return {
        task.task_id.rpartition(".")[2]: task for task in (returns, raises, pauses, retries, in_thread, later, limited)
    }


@pytest.mark.virtual
@pytest.mark.parametrize("way", ["returns", "raises", "pauses", "retries", "in_thread", "later", "limited"])
async def test_the_history_of_the_store_is_that_of_the_handle(way):
    world = World()
    app = world.app()
    task = ways_to_an_end(app)[way]
    async with app:
        several = [task() for _ in range(3)]
        for invocation in several:
            await invocation.wait()
            invocation.exception()
        for invocation in several:
            assert told_here(invocation) == told_by_store(world, invocation)


@pytest.mark.virtual
async def test_observers_see_every_step_of_a_stored_invocation():
    world = World()
    app = world.app()
    seen = []
    app.observe(lambda event: seen.append((event.invocation_id, event.status)))

    @app.task
    async def noop():
        return None

    async with app:
        invocation = noop()
        await invocation
        await asyncio.sleep(1)
    assert [status for found, status in seen if found == invocation.invocation_id] == world.path(
        invocation.invocation_id
    )


@pytest.mark.slow
@pytest.mark.virtual
async def test_the_garbage_collector_has_two_objects_to_look_at_for_each_that_waits():
    app = World().app(max_concurrency=1)

    @app.task
    async def noop():
        return None

    async with app:
        gc.collect()
        before = len(gc.get_objects())
        waiting = [noop() for _ in range(1_000)]
        gc.collect()
        grown = len(gc.get_objects()) - before
        assert grown < 2.1 * len(waiting), (
            f"{grown / len(waiting)} objects for each: its record and its context will do"
        )
