"""Shutting down: what is under way is drained, what takes longer is cancelled, and calls say so."""

import asyncio

import pytest
from helpers import USUAL, Gate, S, assert_at_rest, statuses, turns

from pynenc_async import (
    AppNotStartedError,
    InvocationError,
    Pynenc,
)


@pytest.mark.virtual
async def test_leaving_the_block_drains_and_admits_what_running_bodies_still_submit():
    app = Pynenc(max_concurrency=1)
    ended = []

    @app.task
    async def work(n):
        await asyncio.sleep(1)
        ended.append(n)
        if n < 3:
            work(n + 1)

    async with app:
        work(0)
    assert ended == [0, 1, 2, 3]
    await assert_at_rest(app)


async def test_threads_are_drained_too():
    app = Pynenc()
    gate, ended = Gate(), []

    @app.task
    async def child():
        ended.append("child")

    @app.task
    def work():
        gate.block()
        child()
        ended.append("thread")

    async with app:
        work()
        asyncio.get_running_loop().call_soon(gate.open)
    assert sorted(ended) == ["child", "thread"]
    await assert_at_rest(app)


async def test_calls_after_a_shutdown_say_so_and_a_new_start_admits_them():
    app = Pynenc()

    @app.task
    async def work():
        return 1

    @app.task
    def in_thread():
        return 2

    async with app:
        assert [await work(), await in_thread()] == [1, 2]
    for task in (work, in_thread):
        with pytest.raises(AppNotStartedError, match="shut down"):
            task()
    async with app:
        assert [await work(), await in_thread()] == [1, 2]
    with pytest.raises(AppNotStartedError, match="shut down"):
        await asyncio.to_thread(work)
    await assert_at_rest(app)


def test_a_call_without_a_loop_says_what_to_do():
    app = Pynenc()

    @app.task
    async def work():
        pass

    with pytest.raises(AppNotStartedError, match=r"app\.run"):
        work()
    assert app.invocations() == []


async def test_shutdown_is_idempotent_and_may_be_called_together():
    app = Pynenc()

    @app.task
    async def work():
        await turns(5)
        return 1

    handle = work()
    await asyncio.gather(*(app.shutdown() for _ in range(3)))
    await app.shutdown()
    assert await handle == 1
    await assert_at_rest(app)


async def test_shutting_down_an_app_that_never_ran_is_fine():
    await Pynenc().shutdown()


@pytest.mark.virtual
async def test_what_takes_longer_than_the_drain_is_cancelled():
    app = Pynenc(drain_seconds=10, max_concurrency=1)
    cleaned = []

    @app.task
    async def work():
        try:
            await asyncio.sleep(1_000)
        finally:
            await asyncio.sleep(1)
            cleaned.append(1)

    async with app:
        running, queued = work(), work()
        await turns(3)
    assert asyncio.get_running_loop().time() == pytest.approx(11)
    assert cleaned == [1]
    assert statuses(running) == [*USUAL, S.CANCELLED]
    assert statuses(queued) == [S.REGISTERED, S.CANCELLED]
    assert all("shut down" in handle.history[-1].reason for handle in (running, queued))
    await assert_at_rest(app)


async def test_a_body_that_awaits_the_shutdown_of_its_own_app_is_told_so_and_the_app_goes_on():
    app = Pynenc()

    @app.task
    async def suicidal():
        await app.shutdown()

    @app.task
    async def work():
        return 1

    with pytest.raises(InvocationError, match="outside of bodies"):
        await suicidal()
    assert await work() == 1
    await assert_at_rest(app)


async def test_a_body_may_start_the_shutdown_of_its_own_app_without_awaiting_it():
    app = Pynenc(max_concurrency=1)
    stopping = []

    @app.task
    async def work():
        stopping.append(asyncio.create_task(app.shutdown()))
        await turns(3)
        return 1

    handle = work()
    assert await handle == 1
    await stopping[0]
    with pytest.raises(AppNotStartedError):
        work()
    await assert_at_rest(app)


async def test_a_body_of_one_app_may_shut_down_another():
    app, other = Pynenc(), Pynenc()
    gate = Gate()

    @app.task
    async def close():
        await other.shutdown()

    @other.task
    async def work():
        await gate.wait()
        return 1

    handle, closing = work(), close()
    await turns(5)
    gate.open()
    await closing
    assert handle.result == 1
    await assert_at_rest(app)
    await assert_at_rest(other)
