"""Bodies share asyncio Tasks and run in place; nobody must be able to tell, except by the clock."""

import asyncio
import contextvars

import pytest
from helpers import Gate, S, assert_at_rest, turns

from pynenc_async import InvocationCancelledError, Pynenc

MARK = contextvars.ContextVar("mark", default="unset")


# -- the current task --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("awaited_by", ["test", "body", "later"])
async def test_the_current_task_of_a_body_is_never_its_waiters(awaited_by):
    app = Pynenc()
    seen = {}

    @app.task
    async def child():
        first = asyncio.current_task()
        await asyncio.sleep(0)
        seen["child"] = first, asyncio.current_task()

    @app.task
    async def parent():
        seen["parent"] = asyncio.current_task()
        await child()
        assert asyncio.current_task() is seen["parent"]

    invocation = (parent if awaited_by == "body" else child)()
    if awaited_by == "later":
        await turns(1)
    me = asyncio.current_task()
    await invocation
    assert asyncio.current_task() is me
    first, second = seen["child"]
    assert first is second
    assert first not in (me, None, seen.get("parent"))


async def test_suspended_bodies_never_share_a_task():
    app = Pynenc()
    owners = {}

    @app.task
    async def body(n, suspends):
        if suspends:
            task = asyncio.current_task()
            await asyncio.sleep(0)
            assert asyncio.current_task() is task
            assert task not in owners
            owners[task] = n

    handles = [body(n, n % 3 != 0) for n in range(300)]
    for handle in handles:
        await handle
    assert len(owners) == 200
    await assert_at_rest(app)


async def test_the_task_of_a_body_that_suspended_ends_with_it():
    app = Pynenc()

    @app.task
    async def body():
        await asyncio.sleep(0)
        return asyncio.current_task()

    task = await body()
    await turns(2)
    assert task.done()


async def test_the_task_has_a_readable_repr_and_stack():
    app = Pynenc()

    @app.task
    async def body():
        task = asyncio.current_task()
        await asyncio.sleep(0)
        return repr(task), task.get_stack(), task.get_coro()

    text, _, coroutine = await body()
    assert text
    assert asyncio.iscoroutine(coroutine)


# -- cancellation stays where it belongs -------------------------------------------------------------------------------


@pytest.mark.parametrize("awaited", [False, True])
async def test_a_body_that_cancels_its_task_and_returns_is_cancelled_and_harms_nobody_else(awaited):
    app = Pynenc()

    @app.task
    async def suicidal():
        asyncio.current_task().cancel()

    @app.task
    async def innocent(n):
        await asyncio.sleep(0)
        return n

    handles = [one for n in range(5) for one in (suicidal(), innocent(n))]
    if awaited:
        with pytest.raises(InvocationCancelledError):
            await suicidal()
    for n in range(5):
        assert await handles[2 * n + 1] == n
        with pytest.raises(InvocationCancelledError):
            await handles[2 * n]
    assert not asyncio.current_task().cancelling()
    await assert_at_rest(app)


async def test_a_body_that_cancels_its_task_and_raises_harms_nobody_else():
    app = Pynenc()

    @app.task
    async def suicidal():
        asyncio.current_task().cancel()
        raise LookupError

    @app.task
    async def innocent():
        await asyncio.sleep(0)
        return 1

    first, second = suicidal(), innocent()
    assert await second == 1
    with pytest.raises(LookupError):
        await first


async def test_a_body_that_cancels_its_task_and_suspends_gets_the_cancellation():
    app = Pynenc()

    @app.task
    async def body():
        asyncio.current_task().cancel()
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            return "caught"

    assert await body() == "caught"
    handle = body()
    await turns(5)
    assert await handle == "caught"


async def test_who_cancels_every_task_of_the_loop_loses_no_queued_work():
    app = Pynenc()

    @app.task
    async def work(n):
        return n

    handles = [work(n) for n in range(3)]
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await turns(5)
    assert [await asyncio.wait_for(handle, 30) for handle in handles] == [0, 1, 2]


async def test_who_cancels_every_task_and_awaits_at_once_gets_the_value():
    app = Pynenc()

    @app.task
    async def work():
        return 1

    handle = work()
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    async with asyncio.timeout(30):
        assert await handle == 1


async def test_cancelling_a_waiter_of_a_body_that_suspended_in_place_leaves_the_body_alone():
    app = Pynenc()

    @app.task
    async def work(gate):
        await gate.wait()
        return asyncio.current_task().cancelling()

    for delay in range(4):
        gate = Gate()
        handle = work(gate)
        waiter = asyncio.ensure_future(handle)
        await turns(delay)
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
        await turns(2)
        assert handle.status is S.RUNNING
        gate.open()
        assert await handle == 0


# -- contexts ----------------------------------------------------------------------------------------------------------


# -- nothing is kept ---------------------------------------------------------------------------------------------------
