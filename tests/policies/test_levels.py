"""Levels of priority: which goes first, however many there are, and what they leave behind."""

import asyncio
import gc
from itertools import pairwise

import pytest
from helpers import Gate, assert_at_rest
from hypothesis import given
from hypothesis import strategies as st

from pynenc_async import Pynenc
from pynenc_async.testing import VirtualLoop


async def order_of(submissions, ageing_seconds):
    """Submit (pause before it, level) one after the other while nothing can begin, and return in which order they ran."""
    app, began, busy = Pynenc(max_concurrency=1, ageing_seconds=ageing_seconds), [], Gate()

    @app.task(priority=1_000_000)
    async def hold():
        await busy.wait()

    @app.task
    async def work(number):
        began.append(number)

    async with app:
        hold()
        await asyncio.sleep(0)
        for number, (pause, level) in enumerate(submissions):
            await asyncio.sleep(pause)
            work.with_options(priority=level)(number)
        busy.open()
    return began


submissions = st.lists(st.tuples(st.sampled_from([0, 0, 10, 70, 200]), st.integers(-3, 3)), max_size=25)


@pytest.mark.slow
@given(submissions=submissions)
def test_the_highest_level_goes_first_then_the_oldest(submissions):
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        began = runner.run(order_of(submissions, None))
    assert began == sorted(range(len(submissions)), key=lambda number: (-submissions[number][1], number))


SPAN = 64  # seconds; by a power of two is divided without rounding, so that whatever is equal is seen to be equal


@pytest.mark.slow
@given(submissions=submissions)
def test_a_level_is_worth_a_span_of_waiting(submissions):
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        began = runner.run(order_of(submissions, SPAN))
    moment, ranks = 0, []
    for pause, level in submissions:
        moment += pause
        ranks.append((moment / SPAN - level, -level))
    assert [ranks[number] for number in began] == sorted(ranks)
    for number, later in pairwise(began):
        assert submissions[number][1] != submissions[later][1] or number < later


@pytest.mark.virtual
async def test_a_level_that_is_no_longer_used_leaves_nothing_behind():
    app = Pynenc(retain_count=0)

    @app.task
    async def work(): ...

    for level in range(200):
        await work.with_options(priority=level)()
    await asyncio.gather(*[work.with_options(priority=-level)() for level in range(1, 200)])
    ready = app._dispatcher.scheduler.ready
    gc.collect()
    assert (len(ready.others), len(ready._order), len(ready._by_level)) == (0, 0, 0)
    await assert_at_rest(app)


@pytest.mark.virtual
async def test_a_body_that_polls_leaves_one_entry_in_the_queue():
    app, busy = Pynenc(max_concurrency=1), Gate()

    @app.task
    async def hold():
        await busy.wait()

    @app.task
    async def queued(): ...

    @app.task
    async def poll():
        later = queued()
        blockers.append(hold())
        for _ in range(50):
            await later.wait(timeout=1)
        return len(app._dispatcher.scheduler.ready.base.urgent)

    blockers = []
    hold_first = hold()
    poller = poll()
    await asyncio.sleep(0)
    busy.open()
    await hold_first
    assert await poller <= 2
    await assert_at_rest(app)
