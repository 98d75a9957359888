"""Who runs next: by level, then what is awaited, then in the order of submission; and what is cancelled leaves no trace."""

import asyncio

import pytest
from helpers import Gate, assert_at_rest, held_slot, recorder, turns

from pynenc_async import Pynenc


async def test_first_come_first_served_within_a_level():
    app = Pynenc(max_concurrency=1)
    order, in_loop, _ = recorder(app)
    handles = [in_loop(n) for n in range(100)]
    for handle in reversed(handles):
        await handle
    assert order == list(range(100))


async def test_first_come_first_served_across_threads_and_coroutines():
    app = Pynenc(max_concurrency=1)
    order, in_loop, in_thread = recorder(app)
    handles = [(in_loop, in_thread)[n % 3 == 0](n) for n in range(30)]
    for handle in handles:
        await handle
    assert order == list(range(30))


async def test_higher_levels_go_first():
    app = Pynenc(max_concurrency=1)
    order, in_loop, in_thread = recorder(app)
    gate = await held_slot(app)
    levels = [0, -5, 7, 0, 3, 7, -5, 3]
    for position, level in enumerate(levels):
        (in_loop, in_thread)[position % 2].with_options(priority=level)((level, position))
    gate.open()
    while len(order) < len(levels):
        await asyncio.sleep(0)
    assert order == sorted(order, key=lambda one: (-one[0], one[1]))


async def test_a_later_call_of_a_higher_level_overtakes_a_whole_queue():
    app = Pynenc(max_concurrency=1)
    order, in_loop, _ = recorder(app)
    handles = [in_loop(n) for n in range(200)]
    handles.append(in_loop.with_options(priority=1)("urgent"))
    for handle in handles:
        await handle
    assert order[0] == "urgent"


async def test_the_priority_holds_for_retries():
    app = Pynenc(max_concurrency=1)
    order = []

    @app.task
    async def other(n):
        order.append(n)

    @app.task(priority=5, max_retries=1)
    async def flaky():
        order.append("flaky")
        if order.count("flaky") == 1:
            raise LookupError

    handles = [flaky(), *(other(n) for n in range(5))]
    for handle in handles:
        await handle
    assert order == ["flaky", "flaky", 0, 1, 2, 3, 4]


# -- what is awaited ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["coroutine", "thread"])
async def test_what_an_invocation_awaits_goes_ahead_of_its_level(kind):
    app = Pynenc(max_concurrency=1)
    order, in_loop, in_thread = recorder(app)
    queued = []

    @app.task
    async def parent():
        await queued[7]
        order.append("parent")

    gate = await held_slot(app)
    waiting = parent()
    queued.extend((in_loop if kind == "coroutine" else in_thread)(n) for n in range(10))
    gate.open()
    await waiting
    for handle in queued:
        await handle
    assert order == [7, "parent", *(n for n in range(10) if n != 7)]
    await assert_at_rest(app)


async def test_what_a_thread_awaits_goes_ahead_of_its_level():
    app = Pynenc(max_concurrency=1)
    order, in_loop, _ = recorder(app)
    queued = []

    @app.task
    def parent():
        queued[7].result  # noqa: B018
        order.append("parent")

    gate = await held_slot(app)
    waiting = parent()
    queued.extend(in_loop(n) for n in range(10))
    gate.open()
    await waiting
    for handle in queued:
        await handle
    assert order[:2] == [7, "parent"]


async def test_what_is_awaited_stays_behind_higher_levels():
    app = Pynenc(max_concurrency=1)
    order, in_loop, _ = recorder(app)
    queued = []

    @app.task(priority=9)
    async def parent():
        await queued[0]
        order.append("parent")

    gate = await held_slot(app)
    waiting = parent()
    queued.append(in_loop("low"))
    others = [in_loop.with_options(priority=5)(n) for n in range(3)]
    gate.open()
    await waiting
    assert order == [0, 1, 2, "low", "parent"]
    for other in others:
        await other


async def test_the_most_awaited_goes_first():
    app = Pynenc(max_concurrency=1)
    order, in_loop, _ = recorder(app)
    queued = []

    @app.task(priority=9)
    async def parent(n):
        await queued[n]

    gate = await held_slot(app)
    parents = [parent(n) for n in (1, 2, 3, 2, 3, 3)]
    queued.extend(in_loop(n) for n in range(5))
    gate.open()
    for one in parents:
        await one
    for one in queued:
        await one
    assert order == [3, 2, 1, 0, 4]


async def test_what_is_awaited_goes_ahead_also_of_those_that_wait_for_a_thread():
    app = Pynenc(max_threads=1)
    order, _, in_thread = recorder(app)
    busy, release, queued = Gate(), Gate(), []

    @app.task
    def occupy():
        busy.open()
        release.block()

    @app.task
    async def parent():
        await queued[3]

    occupying = occupy()
    await busy.wait()
    queued.extend(in_thread(n) for n in range(5))
    await turns(5)
    waiting = parent()
    await turns(5)
    release.open()
    await waiting
    for handle in (occupying, *queued):
        await handle
    assert order == [3, 0, 1, 2, 4]
    await assert_at_rest(app)


async def test_waiting_for_a_thread_keeps_no_coroutine_from_running():
    app = Pynenc(max_threads=1)
    order, in_loop, in_thread = recorder(app)
    busy, release = Gate(), Gate()

    @app.task
    def occupy():
        busy.open()
        release.block()

    occupying = occupy()
    await busy.wait()
    threads = [in_thread(n) for n in range(3)]
    assert await in_loop("loop") is None
    assert order == ["loop"]
    release.open()
    for handle in (occupying, *threads):
        await handle
    assert order == ["loop", 0, 1, 2]
    await assert_at_rest(app)


async def test_priorities_hold_among_those_that_wait_for_a_thread():
    app = Pynenc(max_threads=1)
    order, _, in_thread = recorder(app)
    busy, release = Gate(), Gate()

    @app.task
    def occupy():
        busy.open()
        release.block()

    handles = [occupy()]
    await busy.wait()
    handles += [in_thread.with_options(priority=level)(level) for level in (0, 5, 3)]
    await turns(5)
    handles.append(in_thread.with_options(priority=9)(9))
    await turns(5)
    release.open()
    for handle in handles:
        await handle
    assert order == [9, 5, 3, 0]


# -- memory ------------------------------------------------------------------------------------------------------------


def queued_entries(app):
    scheduler = app._dispatcher.scheduler
    return len(scheduler.ready) + len(app._dispatcher.threads.queue)
