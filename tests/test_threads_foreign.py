"""Handles that are used in other threads, and other loops, than that of their app."""

import asyncio
import threading

import pytest
from helpers import Gate, S, statuses, turns

from pynenc_async import (
    AppNotStartedError,
    InvocationCancelledError,
    InvocationNotFinalError,
    InvocationTimeoutError,
    Pynenc,
)


async def test_a_foreign_thread_submits_and_reads():
    app = Pynenc()

    @app.task
    async def add(a, b):
        return a + b

    async with app:

        def serve():
            invocation = add(1, b=2)
            assert invocation.parent_invocation_id is None
            assert app.get_invocation(invocation.invocation_id) is invocation
            return invocation, invocation.result, invocation.exception()

        invocation, result, error = await asyncio.to_thread(serve)
    assert (result, error) == (3, None)
    assert invocation.status is S.SUCCESS
    assert statuses(invocation) == [S.REGISTERED, S.PENDING, S.RUNNING, S.SUCCESS]


async def test_many_threads_submit_at_once():
    app = Pynenc()

    @app.task
    async def echo(n):
        return n

    async with app:
        served = [asyncio.to_thread(lambda n=n: [echo((n, i)).result for i in range(20)]) for n in range(8)]
        for n, results in enumerate(await asyncio.gather(*served)):
            assert results == [(n, i) for i in range(20)]
    assert len({one.invocation_id for one in app.invocations()}) == 160


async def test_a_blocking_read_raises_after_its_timeout_and_the_work_goes_on():
    app = Pynenc()
    gate = Gate()

    @app.task
    async def held():
        await gate.wait()
        return 1

    invocation = held()
    await turns(2)

    def read():
        with pytest.raises(InvocationTimeoutError) as caught:
            invocation.blocking_result(0.01)
        assert isinstance(caught.value, TimeoutError)
        assert caught.value.invocation_id == invocation.invocation_id
        with pytest.raises(InvocationTimeoutError):
            invocation.blocking_result(0)

    await asyncio.to_thread(read)
    assert invocation.status is S.RUNNING
    gate.open()
    assert await invocation == 1
    assert await asyncio.to_thread(invocation.blocking_result, 0) == 1


async def test_a_thread_with_a_loop_of_its_own_is_told_where_to_await():
    app = Pynenc()
    gate = Gate()

    @app.task
    async def held():
        await gate.wait()
        return 1

    invocation = held()
    await turns(2)

    async def foreign():
        with pytest.raises(AppNotStartedError, match="another thread"):
            await invocation
        with pytest.raises(AppNotStartedError, match="another thread"):
            await invocation.wait()
        with pytest.raises(AppNotStartedError, match="another thread"):
            await invocation.cancel()
        with pytest.raises(InvocationNotFinalError):
            _ = invocation.result

    await asyncio.to_thread(asyncio.run, foreign())
    assert invocation.status is S.RUNNING
    gate.open()
    assert await invocation == 1
    assert await asyncio.to_thread(asyncio.run, invocation.accepted()) is invocation


async def test_a_foreign_thread_makes_a_group_of_an_async_source():
    app = Pynenc()

    @app.task
    async def echo(n):
        return n

    async def source():
        for n in range(5):
            yield (n,)

    async with app:
        results = await asyncio.to_thread(lambda: list(echo.parallelize(source(), window=2).results))
    assert results == [0, 1, 2, 3, 4]


async def test_a_group_is_refused_in_a_foreign_loop_before_anything_happens():
    app = Pynenc()
    gate = Gate()

    @app.task
    async def held():
        await gate.wait()

    group = held.parallelize([()] * 2)
    await turns(3)

    async def whole():
        await group

    async def foreign():
        for use in (whole, group.__aiter__().__anext__, group.in_order().__anext__, group.cancel):
            with pytest.raises(AppNotStartedError, match="another thread"):
                await use()

    await asyncio.to_thread(asyncio.run, foreign())
    assert [member.status for member in group] == [S.RUNNING] * 2
    gate.open()
    await group


async def test_a_queued_invocation_is_not_run_in_a_foreign_loop():
    app = Pynenc()

    @app.task
    async def where():
        return asyncio.get_running_loop()

    invocation = where()
    raised = []

    async def foreign():
        with pytest.raises(AppNotStartedError, match="another thread"):
            await invocation
        return True

    thread = threading.Thread(target=lambda: raised.append(asyncio.run(foreign())))
    thread.start()
    thread.join()  # blocks the loop: it could begin the body itself meanwhile
    assert raised == [True]
    assert await invocation is asyncio.get_running_loop()


def test_without_any_loop_a_call_says_what_to_do():
    @Pynenc().task
    async def work():
        pass

    with pytest.raises(AppNotStartedError, match=r"app\.run|sync://"):
        work()


def test_a_result_that_can_no_longer_come_does_not_block_for_ever():
    app = Pynenc()
    kept = []

    @app.task
    async def held():
        await asyncio.get_running_loop().create_future()

    async def main():
        kept.append(held())
        await asyncio.sleep(0)

    asyncio.run(main())
    (invocation,) = kept
    with pytest.raises((InvocationNotFinalError, InvocationCancelledError)):
        invocation.blocking_result(30)
