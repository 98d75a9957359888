"""The life of the app: drains, shutdowns, one loop after another."""

import asyncio

from helpers import Gate, S, assert_at_rest, turns
from trigger_world import reporter, settled, task_of, worker

from pynenc_async import Pynenc, emitted, failed, reached, succeeded


async def test_a_drain_waits_for_what_is_fired():
    app = Pynenc()
    first, second, third = (worker(app, name) for name in ("first", "second", "third"))
    app.on(succeeded(first))(second)
    app.on(succeeded(second))(third)
    seen = reporter(app, succeeded(third))
    async with app:
        first()
    assert len(seen) == 1
    await assert_at_rest(app)


async def test_what_a_shutdown_cancels_fires_nothing_and_the_log_says_how_much(caplog):
    app = Pynenc()

    async def endless():
        await asyncio.Event().wait()

    task = task_of(app, endless, "endless")
    seen = reporter(app, reached(task, S.CANCELLED))
    async with app:
        early = task()
        await turns(3)
        await early.cancel()
        late = [task(), task()]
        await turns(3)
        await app.shutdown(drain_seconds=0)
    assert [event.last.invocation_id for event in seen] == [early.invocation_id]
    assert {handle.status for handle in late} == {S.CANCELLED}
    assert [record.refused for record in caplog.records if "fired no trigger" in record.getMessage()] == [2]
    await assert_at_rest(app)
    async with app:
        again = task()
        await turns(3)
        await again.cancel()
    assert len(seen) == 2


async def test_what_happened_before_a_shutdown_cancels_still_fires():
    app, gate = Pynenc(), Gate()
    work = worker(app)

    async def endless():
        await gate.wait()

    task_of(app, endless, "endless")()
    reporter(app, succeeded(work))
    [trigger] = app.triggers.values()
    async with app:
        await work(1)
        work(2)
        await app.shutdown(drain_seconds=0)
    assert trigger.fired >= 1
    assert trigger.fired == sum(handle.status is S.SUCCESS for handle in app.invocations(task=work))
    await assert_at_rest(app)


def test_what_one_loop_left_behind_fires_in_the_next():
    app = Pynenc()

    async def endless(n):
        if n:
            await asyncio.Event().wait()

    task = task_of(app, endless, "endless")
    cancelled = reporter(app, reached(task, S.CANCELLED), name="cancelled")
    done = reporter(app, succeeded(task), name="done")
    loop = asyncio.new_event_loop()

    async def first():
        task(1)
        await turns(3)
        app.emit("half")

    joined = reporter(app, emitted("half") & emitted("other half"), name="joined")
    loop.run_until_complete(first())
    loop.close()

    async def second():
        await task(0)
        app.emit("other half")
        await settled(app)

    asyncio.run(second())
    assert (len(cancelled), len(done), len(joined)) == (1, 1, 1)


def test_what_waited_in_one_loop_fires_when_it_ends_in_the_next():
    app = Pynenc(max_concurrency=1)
    work = worker(app)
    seen = reporter(app, succeeded(work))

    async def endless():
        await asyncio.Event().wait()

    blocker = task_of(app, endless, "endless")
    handles = []

    async def first():
        blocker()
        await turns(3)
        handles.append(work(7))

    async def second():
        await app.start()
        await handles[0]
        await settled(app)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(first())
    loop.close()
    asyncio.run(second())
    assert [event.result for event in seen] == [7]


async def test_the_two_halves_of_an_app_do_not_disturb_another_app():
    one, other = Pynenc(), Pynenc()
    work, work_there = worker(one), worker(other)
    seen, seen_there = reporter(one, succeeded(work)), reporter(other, failed(work_there))
    await work_there(1)
    await work(2)
    await settled(one)
    await settled(other)
    assert ([event.result for event in seen], seen_there) == ([2], [])
