"""`max_concurrency`: never more bodies than slots, no slot is lost, and who waits for another invocation holds none."""

import asyncio

import pytest
from helpers import Gate, Gauge, S, assert_at_rest, assert_lawful, turns

from pynenc_async import Pynenc


@pytest.mark.parametrize("limit", [1, 2, 4])
async def test_the_limit_holds_for_threads_that_wait_for_each_other(limit):
    app = Pynenc(max_concurrency=limit)
    gauge = Gauge()

    @app.task
    def child(n):
        with gauge:
            return n

    @app.task
    async def mixed(n):
        with gauge:
            await asyncio.sleep(0)
            return n

    @app.task
    def parent():
        with gauge:
            handles = [child(1), mixed(2)]
            with gauge.away():
                return [handle.result for handle in handles]

    parents = [parent() for _ in range(6)]
    assert [await one for one in parents] == [[1, 2]] * 6
    assert gauge.peak <= limit
    await assert_at_rest(app)


async def test_as_many_bodies_run_as_there_are_slots():
    app = Pynenc(max_concurrency=3)
    gate, gauge = Gate(), Gauge()

    @app.task
    async def body():
        with gauge:
            await gate.wait()

    handles = [body() for _ in range(10)]
    await turns(20)
    assert gauge.inside == 3
    assert app.statistics().running == 3
    gate.open()
    for handle in handles:
        await handle
    await assert_at_rest(app)


async def test_max_threads_bounds_the_bodies_in_threads_also_when_they_come_back_from_a_wait():
    app = Pynenc(max_threads=1)
    gauge, other_runs, release = Gauge(), Gate(), Gate()

    @app.task
    async def child():
        await other_runs.wait()

    @app.task
    def other():
        with gauge:
            other_runs.open()
            release.block()

    @app.task
    def parent():
        child().result  # noqa: B018
        with gauge:
            pass

    first, second = parent(), other()
    await other_runs.wait()
    await turns(10)
    assert app.statistics().running_in_threads == 1
    release.open()
    await first
    await second
    assert gauge.peak == 1
    await assert_at_rest(app)


async def test_a_chain_of_200_coroutines_needs_one_slot():
    app = Pynenc(max_concurrency=1)

    @app.task
    async def chain(n):
        return n and 1 + await chain(n - 1)

    assert await chain(200) == 200
    await assert_at_rest(app)


async def test_a_chain_of_200_coroutines_that_suspend_needs_one_slot():
    app = Pynenc(max_concurrency=1)

    @app.task
    async def chain(n):
        await asyncio.sleep(0)
        below = 1 + await chain(n - 1) if n else 0
        await asyncio.sleep(0)
        return below

    assert await chain(200) == 200
    await assert_at_rest(app)


async def test_a_chain_of_30_threads_needs_one_slot_and_one_thread_at_work():
    app = Pynenc(max_concurrency=1, max_threads=1)

    @app.task
    def chain(n):
        return 1 + chain(n - 1).result if n else 0

    assert await chain(30) == 30
    await assert_at_rest(app)


async def test_threads_that_wait_through_coroutines_need_one_slot():
    app = Pynenc(max_concurrency=1)

    @app.task
    async def in_loop(n):
        return 1 + await in_thread(n - 1) if n else 0

    @app.task
    def in_thread(n):
        return 1 + in_loop(n - 1).result if n else 0

    assert await in_loop(20) == 20
    await assert_at_rest(app)


async def test_who_comes_back_goes_ahead_of_new_work_of_any_priority():
    app = Pynenc(max_concurrency=1)
    gate, order = Gate(), []

    @app.task
    async def child():
        await gate.wait()

    @app.task
    async def parent():
        await child()
        order.append("parent again")

    @app.task(priority=9)
    async def other(n):
        order.append(n)

    waiting = parent()
    await turns(10)
    assert waiting.status is S.PAUSED
    others = [other(n) for n in range(3)]
    gate.open()
    await waiting
    for one in others:
        await one
    assert order == ["parent again", 0, 1, 2]
    await assert_at_rest(app)


async def test_a_body_that_waits_for_something_else_keeps_its_slot():
    app = Pynenc(max_concurrency=1)
    gate = Gate()

    @app.task
    async def holder():
        await gate.wait()

    @app.task
    async def other():
        pass

    holding, waiting = holder(), other()
    await turns(20)
    assert (holding.status, waiting.status) == (S.RUNNING, S.REGISTERED)
    gate.open()
    await waiting
    await holding


@pytest.mark.virtual
async def test_a_wait_with_a_timeout_ends_in_time_though_the_slot_is_taken_and_goes_on_with_a_slot():
    app = Pynenc(max_concurrency=1)
    gauge = Gauge()

    @app.task
    async def slow():
        with gauge:
            await asyncio.sleep(10)

    @app.task
    async def parent():
        with gauge:
            handle = slow()
            with gauge.away(), pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await handle
            return handle

    handle = await parent()
    assert gauge.peak == 1
    await handle
    await assert_at_rest(app)


@pytest.mark.virtual
async def test_a_body_whose_own_subtask_waits_needs_no_slot_until_it_goes_on():
    app = Pynenc(max_concurrency=1)

    @app.task
    async def child():
        await asyncio.sleep(1)
        return 1

    @app.task
    async def parent():
        async def wait_for_child():
            return await child()

        async with asyncio.TaskGroup() as group:
            task = group.create_task(wait_for_child())
        return task.result()

    invocation = parent()
    await asyncio.sleep(0.5)
    assert invocation.status is S.PAUSED
    assert await invocation == 1
    assert_lawful(invocation)
    await assert_at_rest(app)
