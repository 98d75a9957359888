"""What waited in a loop that is gone goes on in the next one, whether the loop was left in order or just closed."""

import asyncio
import threading

import pytest
from helpers import S, assert_at_rest, assert_lawful, turns

from pynenc_async import InvocationCancelledError, Pynenc, Rate, report_progress
from pynenc_async.testing import VirtualLoop, run


def closed(main, loop=None):
    """Run `main` in a loop that is closed with all that is under way in it."""
    loop = loop or VirtualLoop()
    try:
        loop.run_until_complete(main())
    finally:
        loop.close()


LEAVING = pytest.mark.parametrize("leave", [run, closed])


@LEAVING
def test_who_waits_for_the_permit_of_a_body_that_is_gone_gets_it(leave):
    app, handles = Pynenc(), []

    @app.task(running_concurrency="task")
    async def work(n):
        await (asyncio.Event().wait() if n == 0 else asyncio.sleep(0))
        return n

    async def first():
        handles.extend(work(n) for n in range(3))
        await turns(3)

    async def second():
        await app.start()
        with pytest.raises(InvocationCancelledError):
            await handles[0]
        assert [await handle for handle in handles[1:]] == [1, 2]
        assert await work(5) == 5
        for handle in handles:
            assert_lawful(handle)
        await assert_at_rest(app)

    leave(first)
    run(second)


@LEAVING
def test_who_waits_for_a_rate_goes_on_waiting(leave):
    app, moments = Pynenc(), []

    @app.task(rate_limit=Rate(1, per=10, burst=1), running_concurrency="task")
    async def work(n):
        moments.append((n, asyncio.get_running_loop().time()))
        await (asyncio.Event().wait() if n == 0 else asyncio.sleep(0))

    handles = []

    async def first():
        handles.extend(work(n) for n in range(2))
        await asyncio.sleep(4)

    async def second():
        await app.start()
        await handles[1]
        await assert_at_rest(app)

    leave(first)
    run(second)
    assert moments == [(0, 0), (1, pytest.approx(6, abs=1e-3))]


@LEAVING
def test_a_body_in_a_thread_that_waited_for_another_is_told(leave):
    app, told = Pynenc(), threading.Event()

    @app.task
    async def endless():
        await asyncio.Event().wait()

    @app.task
    def work():
        try:
            endless().result  # noqa: B018
        finally:
            told.set()

    async def first():
        work()
        await asyncio.sleep(1)

    async def second():
        await app.start()
        await asyncio.to_thread(told.wait, 10)
        await assert_at_rest(app)

    leave(first)
    run(second)
    assert told.is_set()


def test_who_was_handed_to_a_busy_thread_and_waits_for_its_permit_again_is_in_the_same_attempt():
    app, handles, go_on = Pynenc(max_threads=1), [], threading.Event()

    @app.task
    def quick():
        pass

    @app.task
    def hog():
        go_on.wait(10)

    @app.task(running_concurrency="task")
    def work(n):
        return n

    async def first():
        await quick.parallelize([()] * 300)  # from now on such bodies are handed out before a thread is free
        handles.extend([hog(), *[work(n) for n in range(3)]])
        await turns(10)

    async def second():
        await app.start()
        go_on.set()
        for handle in handles:
            await handle.wait()
            assert_lawful(handle)
        await assert_at_rest(app)

    closed(first, asyncio.new_event_loop())
    asyncio.run(second())


@LEAVING
def test_who_waited_for_room_is_gone_with_the_loop(leave):
    app = Pynenc(max_concurrency=1, max_queued=1)

    @app.task
    async def work(n):
        await (asyncio.Event().wait() if n == 0 else asyncio.sleep(0))
        return n

    waiting = []

    async def first():
        work(0)
        await turns(3)
        work(1)
        waiting.extend(asyncio.ensure_future(work.submit(n)) for n in range(2, 5))
        await turns(3)

    async def second():
        await app.start()
        handles = [await work.submit(n) for n in range(5, 9)]
        assert [await handle for handle in handles] == [5, 6, 7, 8]
        await assert_at_rest(app)

    leave(first)
    run(second)
    for one in waiting:
        one._log_destroy_pending = False


@LEAVING
def test_who_watched_the_progress_is_not_told_any_more(leave):
    app, handles = Pynenc(max_concurrency=1), []

    @app.task
    async def work(n):
        if n == 0:
            await asyncio.Event().wait()
        report_progress(n)
        return n

    async def watch(handle):
        async for _ in handle.updates():
            pass

    watching = []

    async def first():
        handles.extend((work(0), work(1)))
        watching.append(asyncio.ensure_future(watch(handles[1])))
        await turns(3)

    async def second():
        await app.start()
        assert await handles[1] == 1
        await assert_at_rest(app)

    leave(first)
    run(second)
    for one in watching:
        one._log_destroy_pending = False


def test_a_call_from_a_thread_that_the_loop_did_not_live_to_see_runs_in_the_next():
    app, handles = Pynenc(), []

    @app.task
    async def work(n):
        return n

    async def first():
        await work(0)
        caller = threading.Thread(target=lambda: handles.append(work(1)))
        caller.start()
        caller.join()

    async def second():
        await app.start()
        assert await handles[0] == 1
        await assert_at_rest(app)

    closed(first)
    run(second)


@pytest.mark.parametrize("options", [{"running_concurrency": "task"}, {"delay": 5}, {"deadline": 5}, {"expires_in": 5}])
async def test_a_call_from_a_thread_that_is_cancelled_on_its_way_takes_nothing_and_stays_cancelled(options):
    app, handles = Pynenc(), []

    @app.task(**options)
    async def work(n):
        return n

    await app.start()
    caller = threading.Thread(target=lambda: handles.append(work(1)))
    caller.start()
    caller.join()
    await handles[0].cancel()
    await turns(5)
    assert handles[0].status is S.CANCELLED
    assert_lawful(handles[0])
    assert await work.with_options(delay=0)(2) == 2
    await assert_at_rest(app)
