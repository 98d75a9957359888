"""When resources open and close: per attempt in order, per app once, whatever ends the body."""

import asyncio
import contextvars
import gc
import threading
import weakref
from contextlib import asynccontextmanager

import pytest
from helpers import USUAL, Gate, S, assert_at_rest, assert_lawful, statuses, turns

from pynenc_async import (
    InvocationCancelledError,
    InvocationTimeoutError,
    Pynenc,
    ResourceError,
    current_invocation,
    inject,
)

TENANT = contextvars.ContextVar("TENANT", default="nobody")


@asynccontextmanager
async def logged(log, name):
    log.append(f"{name} opens")
    try:
        yield name
    except BaseException as error:
        log.append(f"{name} sees {type(error).__name__}")
        raise
    finally:
        await asyncio.sleep(0)
        log.append(f"{name} closes")


def chain(app, log, scope="invocation"):
    """Two resources, of which the second needs the first."""

    @app.resource(scope=scope)
    async def first():
        async with logged(log, "first") as value:
            yield value

    @app.resource(scope=scope)
    async def second(one=inject(first)):
        async with logged(log, f"second of {one}") as value:
            yield value

    return first, second


OPENS = ["first opens", "second of first opens"]
CLOSES = ["second of first closes", "first closes"]


def sees(error):
    return [f"second of first sees {error}", CLOSES[0], f"first sees {error}", CLOSES[1]]


# -- per invocation ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["coroutine", "thread"])
async def test_they_open_before_the_attempt_and_close_after_it_in_reverse(kind):
    app, log = Pynenc(), []
    first, second = chain(app, log)

    def thread(two=inject(second), one=inject(first)):
        log.append("body")
        return one, two

    async def coroutine(two=inject(second), one=inject(first)):
        return thread(two, one)

    invocation = app.task({"thread": thread, "coroutine": coroutine}[kind])()
    assert await invocation == ("first", "second of first")
    assert log == [*OPENS, "body", *CLOSES], "the first one is opened once for both"
    assert statuses(invocation) == [*USUAL, S.SUCCESS]
    await assert_at_rest(app)


@pytest.mark.parametrize("kind", ["coroutine", "thread", "stream"])
async def test_they_see_the_error_close_and_are_opened_anew_for_the_retry(kind):
    app, log, error = Pynenc(), [], LookupError()
    _, second = chain(app, log)

    def thread(two=inject(second)):
        log.append("body")
        raise error

    async def coroutine(two=inject(second)):
        thread(two)

    async def stream(two=inject(second)):
        yield 1
        thread(two)

    task = app.task(max_retries=1)({"thread": thread, "coroutine": coroutine, "stream": stream}[kind])
    with pytest.raises(LookupError) as caught:
        await task()
    assert caught.value is error
    assert caught.traceback[-1].name == "thread"
    assert log == [*OPENS, "body", *sees("LookupError")] * 2
    await assert_at_rest(app)


@pytest.mark.virtual
@pytest.mark.parametrize("end", ["cancelled", "timeout", "shutdown"])
async def test_they_close_when_the_body_is_stopped(end):
    app, log = Pynenc(), []
    _, second = chain(app, log)

    @app.task(timeout=5 if end == "timeout" else None)
    async def work(two=inject(second)):
        await asyncio.Event().wait()

    async with app:
        invocation = work()
        await turns(5)
        if end == "cancelled":
            await invocation.cancel("enough")
        if end == "shutdown":
            await app.shutdown(drain_seconds=0)
        with pytest.raises(InvocationTimeoutError if end == "timeout" else InvocationCancelledError):
            await invocation
    assert log == [*OPENS, *sees("CancelledError")]
    assert_lawful(invocation)
    await assert_at_rest(app)


async def test_they_close_when_the_opening_of_another_is_cancelled():
    app, log = Pynenc(), []
    first, _ = chain(app, log)

    @app.resource
    async def slow(one=inject(first)):
        await asyncio.Event().wait()
        yield one

    @app.task
    async def work(value=inject(slow)):
        raise AssertionError

    invocation = work()
    while not log:
        await asyncio.sleep(0)
    await invocation.cancel("enough")
    assert log == ["first opens", "first sees CancelledError", "first closes"]
    await assert_at_rest(app)


async def test_one_that_fails_to_open_fails_the_attempt_and_is_retried():
    app, log, errors = Pynenc(), [], [ConnectionError("1"), ConnectionError("2")]
    first, _ = chain(app, log)
    left = list(errors)

    @app.resource
    async def flaky(one=inject(first)):
        if left:
            raise left.pop(0)
        yield 5

    @app.task(max_retries=1)
    async def work(value=inject(flaky)):
        return value

    invocation = work()
    with pytest.raises(ConnectionError) as caught:
        await invocation
    assert caught.value is errors[1]
    assert log == ["first opens", "first sees ConnectionError", "first closes"] * 2
    assert await work() == 5


async def test_one_that_fails_to_close_fails_the_attempt():
    app = Pynenc()

    @app.resource
    async def transaction():
        yield 1
        raise ConnectionError("commit failed")

    @app.task
    async def work(value=inject(transaction)):
        return value

    with pytest.raises(ConnectionError, match="commit"):
        await work()


async def test_none_can_swallow_an_error():
    app, error = Pynenc(), LookupError()

    @app.resource
    async def careless():
        try:
            yield 1
        except LookupError:
            pass

    @app.task
    async def work(value=inject(careless)):
        raise error

    with pytest.raises(LookupError) as caught:
        await work()
    assert caught.value is error


async def test_middleware_is_outside_of_them():
    app, log = Pynenc(), []
    _, second = chain(app, log)

    @app.middleware
    async def watch(invocation, call_next):
        async with logged(log, "middleware"):
            return await call_next()

    @app.task
    async def work(two=inject(second)):
        return two

    assert await work() == "second of first"
    assert log == ["middleware opens", *OPENS, *CLOSES, "middleware closes"]


@pytest.mark.parametrize("kind", ["coroutine", "thread"])
async def test_the_body_sees_what_they_set_in_the_context_and_they_see_the_invocation(kind):
    app, seen = Pynenc(), []

    @app.resource
    async def tenant():
        token = TENANT.set("ann")
        seen.append(current_invocation())
        yield "ann"
        TENANT.reset(token)

    def thread(name=inject(tenant)):
        return TENANT.get(), current_invocation()

    async def coroutine(name=inject(tenant)):
        return thread(name)

    invocation = app.task({"thread": thread, "coroutine": coroutine}[kind])()
    assert await invocation == ("ann", invocation)
    assert seen == [invocation]
    assert TENANT.get() == "nobody"


async def test_they_may_call_tasks_without_a_slot_of_their_own():
    app = Pynenc(max_concurrency=1)

    @app.task
    async def token():
        await asyncio.sleep(0)
        return "secret"

    @app.resource
    async def client():
        yield await token()

    @app.task
    async def work(secret=inject(client)):
        return secret

    assert await work() == "secret"
    await assert_at_rest(app)


async def test_they_do_not_keep_the_invocation_alive():
    app, log = Pynenc(retain_count=0), []
    _, second = chain(app, log)

    @app.task
    async def work(two=inject(second)):
        raise LookupError

    gc.collect()
    gc.disable()
    try:
        invocation = work()
        with pytest.raises(LookupError):
            await invocation
        gone = weakref.ref(invocation)
        del invocation
        await turns(3)
        assert gone() is None
    finally:
        gc.enable()


async def test_bodies_whose_resource_closes_are_not_harmed_by_others_that_raise_the_same_error():
    app, error, gate = Pynenc(), LookupError("shared"), Gate()

    @app.resource
    async def slow_to_close():
        try:
            yield 1
        finally:
            await gate.wait()

    @app.task
    async def held(value=inject(slow_to_close)):
        raise error

    @app.task
    async def other():
        raise error

    first = held()
    await turns(5)
    for _ in range(3):
        with pytest.raises(LookupError):
            await other()
    gate.open()
    with pytest.raises(LookupError) as caught:
        await first
    assert caught.value is error
    await assert_at_rest(app)


# -- per app -----------------------------------------------------------------------------------------------------------


async def test_one_of_the_app_is_opened_once_however_many_ask_and_closed_with_the_app_in_reverse():
    app, log = Pynenc(), []
    first, second = chain(app, log, scope="app")

    @app.task
    async def in_loop(two=inject(second)):
        await asyncio.sleep(0)
        return two

    @app.task
    def in_thread(one=inject(first)):
        return one

    async with app:
        handles = [in_loop() if n % 2 else in_thread() for n in range(100)]
        assert {await handle for handle in handles} == {"first", "second of first"}
        assert sorted(log) == sorted(OPENS)
    assert log == [*OPENS, *CLOSES]
    await assert_at_rest(app)


async def test_it_is_opened_at_its_first_use_and_again_after_a_restart():
    app, log = Pynenc(), []
    _, second = chain(app, log, scope="app")

    @app.task
    async def work(two=inject(second)):
        return two

    async with app:
        pass
    assert log == []
    for _ in range(2):
        async with app:
            await work()
    assert log == [*OPENS, *CLOSES] * 2


async def test_whoever_asked_first_may_be_cancelled_and_the_others_get_it():
    app, gate, log = Pynenc(), Gate(), []

    @app.resource(scope="app")
    async def slow():
        async with logged(log, "slow"):
            await gate.wait()
            yield 5

    @app.task
    async def work(value=inject(slow)):
        return value

    async with app:
        handles = [work() for _ in range(3)]
        await turns(5)
        await handles[0].cancel("impatient")
        gate.open()
        assert [await handles[1], await handles[2]] == [5, 5]
    assert log == ["slow opens", "slow closes"]


async def test_one_that_fails_to_open_fails_all_who_wait_and_is_tried_again():
    app, gate, error, tries = Pynenc(), Gate(), ConnectionError(), []

    @app.resource(scope="app")
    async def flaky():
        tries.append(1)
        await gate.wait()
        if len(tries) == 1:
            raise error
        yield 5

    @app.task
    async def work(value=inject(flaky)):
        return value

    async with app:
        handles = [work() for _ in range(3)]
        await turns(5)
        gate.open()
        for handle in handles:
            with pytest.raises(ConnectionError) as caught:
                await handle
            assert caught.value is error
            assert len(caught.traceback) < 10, "without the frames of those who raised it before"
        assert await work.with_options(max_retries=1)() == 5
    assert len(tries) == 2


async def test_it_is_opened_and_closed_in_one_task_and_belongs_to_no_body():
    app, seen = Pynenc(), []

    @app.resource(scope="app")
    async def group():
        async with asyncio.TaskGroup() as group:
            seen.append((asyncio.current_task(), current_invocation(), threading.get_ident()))
            yield group
            seen.append((asyncio.current_task(), current_invocation(), threading.get_ident()))

    @app.task
    async def work(group=inject(group)):
        group.create_task(asyncio.sleep(0))

    async with app:
        await work()
    assert seen[0] == seen[1]
    assert seen[0][1:] == (None, threading.get_ident())


async def test_one_that_fails_to_close_is_logged_and_the_others_close(caplog):
    app, log = Pynenc(), []
    first, _ = chain(app, log, scope="app")

    @app.resource(scope="app")
    async def broken(one=inject(first)):
        yield 1
        raise ConnectionError("while closing")

    @app.task
    async def work(value=inject(broken)):
        return value

    async with app:
        assert await work() == 1
    assert log == ["first opens", "first closes"]
    [record] = [record for record in caplog.records if "failed to close" in record.message]
    assert "broken" in record.message
    assert isinstance(record.exc_info[1], ConnectionError)


@pytest.mark.virtual
async def test_one_that_does_not_close_holds_up_the_shutdown_for_a_bounded_time(caplog):
    app, log = Pynenc(), []

    @app.resource(scope="app")
    async def stuck():
        try:
            yield 1
        finally:
            log.append("closing")
            await asyncio.Event().wait()

    @app.task
    async def work(value=inject(stuck)):
        return value

    loop = asyncio.get_running_loop()
    async with app:
        await work()
        began = loop.time()
    assert 0 < loop.time() - began <= 10
    assert "has not closed in time" in caplog.text
    await turns(3)


async def test_what_is_still_opening_at_the_shutdown_is_given_up():
    app, log = Pynenc(), []

    @app.resource(scope="app")
    async def endless():
        async with logged(log, "endless"):
            await asyncio.Event().wait()
            yield 1

    @app.task
    async def work(value=inject(endless)):
        return value

    async with app:
        invocation = work()
        await turns(5)
        await app.shutdown(drain_seconds=0)
    assert invocation.status is S.CANCELLED
    assert log == ["endless opens", "endless sees CancelledError", "endless closes"]


async def test_after_the_end_nothing_is_opened():
    app, outcomes = Pynenc(), []
    first, _ = chain(app, [], scope="app")

    @app.task
    async def work(one=inject(first)):
        return one

    async with app:
        await work()
        resources = app._shutdown._resources
    with pytest.raises(ResourceError, match="start the app again"):
        await resources.get(first)
    assert not outcomes


def test_the_next_loop_opens_its_own_and_the_end_of_asyncio_run_closes(caplog):
    app, log = Pynenc(), []
    _, second = chain(app, log, scope="app")

    @app.task
    async def work(two=inject(second)):
        return two

    async def main():
        return await work()

    for _ in range(2):
        assert asyncio.run(main()) == "second of first"
    assert sorted(log) == sorted([*OPENS, *sees("CancelledError")] * 2)
    assert "still open" not in caplog.text


def test_what_a_loop_left_open_is_reported(caplog):
    app = Pynenc()

    @app.resource(scope="app")
    async def connection():
        yield "connection"

    @app.task
    async def work(value=inject(connection)):
        return value

    async def main():
        return await work()

    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    loop.close()
    assert asyncio.run(main()) == "connection"
    gc.collect()
    [record] = caplog.records
    assert "connection was still open" in record.message
