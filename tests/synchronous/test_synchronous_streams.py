"""Sync mode: the items of async generator tasks, with a loop and without."""

import asyncio

import pytest
from helpers import USUAL, S, statuses

from pynenc_async import InvocationNotFinalError


@pytest.fixture
def countdown(app):
    @app.task(stream_buffer=2)
    async def countdown(n):
        for i in range(n, 0, -1):
            await asyncio.sleep(0)
            yield i

    return countdown


def test_the_result_of_an_async_generator_is_none(countdown):
    invocation = countdown(10)
    assert invocation.result is None
    assert statuses(invocation) == [*USUAL, S.SUCCESS]


async def test_a_stream_is_read_with_async_for(countdown):
    invocation = countdown(10)
    stream = invocation.stream()
    assert invocation.status is S.REGISTERED
    assert [item async for item in stream] == list(range(10, 0, -1))
    assert await invocation is None


async def test_a_stream_has_many_readers(countdown):
    invocation = countdown(5)
    streams = [invocation.stream(), invocation.stream()]

    async def read(stream):
        return [item async for item in stream]

    assert await asyncio.gather(*(read(stream) for stream in streams)) == [[5, 4, 3, 2, 1]] * 2


def test_a_stream_is_read_with_a_plain_for_where_there_is_no_loop(countdown):
    invocation = countdown(5)
    assert list(invocation.stream()) == [5, 4, 3, 2, 1]
    assert invocation.status is S.SUCCESS


def test_leaving_a_plain_for_over_a_stream_cancels_what_has_lost_its_loop(app):
    closed = []

    @app.task
    async def endless():
        try:
            while True:
                yield 1
        finally:
            closed.append(1)

    invocation = endless()
    for item in invocation.stream():
        assert item == 1
        break
    assert (invocation.status, closed) == (S.CANCELLED, [1])


async def test_a_plain_for_over_a_stream_inside_a_loop_says_what_to_do(countdown):
    with pytest.raises(InvocationNotFinalError, match="async for"):
        list(countdown(1).stream())


def test_what_a_plain_for_over_a_stream_runs_cannot_be_waited_for_within_it(countdown):
    invocation = countdown(5)
    streams = [invocation.stream(), invocation.stream()]
    for _ in streams[0]:
        with pytest.raises(InvocationNotFinalError, match="cannot go on"):
            invocation.blocking_result()
        with pytest.raises(InvocationNotFinalError, match="another event loop"):
            list(streams[1])
        break


async def test_a_closed_reader_holds_nobody_back(countdown):
    invocation = countdown(5)
    reader, idle = invocation.stream(), invocation.stream()
    idle.close()
    assert [item async for item in reader] == [5, 4, 3, 2, 1]


async def test_leaving_an_async_for_over_a_stream_cancels_nothing(countdown):
    invocation = countdown(5)
    async for _ in invocation.stream():
        break
    assert await invocation is None


async def test_a_stream_raises_what_the_generator_raised(app):
    @app.task
    async def breaks():
        yield 1
        raise ValueError("bad item")

    stream = breaks().stream()
    assert await anext(stream) == 1
    with pytest.raises(ValueError, match="bad item"):
        await anext(stream)


async def test_a_body_is_paused_while_it_waits_for_an_item(app, countdown):
    @app.task
    async def consume():
        return [item async for item in countdown(1).stream()]

    invocation = consume()
    assert await invocation == [1]
    assert statuses(invocation)[:5] == [S.REGISTERED, S.PENDING, S.RUNNING, S.PAUSED, S.RESUMED]


def test_only_async_generators_have_a_stream(app):
    @app.task
    def noop():
        pass

    with pytest.raises(TypeError, match="not an async generator"):
        noop().stream()
