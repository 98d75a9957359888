"""Timeouts, task groups, anyio and eager tasks work inside bodies as in any Task, run in place or not."""

import asyncio
import sys

import anyio
import pytest
from helpers import Gate, S, assert_at_rest, turns

from pynenc_async import Pynenc
from pynenc_async.testing import wait_all_tasks_blocked

IN_PLACE = pytest.mark.parametrize("in_place", [False, True])


async def run(task, in_place):
    """Await an invocation in place, or when it has begun on its own."""
    handle = task()
    if not in_place:
        while handle.status is S.REGISTERED:
            await asyncio.sleep(0)
    return await handle


@IN_PLACE
@pytest.mark.virtual
async def test_asyncio_timeout_inside_a_body(in_place):
    app = Pynenc()

    @app.task
    async def body():
        try:
            async with asyncio.timeout(1):
                await asyncio.sleep(10)
        except TimeoutError:
            return asyncio.current_task().cancelling()

    assert await run(body, in_place) == 0
    assert asyncio.get_running_loop().time() == pytest.approx(1)
    await assert_at_rest(app)


@IN_PLACE
@pytest.mark.virtual
async def test_asyncio_timeout_around_an_await(in_place):
    app = Pynenc()

    @app.task
    async def body():
        await asyncio.sleep(10)
        return 1

    handle = body()
    if not in_place:
        await turns(3)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await handle
    assert handle.status is S.RUNNING
    assert await handle == 1
    assert asyncio.get_running_loop().time() == pytest.approx(10)


@IN_PLACE
@pytest.mark.virtual
async def test_wait_for_inside_and_around(in_place):
    app = Pynenc()

    @app.task
    async def body():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.sleep(10), 1)
        await asyncio.sleep(10)
        return 1

    handle = body()
    if not in_place:
        await turns(3)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(handle, 2)
    assert await asyncio.wait_for(handle, 20) == 1


@IN_PLACE
async def test_asyncio_task_groups_cancel_the_rest_and_raise(in_place):
    app = Pynenc()
    cancelled = []

    @app.task
    async def body():
        async def fail():
            await asyncio.sleep(0)
            raise LookupError

        async def wait():
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.append(1)

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(wait())
                group.create_task(fail())
                await asyncio.Event().wait()
        except* LookupError:
            pass
        return asyncio.current_task().cancelling()

    assert await run(body, in_place) == 0
    assert cancelled
    await assert_at_rest(app)


@IN_PLACE
@pytest.mark.virtual
async def test_anyio_cancel_scopes(in_place):
    app = Pynenc()

    @app.task
    async def body():
        with anyio.move_on_after(1) as outer:
            with anyio.move_on_after(5) as inner:
                await anyio.sleep(10)
            await anyio.sleep(10)
        with anyio.CancelScope() as scope:
            scope.cancel()
            await anyio.sleep(10)
        with pytest.raises(TimeoutError), anyio.fail_after(1):
            await anyio.sleep_forever()
        await anyio.sleep(1)
        return outer.cancelled_caught, inner.cancelled_caught, scope.cancelled_caught

    assert await run(body, in_place) == (True, False, True)
    assert asyncio.get_running_loop().time() == pytest.approx(3)


@IN_PLACE
async def test_anyio_task_groups(in_place):
    app = Pynenc()

    @app.task
    async def body():
        ended = []

        async def child(n):
            await turns(n)
            ended.append(n)

        async with anyio.create_task_group() as group:
            for n in range(3):
                group.start_soon(child, n)
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(anyio.sleep_forever)
                raise LookupError
        except* LookupError:
            ended.append("error")
        return ended

    assert await run(body, in_place) == [0, 1, 2, "error"]
    await assert_at_rest(app)


@IN_PLACE
async def test_anyio_scopes_around_awaits_of_children(in_place):
    app = Pynenc(max_concurrency=1)
    gate = Gate()

    @app.task
    async def child():
        await turns(20)
        gate.open()
        return 1

    @app.task
    async def body():
        handle = child()
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(stop, scope)
                await handle
        return scope.cancelled_caught, await handle

    async def stop(scope):
        await turns(3)
        scope.cancel()

    assert await run(body, in_place) == (True, 1)
    await assert_at_rest(app)


async def test_anyio_names_and_locks_belong_to_the_body():
    app = Pynenc()
    lock = anyio.Lock()

    @app.task
    async def body():
        async with lock:
            await asyncio.sleep(0)
            assert lock.statistics().owner.id == anyio.get_current_task().id
        return anyio.get_current_task().id

    handles = [body() for _ in range(5)]
    assert len({await handle for handle in handles}) == 5


@pytest.mark.virtual
async def test_a_body_cancelled_while_an_anyio_scope_shields_it_ends_after_the_shield():
    app = Pynenc()
    done = []

    @app.task
    async def body():
        with anyio.CancelScope(shield=True):
            try:
                await anyio.sleep(5)
            finally:
                done.append(1)

    handle = body()
    await wait_all_tasks_blocked()
    await handle.cancel()
    assert done
    assert handle.status is S.CANCELLED
    await assert_at_rest(app)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="no eager tasks before 3.12")
async def test_eager_tasks_inside_bodies():
    app = Pynenc(max_concurrency=1)

    @app.task
    async def child(n):
        await turns(n)
        return n

    @app.task
    async def body():
        loop = asyncio.get_running_loop()
        me = asyncio.current_task()

        async def wait(n):
            assert asyncio.current_task() is not me
            return await child(n)

        tasks = [asyncio.Task(wait(n), loop=loop, eager_start=True) for n in range(3)]
        assert asyncio.current_task() is me
        return await asyncio.gather(*tasks)

    assert await body() == [0, 1, 2]
    await assert_at_rest(app)


async def test_tasks_that_outlive_their_body_go_on():
    app = Pynenc(max_concurrency=1)
    gate, ended = Gate(), []

    @app.task
    async def child():
        return 1

    @app.task
    async def body():
        async def stray():
            await gate.wait()
            ended.append(await child())

        return asyncio.create_task(stray())

    stray = await body()
    await assert_at_rest(app)
    gate.open()
    await stray
    assert ended == [1]
    await assert_at_rest(app)


# -- fairness ----------------------------------------------------------------------------------------------------------
