"""Sync mode: a body runs once, where its result is first read or awaited."""

import asyncio
import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from helpers import USUAL, S, assert_lawful, statuses

from pynenc_async import (
    InvocationCancelledError,
    InvocationNotFinalError,
    InvocationTimeoutError,
    SynchronousInvocation,
)


def test_a_call_registers_and_reading_the_result_runs_the_body_once(app):
    calls = []

    @app.task
    def add(x, y):
        calls.append((x, y))
        return x + y

    invocation = add(1, 2)
    assert isinstance(invocation, SynchronousInvocation)
    assert (invocation.status, calls) == (S.REGISTERED, [])
    assert [invocation.result, invocation.result] == [3, 3]
    assert (statuses(invocation), calls) == ([*USUAL, S.SUCCESS], [(1, 2)])
    assert_lawful(invocation)


def test_a_coroutine_function_runs_without_a_loop(app):
    @app.task
    async def slow(x):
        await asyncio.sleep(0)
        return x + 1

    assert slow(1).result == 2


def test_a_body_runs_in_the_thread_that_reads(app):
    @app.task
    def where():
        return threading.get_ident()

    @app.task
    async def where_async():
        return threading.get_ident()

    assert where().result == where_async().result == threading.get_ident()


def test_the_current_loop_of_the_thread_is_left_alone(app):
    @app.task
    async def noop():
        pass

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        noop().blocking_result()
        assert asyncio.get_event_loop_policy().get_event_loop() is loop
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def test_wrong_arguments_raise_type_error_at_the_call(app):
    @app.task
    def add(x, y):
        return x + y

    with pytest.raises(TypeError, match="add"):
        add(1)


async def test_await_runs_the_body_once_for_any_number_of_awaits(app):
    calls = []

    @app.task
    async def slow():
        calls.append(1)
        await asyncio.sleep(0)
        return "value"

    invocation = slow()
    assert invocation.status is S.REGISTERED
    assert await asyncio.gather(*(asyncio.ensure_future(invocation) for _ in range(3))) == ["value"] * 3
    assert await invocation == invocation.result == "value"
    assert calls == [1]


async def test_a_def_body_is_called_in_the_thread_of_the_loop(app):
    @app.task
    def where():
        return threading.get_ident()

    assert await where() == threading.get_ident()


async def test_result_inside_a_loop_says_to_await(app):
    @app.task
    def add(x, y):
        return x + y

    invocation = add(1, 2)
    with pytest.raises(InvocationNotFinalError, match="await"):
        invocation.blocking_result()
    assert invocation.status is S.REGISTERED
    assert await invocation == invocation.result == 3


def test_the_result_read_in_many_threads_runs_the_body_once(app):
    calls, go = [], threading.Barrier(8)

    @app.task
    def count():
        calls.append(1)
        return object()

    invocation = count()

    def read():
        go.wait()
        return invocation.result

    with ThreadPoolExecutor(8) as pool:
        values = [future.result() for future in [pool.submit(read) for _ in range(8)]]
    assert len(calls) == len(set(values)) == 1


def test_a_thread_waits_for_another_one_as_long_as_it_may(app):
    started, release = threading.Event(), threading.Event()

    @app.task
    def held():
        started.set()
        release.wait()
        return "value"

    invocation = held()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(lambda: invocation.result)
        started.wait()
        with pytest.raises(InvocationTimeoutError):
            invocation.blocking_result(timeout=0)
        release.set()
        assert invocation.blocking_result(timeout=30) == first.result() == "value"


def test_a_loop_awaits_what_runs_in_another_thread(app):
    started, release = threading.Event(), threading.Event()

    @app.task
    def held():
        started.set()
        release.wait()
        return "value"

    async def main(invocation):
        assert not await invocation.wait(0)
        release.set()
        return await invocation

    invocation = held()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(lambda: invocation.result)
        started.wait()
        assert asyncio.run(main(invocation)) == first.result() == "value"


async def test_cancelling_a_waiter_cancels_nothing(app):
    go, running = asyncio.Event(), asyncio.Event()

    @app.task
    async def patient():
        running.set()
        await go.wait()
        return "value"

    invocation = patient()
    waiter = asyncio.ensure_future(invocation)
    await running.wait()
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert invocation.status is S.RUNNING
    go.set()
    assert await invocation == "value"


async def test_what_runs_is_kept_when_every_handle_is_dropped(app):
    go, running, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @app.task
    async def patient():
        running.set()
        await go.wait()
        ended.set()

    waiter = asyncio.ensure_future(patient())
    await running.wait()
    waiter.cancel()
    await asyncio.wait([waiter])
    del waiter
    gc.collect()
    go.set()
    await ended.wait()


async def test_wait_runs_the_body_and_raises_no_failure(app):
    @app.task
    async def fail():
        raise ValueError

    invocation = fail()
    assert await invocation.wait()
    assert isinstance(invocation.exception(), ValueError)


@pytest.mark.virtual
async def test_wait_returns_in_time_and_the_work_goes_on(app):
    @app.task
    async def slow():
        await asyncio.sleep(10)
        return "value"

    invocation = slow()
    assert not await invocation.wait(1)
    assert invocation.status is S.RUNNING
    assert await invocation == "value"


async def test_submit_and_accepted_return_without_running_anything(app):
    @app.task
    def noop():
        pass

    invocation = await noop.submit()
    assert await invocation.accepted() is invocation
    assert invocation.status is S.REGISTERED


def test_a_loop_that_is_closed_under_a_body_ends_the_invocation(app):
    @app.task
    async def endless():
        await asyncio.Event().wait()

    async def leave(invocation):
        assert not await invocation.wait(0)

    invocation = endless()
    asyncio.run(leave(invocation))
    with pytest.raises(InvocationCancelledError):
        invocation.blocking_result()


def test_a_loop_that_was_closed_without_a_word_is_noticed(app):
    @app.task
    async def endless():
        await asyncio.get_running_loop().create_future()

    invocation = endless()
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # it rightly complains of the Tasks that were left
    loop.run_until_complete(invocation.wait(0))
    loop.close()
    with pytest.raises(InvocationCancelledError, match="event loop was closed"):
        invocation.blocking_result()
