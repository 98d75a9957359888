"""Middleware around bodies that run elsewhere: they keep their place, their waits, their timeouts and their cancellation."""

import asyncio
import threading

import pytest
from helpers import USUAL, Gate, Gauge, S, assert_at_rest, assert_lawful, statuses, turns

from pynenc_async import (
    CancelOutcome,
    InvocationCancelledError,
    InvocationTimeoutError,
    Pynenc,
    current_invocation,
)


def with_middleware(app):
    log = []

    @app.middleware
    async def watch(invocation, call_next):
        log.append("in")
        try:
            await call_next()
        except BaseException as error:
            log.append(type(error).__name__)
            raise
        else:
            log.append("out")

    return log


async def until(condition):
    while not condition():
        await asyncio.sleep(0)


async def test_the_middleware_runs_in_the_loop_and_the_body_in_a_thread():
    app, threads = Pynenc(), []

    @app.middleware
    async def look(invocation, call_next):
        threads.append(threading.get_ident())
        return await call_next()

    @app.task
    def work():
        threads.append(threading.get_ident())
        return current_invocation().invocation_id

    invocation = work()
    assert await invocation == invocation.invocation_id
    assert threads[0] == threading.get_ident() != threads[1]
    assert statuses(invocation) == [*USUAL, S.SUCCESS]


async def test_a_body_that_waits_in_its_thread_gives_its_slot_and_its_thread_away():
    app = Pynenc(max_concurrency=1, max_threads=1)
    log = with_middleware(app)

    @app.task
    def work(depth):
        return 0 if depth == 0 else 1 + work(depth - 1).result

    invocation = work(5)
    assert await invocation == 5
    assert statuses(invocation) == [*USUAL, S.PAUSED, S.RESUMED, S.SUCCESS]
    assert_lawful(invocation)
    assert log == ["in"] * 6 + ["out"] * 6
    await assert_at_rest(app)


async def test_never_more_bodies_than_threads_and_slots():
    app, gauge = Pynenc(max_concurrency=4, max_threads=2), Gauge()
    with_middleware(app)

    @app.task
    def work(n):
        with gauge:
            return n

    @app.task
    def parent(n):
        with gauge:
            child = work(n)
            with gauge.away():
                return child.result

    results = [*[work(n) for n in range(100)], *[parent(n) for n in range(50)]]
    assert [await one for one in results] == [*range(100), *range(50)]
    assert gauge.peak <= 2
    await assert_at_rest(app)


async def test_a_body_that_has_not_begun_is_cancelled_before_it_ever_does():
    app, gate, ran = Pynenc(max_threads=1), Gate(), []

    @app.task
    def hold():
        gate.block()

    holder = hold()
    await until(lambda: holder.status is S.RUNNING)
    log = with_middleware(app)

    @app.task
    def work():
        ran.append(1)

    invocation = work()
    app._dispatcher.threads.ahead = 1  # as with short bodies: it is handed out while the thread is taken
    app._dispatcher.crew.settle()
    await until(lambda: log)
    assert await invocation.cancel("not needed") is CancelOutcome.STOPPED
    assert log == ["in", "CancelledError"]
    gate.open()
    await holder
    assert not ran
    assert_lawful(invocation)
    await assert_at_rest(app)


async def test_cancelling_waits_for_the_real_end_of_the_body():
    app, started, gate = Pynenc(), Gate(), Gate()
    log = with_middleware(app)

    @app.task
    def work():
        started.open()
        gate.block()
        return current_invocation().stop_requested

    invocation = work()
    await started.wait()
    cancelling = asyncio.ensure_future(invocation.cancel("please"))
    await turns(5)
    assert not cancelling.done()
    gate.open()
    assert await cancelling is CancelOutcome.FINISHED
    assert await invocation is True
    assert log == ["in", "out"]
    await assert_at_rest(app)


async def test_a_cancelled_wait_in_a_thread_is_broken_off():
    app, never = Pynenc(), asyncio.Event()

    @app.task
    async def endless():
        await never.wait()

    log = with_middleware(app)

    @app.task
    def work():
        return endless().result

    invocation = work()
    await until(lambda: invocation.status is S.PAUSED and log == ["in", "in"])
    assert await invocation.cancel("enough") is CancelOutcome.STOPPED
    with pytest.raises(InvocationCancelledError, match="enough"):
        await invocation
    assert log.count("CancelledError") == 2, "of the body and of its child"
    assert_lawful(invocation)
    await assert_at_rest(app)


@pytest.mark.virtual
@pytest.mark.parametrize("kind", ["coroutine", "thread"])
async def test_a_timeout_covers_the_middleware_and_the_body(kind):
    app = Pynenc()

    @app.middleware
    async def slow(invocation, call_next):
        await asyncio.sleep(2)
        value = await call_next()
        await asyncio.sleep(2)
        return value

    async def coroutine():
        return 1

    def thread():
        return 1

    task = app.task({"coroutine": coroutine, "thread": thread}[kind])
    assert await task.with_options(timeout=5)() == 1
    for timeout in (1, 3):
        invocation = task.with_options(timeout=timeout)()
        with pytest.raises(InvocationTimeoutError):
            await invocation
        assert_lawful(invocation)
    await assert_at_rest(app)


@pytest.mark.virtual
async def test_a_timeout_of_the_middleware_waits_for_the_thread_and_is_its_error():
    app, asked = Pynenc(), []
    never = asyncio.Event()

    @app.task
    async def endless():
        await never.wait()

    @app.middleware(tasks=lambda task: task is not endless)
    async def limited(invocation, call_next):
        async with asyncio.timeout(3):
            return await call_next()

    @app.task
    def work():
        try:
            return endless().result
        finally:
            asked.append(1)

    invocation = work()
    with pytest.raises(TimeoutError):
        await invocation
    assert asked == [1]
    assert invocation.status is S.FAILED
    assert limited.__name__ in str(app._surroundings._layers[0].layer.name), "it is not broken"
    for child in app.invocations(task=endless):
        await child.cancel()
    await assert_at_rest(app)


async def test_a_body_that_ignores_everything_is_abandoned_and_its_middleware_ends():
    app, started, gate = Pynenc(), Gate(), Gate()
    log = with_middleware(app)

    @app.task(cancel_grace=0)
    def work():
        started.open()
        gate.block()

    invocation = work()
    await started.wait()
    await turns(3)
    assert await invocation.cancel("now") is CancelOutcome.STOPPED
    await until(lambda: len(log) == 2)
    assert log == ["in", "CancelledError"]
    gate.open()
    await until(lambda: not app._dispatcher.crew.threads._handed_out)
    assert invocation.status is S.CANCELLED
    assert_lawful(invocation)
    await assert_at_rest(app)


async def test_the_body_may_run_in_another_task_than_the_middleware():
    app = Pynenc()

    @app.middleware
    async def waited(invocation, call_next):
        return await asyncio.wait_for(asyncio.ensure_future(call_next()), 60)

    @app.task
    async def child(n):
        await asyncio.sleep(0)
        return n

    @app.task
    async def in_loop(n):
        return await child(n)

    @app.task
    def in_thread(n):
        return child(n).result

    for task in (in_loop, in_thread):
        invocation = task(3)
        assert await invocation == 3
        assert_lawful(invocation)
    await assert_at_rest(app)


def test_what_a_loop_leaves_behind_does_not_begin_later():
    app, ran = Pynenc(max_threads=1), []
    held = threading.Event()

    @app.middleware
    async def watch(invocation, call_next):
        return await call_next()

    @app.task
    def work(n):
        ran.append(n)
        held.wait(30)

    async def first():
        invocations = [work(1)]
        await until(lambda: ran == [1])
        app._dispatcher.threads.ahead = 1
        invocations.append(work(2))
        await turns(5)
        return invocations

    async def second():
        invocation = work(3)
        held.set()  # only now: what the other loop has handed out is revoked when the app is used in this one
        return await invocation

    loop = asyncio.new_event_loop()
    invocations = loop.run_until_complete(first())
    loop.close()
    asyncio.run(second())
    assert ran == [1, 3]
    assert [one.status for one in invocations] == [S.CANCELLED, S.CANCELLED]


async def test_the_shutdown_waits_for_the_middleware_too():
    app, log = Pynenc(), []

    @app.middleware
    async def watch(invocation, call_next):
        value = await call_next()
        await turns(5)
        log.append("out")
        return value

    @app.task
    def work():
        return 1

    async with app:
        invocation = work()
    assert invocation.status is S.SUCCESS
    assert log == ["out"]
