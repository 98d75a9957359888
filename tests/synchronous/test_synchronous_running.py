"""Sync mode: a body runs once: at its call, or, where an event loop runs, from its call on."""

import asyncio
import gc
import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from helpers import USUAL, S, assert_lawful, statuses

from pynenc_async import (
    InvocationCancelledError,
    InvocationNotFinalError,
    InvocationTimeoutError,
    SynchronousInvocation,
)


def test_a_call_runs_the_body_once(app):
    calls = []

    @app.task
    def add(x, y):
        calls.append((x, y))
        return x + y

    invocation = add(1, 2)
    assert isinstance(invocation, SynchronousInvocation)
    assert (invocation.status, calls) == (S.SUCCESS, [(1, 2)])
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


def test_a_failure_is_raised_where_the_result_is_read_and_not_by_the_call(app):
    @app.task
    def fail():
        raise ValueError("of the body")

    invocation = fail()
    assert invocation.status is S.FAILED
    with pytest.raises(ValueError, match="of the body"):
        _ = invocation.result


async def test_inside_a_loop_a_call_lets_the_body_begin_without_being_awaited(app):
    begun = asyncio.Event()

    @app.task
    async def work():
        begun.set()

    invocation = work()
    await begun.wait()
    assert await invocation is None


def test_a_def_body_inside_a_loop_runs_what_it_calls_at_the_call(app):
    @app.task
    async def inner(x):
        await asyncio.sleep(0)
        return x

    @app.task
    def outer():
        invocation = inner(3)
        return invocation.status, invocation.result

    async def main():
        return await outer()

    assert asyncio.run(main()) == (S.SUCCESS, 3)


def test_threads_wait_for_what_runs_in_the_loop_of_another_as_long_as_they_may(app):
    running, release = threading.Event(), threading.Event()

    @app.task
    async def held():
        running.set()
        while not release.is_set():
            await asyncio.sleep(0)
        return object()

    called = Future()

    async def main():
        invocation = held()
        called.set_result(invocation)
        return await invocation

    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(asyncio.run, main())
        invocation = called.result()
        running.wait()
        with pytest.raises(InvocationTimeoutError):
            invocation.blocking_result(timeout=0)
        others = [pool.submit(lambda: invocation.result) for _ in range(6)]
        release.set()
        assert {other.result() for other in others} == {first.result()}


def test_a_loop_awaits_what_runs_in_another_one(app):
    release, called = threading.Event(), Future()

    @app.task
    async def held():
        while not release.is_set():
            await asyncio.sleep(0)
        return "value"

    async def first():
        invocation = held()
        called.set_result(invocation)
        return await invocation

    async def second(invocation):
        assert not await invocation.wait(0)
        release.set()
        return await invocation

    with ThreadPoolExecutor(1) as pool:
        ran = pool.submit(asyncio.run, first())
        assert asyncio.run(second(called.result())) == ran.result() == "value"


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


async def test_submit_and_accepted_wait_for_nothing(app):
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

    async def leave():
        invocation = endless()
        assert not await invocation.wait(0)
        return invocation

    invocation = asyncio.run(leave())
    with pytest.raises(InvocationCancelledError):
        invocation.blocking_result()


def test_a_loop_that_was_closed_without_a_word_is_noticed(app):
    @app.task
    async def endless():
        await asyncio.get_running_loop().create_future()

    async def leave():
        invocation = endless()
        await invocation.wait(0)
        return invocation

    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # it rightly complains of the Tasks that were left
    invocation = loop.run_until_complete(leave())
    loop.close()
    with pytest.raises(InvocationCancelledError, match="event loop was closed"):
        invocation.blocking_result()
