"""Progress: reported in a body, wherever it runs, and watched from outside."""

import asyncio

import pytest
from helpers import Gate, assert_at_rest, turns

from pynenc_async import Progress, Pynenc, report_progress


async def test_the_latest_report_can_be_read_at_any_time():
    app, gate = Pynenc(), Gate()

    @app.task
    async def work():
        report_progress(1, 4, "reading")
        await gate.wait()
        report_progress(4, 4)

    invocation = work()
    assert invocation.progress is None
    await turns(2)
    assert invocation.progress == Progress(1, 4, "reading")
    assert invocation.progress.fraction == 0.25
    gate.open()
    await invocation
    assert invocation.progress == Progress(4, 4)
    await assert_at_rest(app)


@pytest.mark.parametrize("kind", ["coroutine", "thread", "stream"])
async def test_watchers_see_the_last_report_and_the_end(kind):
    app = Pynenc()

    async def in_loop():
        for n in range(5):
            report_progress(n, 5)
            await asyncio.sleep(0)

    def in_thread():
        for n in range(5):
            report_progress(n, 5)

    async def in_stream():
        for n in range(5):
            report_progress(n, 5)
            yield n

    invocation = app.task({"coroutine": in_loop, "thread": in_thread, "stream": in_stream}[kind])()

    async def watch():
        return [update.done async for update in invocation.updates()]

    seen, again, _ = await asyncio.gather(watch(), watch(), invocation.wait())
    for updates in (seen, again):
        assert updates == sorted(set(updates))
        assert updates[-1] == 4
    assert [update.done async for update in invocation.updates()] == [4]
    await assert_at_rest(app)


async def test_a_watcher_that_was_slow_sees_the_latest_only():
    app, gate = Pynenc(), Gate()

    @app.task
    async def work():
        for n in range(100):
            report_progress(n)
        await gate.wait()

    invocation = work()
    updates = invocation.updates()
    await turns(3)
    assert (await anext(updates)).done == 99
    gate.open()
    with pytest.raises(StopAsyncIteration):
        await anext(updates)
    await assert_at_rest(app)


async def test_the_updates_of_one_that_failed_just_end():
    app = Pynenc()

    @app.task
    async def work():
        report_progress(1)
        raise LookupError

    invocation = work()
    assert [update.done async for update in invocation.updates()] == [1]
    assert isinstance(invocation.exception(), LookupError)


async def test_a_body_that_watches_another_gives_its_slot_away():
    app = Pynenc(max_concurrency=1)

    @app.task
    async def child():
        report_progress(1)
        await asyncio.sleep(0)
        report_progress(2)

    @app.task
    async def parent():
        return [update.done async for update in child().updates()][-1]

    assert await parent() == 2
    await assert_at_rest(app)


async def test_watchers_that_leave_early_leave_nothing_behind():
    app, gate = Pynenc(), Gate()

    @app.task
    async def work():
        report_progress(1)
        await gate.wait()

    invocation = work()
    for _ in range(20):
        async for _update in invocation.updates():
            break
        waiting = asyncio.ensure_future(anext(aiter(invocation.updates())))
        await waiting
    stuck = asyncio.ensure_future(invocation.wait())
    updates = invocation.updates()
    await anext(updates)
    watcher = asyncio.ensure_future(anext(updates))
    await turns(2)
    watcher.cancel()
    await turns(2)
    assert not invocation._more.progress._signals
    gate.open()
    await stuck
    await assert_at_rest(app)


def test_outside_of_a_body_a_report_goes_nowhere():
    report_progress(1, 2)


def test_in_sync_mode_the_latest_report_can_be_read():
    app = Pynenc("sync://")

    @app.task
    def work():
        report_progress(1, 2)
        return 1

    invocation = work()
    assert invocation.result == 1
    assert invocation.progress == Progress(1, 2)
