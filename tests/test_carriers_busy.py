"""What is accepted begins as fast as it comes, as long as slots are free, however much comes in one turn of the loop."""

import asyncio
import itertools

import pytest
from helpers import assert_at_rest, slow, turns

from pynenc_async import Pynenc
from pynenc_async.execution.shift import BATCH, MOST_SECONDS, SLICE_SECONDS, Shift
from pynenc_async.store.memory import MemoryHub, MemoryStore

TURNS = 24


def stored(**options):
    hub = MemoryHub()
    return Pynenc(store=lambda: MemoryStore(hub), **options)


async def most_that_waited(app, job, each):
    """Submit so many in each turn of the loop, as a server does; return how many waited at most, once it had got going."""
    scheduler, handles, waited = app._dispatcher.scheduler, [], []
    for _ in range(TURNS):
        handles += [job() for _ in range(each)]
        await asyncio.sleep(0)
        waited.append(scheduler.waiting)
    for handle in handles:
        await handle
    return max(waited[TURNS // 2 :])


def yields_once(app):
    @app.task
    async def job():
        await asyncio.sleep(0)

    return job


def takes_a_while(app):
    @app.task
    async def job():
        await asyncio.sleep(0.001)

    return job


def awaits_another(app):
    @app.task
    async def child():
        await asyncio.sleep(0)

    @app.task
    async def job():
        await child()

    return job


@pytest.mark.virtual
@pytest.mark.parametrize("define", [yields_once, takes_a_while, awaits_another])
@pytest.mark.parametrize("each", [10, 200, slow(1_000)])
async def test_a_busy_loop_keeps_up(define, each):
    async with Pynenc(max_concurrency=None) as app:
        assert await most_that_waited(app, define(app), each) <= 3 * each
        await assert_at_rest(app)


@pytest.mark.slow
@pytest.mark.virtual
@pytest.mark.parametrize("each", [10, 100])
async def test_a_busy_loop_keeps_up_with_a_store(each):
    async with stored(max_concurrency=None) as app:
        assert await most_that_waited(app, takes_a_while(app), each) <= 12 * each  # a commit takes turns of its own


@pytest.mark.parametrize("define", [yields_once, takes_a_while])
async def test_bodies_go_on_in_the_order_in_which_they_have_begun(define):
    async with Pynenc(max_concurrency=None) as app:
        order, waits = [], define(app)

        @app.task
        async def job(i):
            order.append(i)
            await asyncio.sleep(0)
            order.append(-i)

        await waits()
        handles = [job(i) for i in range(1, 3 * BATCH)]
        for handle in handles:
            await handle
        assert [i for i in order if i > 0] == list(range(1, 3 * BATCH))
        assert [-i for i in order if i < 0] == list(range(1, 3 * BATCH))


async def test_no_more_begin_than_there_are_slots():
    async with Pynenc(max_concurrency=7) as app:
        inside = peak = 0

        @app.task
        async def job():
            nonlocal inside, peak
            inside += 1
            peak = max(peak, inside)
            await asyncio.sleep(0)
            inside -= 1

        for handle in [job() for _ in range(500)]:
            await handle
        assert peak == 7


async def test_a_flood_of_work_leaves_turns_to_others():
    async with Pynenc() as app:
        ended, seen = [], []

        @app.task
        async def job(i):
            ended.append(i)

        handles = [job(i) for i in range(50 * BATCH)]
        while len(ended) < len(handles):
            seen.append(len(ended))
            await asyncio.sleep(0)
        assert max(after - before for before, after in itertools.pairwise(seen)) <= BATCH


# -- what it costs -----------------------------------------------------------------------------------------------------


def tasks_so_far():
    task = asyncio.ensure_future(asyncio.sleep(0))
    return int(task.get_name().rpartition("-")[2])


async def test_what_does_not_suspend_makes_no_tasks():
    async with Pynenc() as app:

        @app.task
        async def noop():
            pass

        await noop()
        before = tasks_so_far()
        await noop.parallelize([()] * 5_000)
        assert tasks_so_far() - before <= 4


async def test_what_suspends_makes_one_task_each():
    async with Pynenc() as app:

        @app.task
        async def job(suspends):
            if suspends:
                await asyncio.sleep(0)

        await job(False)
        before = tasks_so_far()
        handles = [job(i % 5 == 0) for i in range(1_000)]
        for handle in handles:
            await handle
        assert 200 <= tasks_so_far() - before <= 220


# -- what bodies that begin together may await -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["future", "task"])
async def test_bodies_that_begin_in_one_turn_may_await_one_future(kind):
    app, loop = Pynenc(), asyncio.get_running_loop()
    future = loop.create_future()
    shared = future if kind == "future" else asyncio.ensure_future(asyncio.wait_for(future, 60))

    @app.task
    async def job():
        return await shared

    @app.task
    async def parent():
        return await job()

    async def in_place():
        return await parent()

    handles = [job() for _ in range(5)] + [parent() for _ in range(5)]
    await turns(2)
    waiting = [asyncio.ensure_future(in_place()) for _ in range(5)]
    await turns(3)
    future.set_result(7)
    assert [await one for one in (*handles, *waiting)] == 15 * [7]
    await assert_at_rest(app)


async def test_bodies_that_begin_in_one_turn_are_cancelled_each_for_itself():
    app = Pynenc()
    cleaned = []

    @app.task
    async def job(i):
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append(i)

    handles = [job(i) for i in range(20)]
    while not all(handle.status == "running" for handle in handles):
        await asyncio.sleep(0)
    for handle in handles[::2]:
        await handle.cancel()
    assert cleaned == list(range(0, 20, 2))
    for handle in handles[1::2]:
        await handle.cancel()
    await assert_at_rest(app)


# -- the decision ------------------------------------------------------------------------------------------------------


def worked_off(shift, waiting):
    """Begin a shift while so many wait; return how many it begins."""
    shift.begin(0.0, BATCH, waiting)
    begun = min(waiting, shift.left)
    shift.left -= begun
    return begun


@pytest.mark.parametrize("each", [130, 300, 1_000, 4_000])
def test_a_shift_grows_while_more_comes_than_begins_and_shrinks_again(each):
    shift, waiting = Shift(), 0
    for _ in range(200):
        waiting += each
        waiting -= worked_off(shift, waiting)
        assert waiting <= 6 * each
    assert waiting <= 4 * each
    for _ in range(200):
        waiting += 10
        waiting -= worked_off(shift, waiting)
    assert waiting == 0
    assert shift.left == BATCH - 10
    assert shift.deadline == SLICE_SECONDS


def test_a_shift_takes_no_longer_however_much_comes():
    shift = Shift()
    for waiting in range(0, 1_000_000, 10_000):
        worked_off(shift, waiting)
        assert shift.deadline <= MOST_SECONDS


def test_a_flood_that_comes_at_once_is_worked_off_in_usual_shifts():
    shift, waiting = Shift(), 100_000
    while waiting > 0:
        begun = worked_off(shift, waiting)
        assert begun == min(BATCH, waiting)
        waiting -= begun


def test_a_shift_does_not_grow_while_all_that_comes_begins():
    shift = Shift()
    for comes in range(1, BATCH):
        assert worked_off(shift, comes) == comes
        assert shift.left == BATCH - comes
