"""Keys take turns: a hot key starves no other, neither of the permits of its task nor of the slots of the app."""

import asyncio
from collections import Counter

import pytest
from helpers import assert_at_rest

from pynenc_async import Pynenc

OTHERS = 9
KEYS = OTHERS + 1


def crowd(hot, each):
    """One customer with many calls, then others with few."""
    return [0] * hot + [*range(1, KEYS)] * each


def latest(order):
    """By how many bodies the key that was treated worst began later than its fair share: a body in a round of all keys."""
    begun, worst = Counter(), 0
    for before, key in enumerate(order):
        begun[key] += 1
        worst = max(worst, before - (begun[key] * KEYS - 1))
    return worst


def noting(app, order, **options):
    @app.task(running_concurrency="keys", key_arguments="customer", **options)
    async def work(customer, fails=0):
        order.append(customer)
        await asyncio.sleep(0)

    return work


@pytest.mark.parametrize("slots", [1, 3])
@pytest.mark.parametrize("total", [None, 1, 2])
@pytest.mark.parametrize("limit", [1, 2])
async def test_no_key_waits_longer_than_its_fair_share_and_a_body(slots, total, limit):
    app, order = Pynenc(max_concurrency=slots), []
    work = noting(app, order, running_total=total, running_limit=limit)
    await work.parallelize([(customer,) for customer in crowd(200, 3)])
    assert latest(order) <= limit  # a key with more permits has its second body in the first round
    await assert_at_rest(app)


async def test_a_hot_key_takes_turns_with_keys_that_come_later():
    app, order = Pynenc(max_concurrency=1), []
    work = noting(app, order)
    hot = work.parallelize([(0,)] * 50)
    while len(order) < 10:
        await asyncio.sleep(0)
    await work.parallelize([(1,), (2,)])
    assert set(order[-4:]) == {0, 1, 2}
    assert len(order) < 20
    await hot
    await assert_at_rest(app)


async def test_who_has_waited_for_a_permit_goes_ahead_of_other_tasks_that_came_later():
    app, order = Pynenc(max_concurrency=1), []
    work = noting(app, order)

    @app.task
    async def later(n):
        order.append(f"later {n}")

    one = work.parallelize([(0,)] * 3)
    await asyncio.gather(*[later(n).until_ended() for n in range(10)])
    await one
    assert order[:3] == [0, 0, 0]
