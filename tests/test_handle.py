"""The handle of an invocation: identity, waiting, the outcome."""

import asyncio
import logging

import pytest
from helpers import Gate, S, statuses, turns

from pynenc_async import (
    InvocationCancelledError,
    Pynenc,
)


class World:
    """An app with a task of each fate."""

    def __init__(self, **options):
        self.app = Pynenc(**options)
        self.ran: list[object] = []
        self.gate = Gate()

        @self.app.task
        async def echo(value):
            self.ran.append(value)
            return value

        @self.app.task
        async def fail(message):
            self.ran.append(message)
            raise ValueError(message)

        @self.app.task
        async def held(value):
            self.ran.append(value)
            await self.gate.wait()
            return value

        self.echo, self.fail, self.held = echo, fail, held


# -- submitted at the call ---------------------------------------------------------------------------------------------


async def test_work_that_nobody_awaits_or_holds_is_done():
    world = World()
    for n in range(10):
        world.echo(n)
    await turns(50)  # any number of bodies may share a turn
    assert sorted(world.ran) == list(range(10))


async def test_a_call_returns_before_the_body_begins():
    world = World()
    invocation = world.echo(1)
    assert world.ran == []
    assert invocation.status is S.REGISTERED
    assert statuses(invocation) == [S.REGISTERED]
    assert await invocation == 1


async def test_the_failure_of_dropped_work_is_logged_once_with_its_id(caplog):
    world = World()
    invocation_id = world.fail("unseen").invocation_id
    await turns(50)
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert invocation_id in record.getMessage()
    assert record.invocation_id == invocation_id
    assert "unseen" in str(record.exc_info[1])


async def test_a_failure_that_somebody_saw_is_not_logged(caplog):
    world = World()
    for see in ("await", "exception", "result"):
        invocation = world.fail(see)
        await invocation.wait()
        if see == "exception":
            assert isinstance(invocation.exception(), ValueError)
        else:
            with pytest.raises(ValueError, match=see):
                await invocation if see == "await" else invocation.result
        del invocation
    await turns(2)
    assert caplog.records == []


# -- await -------------------------------------------------------------------------------------------------------------


async def test_an_invocation_is_awaited_any_number_of_times():
    world = World()
    value = object()
    invocation = world.echo(value)
    for _ in range(3):
        assert await invocation is value
    assert invocation.result is value
    assert invocation.exception() is None
    assert len(world.ran) == 1


async def test_many_tasks_await_one_invocation():
    world = World()
    invocation = world.held(7)

    async def wait():
        return await invocation

    waiters = [asyncio.create_task(wait()) for _ in range(50)]
    await turns(3)
    world.gate.open()
    assert await asyncio.gather(*waiters) == [7] * 50
    assert world.ran == [7]


async def test_every_waiter_gets_the_very_exception_that_was_raised():
    app = Pynenc()
    error = ValueError("the one")

    @app.task
    async def fail():
        await asyncio.sleep(0)
        raise error

    invocation = fail()

    async def wait():
        await invocation

    raised = await asyncio.gather(*(wait() for _ in range(5)), return_exceptions=True)
    assert all(one is error for one in raised)
    assert invocation.exception() is error
    with pytest.raises(ValueError, match="the one") as caught:
        _ = invocation.result
    assert caught.value is error


async def test_a_traceback_does_not_grow_with_every_await():
    world = World()
    invocation = world.fail("x")
    await invocation.wait()

    async def length():
        with pytest.raises(ValueError, match="x") as caught:
            await invocation
        return len(caught.traceback)

    lengths = [await length() for _ in range(5)]
    assert len(set(lengths)) == 1


async def test_a_failure_of_any_kind_reaches_the_waiter():
    app = Pynenc()

    @app.task
    async def fail(error):
        raise error

    for error in (StopIteration(1), StopAsyncIteration(), GeneratorExit(), TimeoutError(), SystemExit(3)):
        invocation = fail(error)
        await invocation.wait()
        assert invocation.status is S.FAILED, error
        raised = invocation.exception()
        assert raised is error or raised.__cause__ is error or str(error) in str(raised)


async def test_gather_wait_and_ensure_future_take_invocations():
    world = World()

    async def wait(invocation):
        return await invocation

    assert await asyncio.gather(*map(wait, [world.echo(1), world.echo(2)])) == [1, 2]
    async with asyncio.TaskGroup() as group:
        task = group.create_task(wait(world.echo(3)))
    assert task.result() == 3
    assert await asyncio.ensure_future(world.echo(4)) == 4
    assert await asyncio.wait_for(world.echo(5), 30) == 5
    assert await asyncio.gather(world.echo(6), world.echo(7)) == [6, 7]


async def test_cancelling_a_waiter_does_not_cancel_the_work():
    world = World()
    invocation = world.held(1)

    async def wait():
        return await invocation

    waiter = asyncio.create_task(wait())
    await turns(3)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert invocation.status is S.RUNNING
    world.gate.open()
    assert await invocation == 1


async def test_waiters_of_cancelled_work_are_told_apart_from_cancelled_waiters():
    world = World()
    invocation = world.held(1)

    async def wait():
        return await invocation

    waiter = asyncio.create_task(wait())
    await turns(3)
    await invocation.cancel("enough")
    with pytest.raises(InvocationCancelledError, match="enough") as caught:
        await waiter
    assert not isinstance(caught.value, asyncio.CancelledError)
    assert caught.value.invocation_id == invocation.invocation_id
    assert caught.value.reason == "enough"
    assert not waiter.cancelled()
