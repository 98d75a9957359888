"""Uses of one task with totals of their own: each waits until fewer run than its own total, and nobody who could run sleeps."""

import asyncio

import pytest
from helpers import S, assert_at_rest

from pynenc_async import Pynenc


def now():
    return asyncio.get_running_loop().time()


@pytest.mark.virtual
async def test_who_waits_for_a_low_total_keeps_no_other_key_asleep():
    app = Pynenc()

    @app.task(running_concurrency="keys", key_arguments="key", running_total=2)
    async def work(key, seconds):
        await asyncio.sleep(seconds)

    handles = [work("a", 1), work("b", 100), work.with_options(running_total=1)("c", 1), work("d", 1)]
    await handles[3]
    assert now() == 2
    await asyncio.gather(*[one.wait() for one in handles])
    await assert_at_rest(app)


@pytest.mark.virtual
@pytest.mark.parametrize("scope", [{}, {"running_concurrency": "task", "running_limit": 9}])
async def test_nor_anybody_behind_it(scope):
    app = Pynenc()

    @app.task(running_total=2, **scope)
    async def work(seconds):
        await asyncio.sleep(seconds)

    handles = [work(1), work(100), work.with_options(running_total=1)(1), work(1)]
    await handles[3]
    assert now() == 2
    await asyncio.gather(*[one.wait() for one in handles])
    assert now() == 101
    await assert_at_rest(app)


@pytest.mark.virtual
async def test_a_holder_that_awaits_one_who_would_wait_behind_a_low_total_does_not_hang():
    app, children = Pynenc(), []

    @app.task(running_concurrency="keys", key_arguments="key", running_total=2)
    async def work(key, seconds):
        await asyncio.sleep(seconds)
        if key == "parent":
            children.append(work("child", 1))
            await children[0]

    handles = [work("parent", 2), work("a", 3), work.with_options(running_total=1)("narrow", 1)]
    await asyncio.gather(*[one.wait() for one in handles])
    assert [one.status for one in (*handles, *children)] == [S.SUCCESS] * 4
    await assert_at_rest(app)


@pytest.mark.virtual
async def test_a_permit_of_a_key_that_a_low_total_cannot_use_goes_to_the_next_of_that_key():
    app = Pynenc()

    @app.task(running_concurrency="keys", key_arguments="key", running_total=5)
    async def work(key, seconds):
        await asyncio.sleep(seconds)

    handles = [work("a", 1)]
    handles += [work.with_options(running_total=total)("a", 1) for total in (2, 9)]
    handles += [work("b", 100), work("c", 100)]
    await handles[2]
    assert now() == 2
    await asyncio.gather(*[one.wait() for one in handles])
    await assert_at_rest(app)
