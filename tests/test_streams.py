"""Streams: the items of async generator tasks, a bounded buffer, many readers."""

import asyncio
import gc
import itertools

import pytest
from helpers import Gate, S, assert_at_rest, turns

from pynenc_async import Pynenc, StreamTruncatedError


class World:
    """An app with a generator that counts what it has produced, and notes its end."""

    def __init__(self, *, buffer=1_000, **options):
        self.app = Pynenc(**options)
        self.produced = 0
        self.finished = 0
        self.gate: Gate | None = None
        self.error: BaseException | None = None

        @self.app.task(stream_buffer=buffer)
        async def count(n=None):
            try:
                for i in itertools.count() if n is None else range(n):
                    if self.gate is not None and i == 1:
                        await self.gate.wait()
                    self.produced += 1
                    yield i
                if self.error is not None:
                    raise self.error
            finally:
                self.finished += 1

        self.count = count


async def take(stream, count):
    return [await anext(stream) for _ in range(count)]


async def read(stream):
    return [item async for item in stream]


async def test_items_from_the_start():
    world = World()
    invocation = world.count(5)
    assert await read(invocation.stream()) == [0, 1, 2, 3, 4]
    assert await invocation is None
    assert invocation.status is S.SUCCESS
    assert world.finished == 1
    await assert_at_rest(world.app)


async def test_items_are_read_again_after_the_end():
    invocation = World().count(5)
    await invocation
    for _ in range(2):
        assert await read(invocation.stream()) == [0, 1, 2, 3, 4]


async def test_items_from_now():
    world = World()
    world.gate = Gate()
    invocation = world.count(3)
    assert await take(invocation.stream(), 1) == [0]
    late = invocation.stream(from_start=False)
    world.gate.open()
    assert await read(late) == [1, 2]
    assert await read(invocation.stream(from_start=False)) == []


async def test_many_readers_each_get_every_item():
    invocation = World(buffer=3).count(50)
    streams = [invocation.stream() for _ in range(4)]
    assert await asyncio.gather(*map(read, streams)) == [list(range(50))] * 4


async def test_an_empty_generator():
    invocation = World().count(0)
    assert await read(invocation.stream()) == []
    assert invocation.status is S.SUCCESS


@pytest.mark.parametrize("buffer", [1, 2, 10])
async def test_the_producer_does_not_run_ahead_of_the_buffer(buffer):
    world = World(buffer=buffer)
    invocation = world.count()
    stream = invocation.stream()
    for taken in range(30):
        await turns(5)
        assert world.produced <= taken + buffer + 1
        assert await anext(stream) == taken
    await invocation.cancel()
    await assert_at_rest(world.app)


async def test_without_readers_the_producer_stops_at_the_buffer_and_has_no_slot():
    world = World(buffer=4, max_concurrency=1)
    invocation = world.count()
    await turns(20)
    assert world.produced <= 5
    assert invocation.status is S.PAUSED
    assert world.app.statistics().running == 0
    assert await take(invocation.stream(), 10) == list(range(10))
    await invocation.cancel()


async def test_awaiting_without_a_reader_drops_the_items_and_completes():
    world = World(buffer=3)
    invocation = world.count(100)
    assert await invocation is None
    assert world.produced == 100
    with pytest.raises(StreamTruncatedError) as caught:
        invocation.stream()
    assert caught.value.invocation_id == invocation.invocation_id
    assert await read(invocation.stream(from_start=False)) == []


async def test_waiting_for_the_end_without_a_reader_completes_too():
    world = World(buffer=3)
    invocation = world.count(100)
    assert await invocation.wait()


async def test_reading_the_result_in_a_thread_completes_too():
    invocation = World(buffer=3).count(100)
    assert await asyncio.to_thread(invocation.blocking_result, 30) is None


async def test_shutdown_drains_a_generator_that_nobody_reads():
    world = World(buffer=3)
    async with world.app:
        invocation = world.count(100)
    assert invocation.status is S.SUCCESS


async def test_the_slowest_reader_holds_the_producer_back():
    world = World(buffer=2)
    invocation = world.count()
    fast, slow = invocation.stream(), invocation.stream()
    await take(fast, 2)
    ahead = asyncio.ensure_future(take(fast, 5))
    await turns(20)
    assert not ahead.done()
    assert world.produced <= 3
    assert await take(slow, 6) == list(range(6))
    assert await ahead == [2, 3, 4, 5, 6]
    await invocation.cancel()


@pytest.mark.parametrize("how", ["dropped", "closed"])
async def test_a_reader_that_goes_frees_the_producer(how):
    world = World(buffer=2)
    invocation = world.count(50)
    slow = invocation.stream()
    await anext(slow)
    fast = asyncio.ensure_future(read(invocation.stream()))
    await turns(20)
    assert not fast.done()
    if how == "closed":
        slow.close()
    else:
        del slow
        gc.collect()
    assert await fast == list(range(50))


async def test_leaving_the_loop_over_a_stream_leaks_and_cancels_nothing():
    world = World()
    invocation = world.count(10)
    async for item in invocation.stream():
        if item == 3:
            break
    await invocation
    assert world.produced == 10
    await assert_at_rest(world.app)


async def test_a_cancelled_reader_frees_the_producer():
    world = World(buffer=1)
    world.gate = Gate()
    invocation = world.count(10)

    async def read_slowly():
        return [item async for item in invocation.stream()]

    reading = asyncio.create_task(read_slowly())
    await turns(5)
    reading.cancel()
    await asyncio.wait([reading])
    del reading
    gc.collect()
    world.gate.open()
    await invocation
    assert world.produced == 10
