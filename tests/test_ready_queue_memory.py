"""What is cancelled or given up leaves no trace in the queue."""

import asyncio

import pytest
from helpers import Gate, assert_at_rest, held_slot, recorder, turns

from pynenc_async import (
    Pynenc,
)


def queued_entries(app):
    scheduler = app._dispatcher.scheduler
    return len(scheduler.ready) + len(app._dispatcher.threads.queue)


@pytest.mark.parametrize("kind", ["coroutine", "thread"])
async def test_cancelled_entries_do_not_accumulate(kind):
    app = Pynenc(max_concurrency=1, retain_count=10)
    _, in_loop, in_thread = recorder(app)
    gate = await held_slot(app)
    task = in_loop if kind == "coroutine" else in_thread
    for n in range(1_000):
        await task(n).cancel()
    assert queued_entries(app) < 200
    gate.open()
    await task(0)
    await assert_at_rest(app)


async def test_cancelled_entries_that_wait_for_a_thread_do_not_accumulate():
    app = Pynenc(max_threads=1, retain_count=10)
    _, _, in_thread = recorder(app)
    busy, release = Gate(), Gate()

    @app.task
    def occupy():
        busy.open()
        release.block()

    occupying = occupy()
    await busy.wait()
    for _ in range(20):
        handles = [in_thread(n) for n in range(50)]
        await turns(3)
        for handle in handles:
            await handle.cancel()
    assert queued_entries(app) < 200
    release.open()
    await occupying
    await assert_at_rest(app)


async def test_cancelled_entries_among_living_ones_keep_the_order():
    app = Pynenc(max_concurrency=1)
    order, in_loop, _ = recorder(app)
    gate = await held_slot(app)
    handles = [in_loop(n) for n in range(1_000)]
    for handle in handles:
        if handle.arguments.values[0] % 5:
            await handle.cancel()
    assert queued_entries(app) < 600
    gate.open()
    for handle in handles[::5]:
        await handle
    assert order == list(range(0, 1_000, 5))


async def test_waits_that_were_given_up_do_not_accumulate():
    app = Pynenc(max_concurrency=2)
    _, in_loop, _ = recorder(app)
    gate, counts = await held_slot(app), []

    @app.task
    async def impatient():
        low = in_loop.with_options(priority=-9)("low")
        in_loop.with_options(priority=-9)("behind")
        for _ in range(500):
            task = asyncio.ensure_future(low)
            await asyncio.sleep(0)
            task.cancel()
            counts.append(queued_entries(app))

    second = await held_slot(Pynenc())
    await impatient()
    assert max(counts) < 200
    gate.open()
    second.open()
    await turns(5)


async def test_lanes_of_many_levels_all_drain():
    app = Pynenc(max_concurrency=2)
    order, in_loop, _ = recorder(app)
    handles = [in_loop.with_options(priority=n % 37)(n) for n in range(500)]
    for handle in handles:
        await handle
    assert sorted(order) == list(range(500))
    await assert_at_rest(app)
