"""Looking at the outcome: `wait`, `result`, `exception`, `accepted`."""

import asyncio

import pytest
from helpers import turns
from test_handle import World

from pynenc_async import InvocationCancelledError, InvocationNotFinalError, Pynenc


@pytest.mark.virtual
async def test_wait_says_whether_the_end_has_come():
    world = World()
    invocation = world.held(1)
    loop = asyncio.get_running_loop()
    start = loop.time()
    assert await invocation.wait(5) is False
    assert loop.time() - start == pytest.approx(5)
    assert await invocation.wait(0) is False
    world.gate.open()
    assert await invocation.wait() is True
    assert await invocation.wait(0) is True
    failed = world.fail("x")
    assert await failed.wait(1) is True
    assert isinstance(failed.exception(), ValueError)


@pytest.mark.virtual
async def test_wait_without_time_does_not_run_a_body_that_takes_long():
    app = Pynenc()

    @app.task
    async def slow():
        await asyncio.sleep(100)

    invocation = slow()
    loop = asyncio.get_running_loop()
    start = loop.time()
    assert await invocation.wait(1) is False
    assert loop.time() - start == pytest.approx(1)
    await invocation.cancel()


async def test_wait_passes_on_the_cancellation_of_the_waiter():
    world = World()
    invocation = world.held(1)
    waiter = asyncio.create_task(invocation.wait())
    await turns(3)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    world.gate.open()
    await invocation


async def test_the_timeout_of_the_waiter_is_not_taken_for_that_of_wait():
    world = World()
    invocation = world.held(1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await invocation.wait()
    world.gate.open()
    assert await invocation == 1


async def test_reading_too_early_in_the_loop_says_to_await():
    world = World()
    invocation = world.held(1)
    for read in (lambda: invocation.result, invocation.exception, invocation.blocking_result):
        with pytest.raises(InvocationNotFinalError, match="await") as caught:
            read()
        assert caught.value.invocation_id == invocation.invocation_id
    world.gate.open()
    await invocation
    assert (invocation.result, invocation.exception(), invocation.blocking_result(0)) == (1, None, 1)


async def test_reading_a_cancelled_invocation_raises_that_it_was_cancelled():
    world = World()
    invocation = world.held(1)
    await invocation.cancel("because")
    assert isinstance(invocation.exception(), InvocationCancelledError)
    for _ in range(2):
        with pytest.raises(InvocationCancelledError, match="because"):
            await invocation
    with pytest.raises(InvocationCancelledError, match="because"):
        _ = invocation.result


async def test_accepted_is_the_invocation_itself():
    world = World()
    invocation = world.echo(1)
    assert await invocation.accepted() is invocation
    assert await invocation.accepted() is invocation
    assert await invocation == 1
