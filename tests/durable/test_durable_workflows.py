"""A workflow that was interrupted goes on, in another process, where it was: nothing that succeeded is done again."""

import asyncio
from collections import Counter

import pytest
from durable_world import World
from helpers import S
from test_durable_crashes import Process, assert_all_is_well, wait_for_rest

from pynenc_async import workflow
from pynenc_async.store.values import JournalChange, NewInvocation


class Shop:
    """A workflow of three steps, and the effects that it has on the world."""

    def __init__(self):
        self.effects = Counter()
        self.keys = []
        self.attempts = 0

    def make(self, app):
        @app.task
        async def charge(item: str, key: str) -> str:
            self.effects["charge"] += 1
            return f"paid {item} {key}"

        @app.task
        async def ship(paid: str) -> str:
            self.effects["ship"] += 1
            await asyncio.sleep(5)
            return f"shipped after {paid}"

        @app.task(workflow=True, max_retries=2)
        async def order(item: str) -> str:
            self.attempts += 1
            key = str(workflow.uuid4())
            self.keys.append(key)
            paid = await charge(item, key)
            await asyncio.sleep(1)
            return await ship(paid)

        return order, charge, ship


def interrupted(world, shop, *, until):
    """Run an order in a process that dies once `until` holds."""

    async def program(_app, tasks):
        handle = tasks[0]("book")
        while not until(handle):
            await asyncio.sleep(0.01)
        process.die()
        await asyncio.sleep(1_000)

    process = Process(world)
    process.run(shop.make, program)


@pytest.mark.parametrize("where", ["between the steps", "in the second step"])
def test_a_workflow_repeats_nothing_that_succeeded_before_the_crash(where):
    world, shop = World(), Shop()
    in_second = where == "in the second step"
    interrupted(world, shop, until=lambda _: shop.effects["ship" if in_second else "charge"] == 1)
    assert Process(world).run(shop.make, wait_for_rest)
    assert_all_is_well(world)
    orders = [row for row in world.rows() if row.task_id.endswith("order")]
    assert [row.status for row in orders] == [S.SUCCESS]
    assert shop.attempts == 2
    assert len(set(shop.keys)) == 1
    assert shop.effects["charge"] == 1
    assert b"shipped after paid book" in orders[0].result
    children = Counter(row.task_id.rpartition(".")[2] for row in world.rows())
    assert children == {"order": 1, "charge": 1, "ship": 1}


def test_the_store_knows_what_a_workflow_in_a_thread_asks_for_before_it_has_that():
    journalled, too_early = set(), []

    def look(_name, changes):
        for change in changes:
            if isinstance(change, JournalChange):
                journalled.update(change.names)
            elif isinstance(change, NewInvocation) and change.parent_invocation_id is not None:
                too_early.extend({change.invocation_id} - journalled)

    async def main():
        app = World().app(before=look)

        @app.task
        def child(number: int) -> int:
            return number

        @app.task(workflow=True)
        def parent() -> int:
            return sum(child(number).result for number in range(300))

        async with app:
            assert await parent() == sum(range(300))

    asyncio.run(main())  # with threads that run freely
    assert len(journalled) == 300
    assert too_early == []
