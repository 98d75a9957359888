"""Streams: failures, cancellation, bodies, groups and other loops."""

import asyncio

import pytest
from helpers import Gate, S, assert_at_rest, statuses, turns
from test_streams import World, read
from test_windowed_groups import read_until_error

from pynenc_async import InvocationCancelledError, Pynenc


async def test_a_failure_comes_after_the_items():
    world = World()
    world.error = ValueError("late")
    invocation = world.count(3)
    for _ in range(2):
        assert await read_until_error(invocation.stream()) == ([0, 1, 2], world.error)
    with pytest.raises(ValueError, match="late"):
        await invocation


async def test_a_stream_that_has_ended_stays_ended():
    stream = World().count(2).stream()
    assert await read(stream) == [0, 1]
    for _ in range(2):
        with pytest.raises(StopAsyncIteration):
            await anext(stream)


async def test_cancelling_runs_the_finally_of_the_generator():
    world = World()
    world.gate = Gate()
    invocation = world.count()
    reading = asyncio.create_task(read(invocation.stream()))
    await turns(10)
    await invocation.cancel("enough")
    assert world.finished == 1
    with pytest.raises(InvocationCancelledError, match="enough"):
        await reading
    await assert_at_rest(world.app)


async def test_cancelling_a_producer_that_waits_for_room_runs_its_finally():
    world = World(buffer=1)
    invocation = world.count()
    await turns(10)
    assert invocation.status is S.PAUSED
    assert await invocation.cancel() == "stopped"
    assert world.finished == 1
    await assert_at_rest(world.app)


async def test_a_finally_may_await_and_yield_nothing_more():
    app = Pynenc()
    cleaned = []

    @app.task
    async def count():
        try:
            yield 1
            await asyncio.get_running_loop().create_future()
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    invocation = count()
    assert await anext(invocation.stream()) == 1
    await turns(5)
    await invocation.cancel()
    assert cleaned == [True]


@pytest.mark.parametrize("buffer", [1, 5])
async def test_a_stream_read_in_a_body_needs_no_second_slot(buffer):
    world = World(buffer=buffer, max_concurrency=1)

    @world.app.task
    async def parent():
        return await read(world.count(20).stream())

    invocation = parent()
    assert await invocation == list(range(20))
    assert S.PAUSED in statuses(invocation)
    await assert_at_rest(world.app)


async def test_a_stream_of_a_stream():
    app = Pynenc(max_concurrency=1)

    @app.task(stream_buffer=1)
    async def numbers():
        for n in range(10):
            yield n

    @app.task(stream_buffer=1)
    async def doubled():
        async for n in numbers().stream():
            yield 2 * n

    assert await read(doubled().stream()) == [2 * n for n in range(10)]
    await assert_at_rest(app)


async def test_a_generator_that_awaits_children():
    app = Pynenc(max_concurrency=1)

    @app.task
    async def echo(n):
        return n

    @app.task(stream_buffer=2)
    async def count():
        for n in range(10):
            yield await echo(n)

    assert await read(count().stream()) == list(range(10))


@pytest.mark.parametrize("read_group", ["await", "async for", "in_order", "thread"])
async def test_a_group_of_generators_that_nobody_reads_completes(read_group):
    group = World(buffer=3).count.parallelize([(50,), (60,)])
    async with asyncio.timeout(30):
        if read_group == "await":
            assert await group == [None, None]
        elif read_group == "thread":
            assert await asyncio.to_thread(list, group.results) == [None, None]
        else:
            assert [one async for one in (group if read_group == "async for" else group.in_order())] == [None, None]


async def test_the_reader_in_another_loop_is_told_where_to_read():
    world = World()
    world.gate = Gate()
    invocation = world.count(3)
    await turns(3)

    async def foreign():
        stream = invocation.stream()
        await anext(stream)
        with pytest.raises(Exception, match="another thread"):
            await anext(stream)

    await asyncio.to_thread(asyncio.run, foreign())
    world.gate.open()
    await invocation
