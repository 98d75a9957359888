"""The limit holds whatever the way in which children are awaited."""

import asyncio
import random

import pytest
from helpers import Gauge, assert_at_rest, assert_lawful, turns

from pynenc_async import (
    Pynenc,
)
from pynenc_async.testing import wait_all_tasks_blocked


async def by_await(make):
    return [await make(n) for n in range(3)]


async def by_await_later(make):
    handles = [make(n) for n in range(3)]
    return [await handle for handle in handles]


async def by_gather(make):
    return await asyncio.gather(*(make(n) for n in range(3)))


async def by_task_group(make):
    async def one(handle):
        return await handle

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(make(n))) for n in range(3)]
    return [task.result() for task in tasks]


async def by_wait_for(make):
    return [await asyncio.wait_for(make(n), 30) for n in range(3)]


async def by_timeout(make):
    async with asyncio.timeout(30):
        return await by_await(make)


async def by_shield(make):
    return [await asyncio.shield(make(n)) for n in range(3)]


async def by_wait(make):
    done, _ = await asyncio.wait([asyncio.ensure_future(make(n)) for n in range(3)])
    return sorted(task.result() for task in done)


WAYS = (by_await, by_await_later, by_gather, by_task_group, by_wait_for, by_timeout, by_shield, by_wait)


@pytest.mark.parametrize("limit", [1, 2, 3])
@pytest.mark.parametrize("way", WAYS)
async def test_the_limit_holds_whatever_the_way_in_which_children_are_awaited(way, limit):
    app = Pynenc(max_concurrency=limit)
    gauge = Gauge()

    @app.task
    async def child(n):
        with gauge:
            await turns(n)
            return n

    @app.task
    async def parent(k):
        with gauge:
            await turns(k)
            with gauge.away():
                result = await way(child)
            await turns(2)
            return result

    parents = [parent(k) for k in range(4)]
    assert [await one for one in parents] == [[0, 1, 2]] * 4
    assert 1 <= gauge.peak <= limit
    for one in parents:
        assert_lawful(one)
    await assert_at_rest(app)


@pytest.mark.virtual
async def test_a_random_crowd_never_exceeds_the_limit_and_leaves_nothing():
    rng = random.Random(20)
    app = Pynenc(max_concurrency=3, max_threads=2)
    gauge = Gauge()

    @app.task
    async def node(depth, seed):
        chance = random.Random(seed)
        with gauge:
            await asyncio.sleep(chance.choice((0, 0, 1)))
            if not depth:
                return 1
            way = chance.choice(WAYS)
            with gauge.away():
                below = await way(lambda n: chance.choice((node, leaf))(depth - 1, seed * 3 + n))
            await asyncio.sleep(chance.choice((0, 1)))
            return 1 + len(below)

    @app.task
    def leaf(depth, seed):
        with gauge:
            return 1

    handles = [node(2, rng.randrange(1_000)) for _ in range(10)]
    waiters = [asyncio.ensure_future(handle) for handle in handles]
    await asyncio.sleep(0.5)
    for waiter in waiters[::2]:
        waiter.cancel()
    await wait_all_tasks_blocked()
    for handle in handles:
        assert await handle > 0
    await asyncio.gather(*waiters, return_exceptions=True)
    assert gauge.peak == 3
    await assert_at_rest(app)
