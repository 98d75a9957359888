"""A broken middleware is logged once and disabled, and the invocation goes on as though it had not been there."""

import asyncio
import logging
import threading
from contextlib import suppress

import pytest
from helpers import S, assert_at_rest, turns

from pynenc_async import MiddlewareError, Pynenc, QueueFullError, RefusedError, RetryError


async def raises_before(invocation, call_next):
    raise AttributeError("a bug")


async def raises_an_error_of_the_package(invocation, call_next):
    raise QueueFullError("of something that it submitted")


async def raises_after(invocation, call_next):
    with suppress(LookupError):
        await call_next()
    raise AttributeError("a bug")


async def raises_while_it_handles(invocation, call_next):
    try:
        return await call_next()
    finally:
        raise AttributeError("a bug")


async def forgets(invocation, call_next):
    pass


async def forgets_to_await(invocation, call_next):
    return call_next()


async def calls_twice(invocation, call_next):
    with suppress(LookupError):
        await call_next()
    return await call_next()


async def calls_twice_and_says_nothing_of_it(invocation, call_next):
    with suppress(LookupError):
        await call_next()
    with suppress(MiddlewareError):
        await call_next()
    return "mine"


BROKEN = [
    raises_before,
    raises_an_error_of_the_package,
    raises_after,
    raises_while_it_handles,
    forgets,
    forgets_to_await,
    calls_twice,
    calls_twice_and_says_nothing_of_it,
]


def complaints(caplog):
    return [record for record in caplog.records if record.levelno == logging.ERROR and "middleware" in record.message]


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("kind", ["coroutine", "thread"])
@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.filterwarnings("ignore:coroutine 'CallNext.__call__' was never awaited")
async def test_it_is_disabled_logged_once_and_changes_nothing(broken, kind, fails, caplog):
    app, calls, error = Pynenc(), [], LookupError("of the body")

    @app.middleware
    async def sound(invocation, call_next):
        calls.append("sound")
        return await call_next()

    app.middleware(broken)

    def work(n):
        calls.append("body")
        if fails:
            raise error
        return n

    async def work_in_loop(n):
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return work(n)

    task = app.task(work if kind == "thread" else work_in_loop)
    invocations = [task(n) for n in range(3)]
    for n, invocation in enumerate(invocations):
        if fails:
            with pytest.raises(LookupError) as caught:
                await invocation
            assert caught.value is error
        else:
            assert await invocation == n
    assert sorted(calls) == ["body"] * 3 + ["sound"] * 3
    [complaint] = complaints(caplog)
    assert broken.__name__ in complaint.message
    assert complaint.invocation_id in {one.invocation_id for one in invocations}
    assert complaint.task_id == task.task_id
    assert len(app._surroundings._layers) == 1
    await assert_at_rest(app)


@pytest.mark.parametrize("kind", ["coroutine", "thread"])
@pytest.mark.parametrize("fails", [False, True])
async def test_so_is_one_that_returns_while_the_body_is_under_way(kind, fails, caplog):
    app, loop, ran, error = Pynenc(), asyncio.get_running_loop(), [], LookupError("of the body")
    begun, go_on, go_on_in_thread = asyncio.Event(), asyncio.Event(), threading.Event()

    @app.middleware
    async def does_not_wait(invocation, call_next):
        running = asyncio.ensure_future(call_next())
        running.add_done_callback(lambda done: done.exception())
        await begun.wait()
        go_on.set()
        go_on_in_thread.set()
        return "mine"

    def end(n):
        ran.append(n)
        if fails:
            raise error
        return n

    async def work_in_loop(n):
        begun.set()
        await go_on.wait()
        return end(n)

    def work_in_thread(n):
        loop.call_soon_threadsafe(begun.set)
        go_on_in_thread.wait(30)
        return end(n)

    task = app.task(work_in_thread if kind == "thread" else work_in_loop)
    for n in range(2):
        invocation = task(n)
        await invocation.wait()
        assert invocation.exception() is (error if fails else None)
        assert fails or invocation.result == n
    assert ran == [0, 1]
    [complaint] = complaints(caplog)
    assert "under way" in complaint.message
    assert not app._surroundings._layers
    await assert_at_rest(app)


async def test_one_that_may_or_may_not_have_begun_the_body_answers_or_is_disabled_and_the_body_runs_once_at_most(
    caplog,
):
    app, ran, said = Pynenc(), [], []

    @app.middleware
    async def does_not_wait(invocation, call_next):
        running = asyncio.ensure_future(call_next())
        running.add_done_callback(lambda done: done.exception())
        await asyncio.sleep(0)
        said.append("mine")
        return "mine"

    @app.task
    async def work(n):
        await asyncio.sleep(0)
        ran.append(n)
        return n

    outcomes = [await work(n) for n in range(3)]
    await turns(2)
    assert all(outcome in ("mine", n) for n, outcome in enumerate(outcomes))
    assert all(ran.count(n) == 1 for n, outcome in enumerate(outcomes) if outcome == n)
    assert len(ran) == len(set(ran))
    own = sum(outcome == "mine" for outcome in outcomes)
    assert len(said) == own + len(complaints(caplog))
    assert len(complaints(caplog)) == (own < 3)
    await assert_at_rest(app)


@pytest.mark.parametrize("error", [RefusedError("no"), RetryError("again"), KeyboardInterrupt(), SystemExit(3)])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_what_is_meant_is_no_fault(error, when, caplog):
    app = Pynenc()

    @app.middleware
    async def mean_it(invocation, call_next):
        if when == "after":
            await call_next()
        raise error

    @app.task
    async def work():
        return 1

    for _ in range(2):
        invocation = work()
        assert await invocation.wait()
        assert invocation.exception() is error
    assert not complaints(caplog)


async def test_a_required_one_is_never_disabled_and_what_it_does_wrong_fails_the_attempt(caplog):
    app, ran = Pynenc(), []

    @app.middleware(required=True)
    async def authorise(invocation, call_next):
        match invocation.arguments.kwargs["user"]:
            case "ann":
                return await call_next()
            case "eve":
                raise PermissionError("eve")
            case "twice":
                await call_next()
                return await call_next()

    @app.task
    async def work(user):
        ran.append(user)
        return user

    for _ in range(2):
        assert await work("ann") == "ann"
        with pytest.raises(PermissionError):
            await work("eve")
        with pytest.raises(MiddlewareError, match="without calling"):
            await work("bob")
        with pytest.raises(MiddlewareError, match="before"):
            await work("twice")
    assert ran == ["ann", "twice"] * 2
    assert not complaints(caplog)
    await assert_at_rest(app)


async def test_a_required_error_is_retried_like_any_other():
    app, attempts = Pynenc(), []

    @app.middleware(required=True)
    async def flaky(invocation, call_next):
        attempts.append(1)
        if len(attempts) < 3:
            raise ConnectionError
        return await call_next()

    @app.task(max_retries=5)
    async def work():
        return 1

    assert await work() == 1
    assert len(attempts) == 3


async def test_an_outer_one_sees_nothing_of_a_broken_inner_one():
    app, seen = Pynenc(), []

    @app.middleware
    async def outer(invocation, call_next):
        seen.append(await call_next())

    app.middleware(raises_before)
    app.middleware(raises_after)

    @app.task
    async def work(n):
        return n

    assert [await work(n) for n in range(3)] == [0, 1, 2]
    assert seen == [0, 1, 2]


async def test_a_call_after_the_end_is_refused():
    app, kept = Pynenc(), []

    @app.middleware
    async def keep(invocation, call_next):
        kept.append(call_next)
        return call_next.answer(1)

    @app.task
    async def work():
        raise AssertionError

    assert await work() == 1
    with pytest.raises(MiddlewareError, match="before"):
        await kept[0]()
    await turns(2)
    assert work().status is S.REGISTERED
    await turns(4)
