"""Windowed groups: failures, early ends, several readers, readers in bodies and threads."""

import asyncio
import gc
import weakref

import pytest
from helpers import Gate, S, assert_at_rest, turns
from test_windowed_groups import World, kinds, read_until_error

from pynenc_async import CancelOutcome


@kinds
@pytest.mark.parametrize("read", ["async for", "in_order"])
async def test_the_failure_of_a_source_comes_after_the_members_before_it(kind, read):
    world = World()

    def broken():
        yield from world.source(range(3))
        raise KeyError("source")

    async def broken_async():
        async for one in world.async_source(range(3)):
            yield one
        raise KeyError("source")

    group = world.work.parallelize(broken() if kind == "sync" else broken_async(), window=10)
    results, error = await read_until_error(aiter(group) if read == "async for" else group.in_order())
    assert sorted(results) == [0, 1, 2]
    assert isinstance(error, KeyError)
    await assert_at_rest(world.app)


@kinds
async def test_the_failure_of_a_source_is_raised_by_await(kind):
    world = World()

    def broken():
        yield (1,)
        raise KeyError("source")

    async def broken_async():
        yield (1,)
        raise KeyError("source")

    with pytest.raises(KeyError, match="source"):
        await world.work.parallelize(broken() if kind == "sync" else broken_async())
    await assert_at_rest(world.app)


@kinds
async def test_a_wrong_element_comes_up_where_the_source_gave_it(kind):
    world = World()

    def wrong():
        yield (1,)
        yield 5
        yield (2,)

    async def wrong_async():
        for one in wrong():
            yield one

    group = world.work.parallelize(wrong() if kind == "sync" else wrong_async())
    results, error = await read_until_error(group)
    assert results == [1]
    assert isinstance(error, TypeError)
    assert "tuples, dicts or Arguments" in str(error)
    assert world.ran == [1]


@kinds
async def test_the_loop_can_go_on_after_the_failure_of_a_member(kind):
    world = World()
    elements = [(0,), (1, True), (2,), (3, True)]

    async def from_async():
        for one in elements:
            yield one

    iterator = aiter(world.work.parallelize(iter(elements) if kind == "sync" else from_async(), window=2))
    results, failures = [], []
    while True:
        try:
            results.append(await anext(iterator))
        except StopAsyncIteration:
            break
        except ValueError as error:
            failures.append(error.args[0])
    assert (sorted(results), sorted(failures)) == ([0, 2], [1, 3])


@kinds
async def test_break_and_dropping_the_group_stops_reading_the_source(kind):
    world = World()
    group = world.work.parallelize(world.either(kind), window=3)
    async for _ in group:
        break
    gone = weakref.ref(group)
    del group
    gc.collect()
    assert gone() is None
    await turns(20)
    pulled = world.pulled
    await turns(20)
    assert world.pulled == pulled
    assert world.closed == 1, "the source is closed"
    assert all(one.status is S.SUCCESS for one in world.app.invocations()), "what was submitted is done"


@kinds
async def test_async_with_cancels_what_is_left_and_closes_the_source(kind):
    world = World()
    world.gates = {n: Gate() for n in range(1, 100)}
    async with world.work.parallelize(world.either(kind), window=3) as group:
        async for result in group:
            assert result == 0
            break
    assert all(one.status.is_final() for one in group)
    assert world.closed == 1
    pulled = world.pulled
    await turns(20)
    assert world.pulled == pulled
    await assert_at_rest(world.app)


@kinds
async def test_cancelling_stops_the_source_and_ends_the_reader(kind):
    world = World()
    world.gates = {n: Gate() for n in range(100)}
    group = world.work.parallelize(world.either(kind), window=3)
    await turns(20)
    outcomes = await group.cancel()
    assert set(outcomes) <= {CancelOutcome.STOPPED, CancelOutcome.NEVER_STARTED}
    ended = [member async for member in group.as_completed()]
    assert len(ended) == len(outcomes) == 3
    assert await group.cancel() == []


@kinds
async def test_statistics_count_what_was_forgotten(kind):
    world = World()
    group = world.work.parallelize(world.either(kind, range(10)), window=2)
    iterator = aiter(group)
    for _ in range(6):
        await anext(iterator)
    assert group.statistics().final >= 6
    assert group.statistics().submitted <= 8
    assert sum(group.statistics().by_status.values()) <= 2
    async for _ in iterator:
        pass
    assert (group.statistics().submitted, group.statistics().final) == (10, 10)
    assert group.statistics().by_status == {}


@kinds
@pytest.mark.parametrize("window", [1, 3])
async def test_a_windowed_group_in_a_body_needs_no_second_slot(kind, window):
    world = World(max_concurrency=1)

    @world.app.task
    async def parent():
        return [one async for one in world.work.parallelize(world.either(kind, range(10)), window=window)]

    assert sorted(await parent()) == list(range(10))
    await assert_at_rest(world.app)


async def test_a_source_that_awaits_invocations_itself():
    world = World(max_concurrency=1)

    async def source():
        for n in range(5):
            yield (await world.work(n),)

    @world.app.task
    async def parent():
        return sorted([one async for one in world.work.parallelize(source(), window=2)])

    assert await parent() == [0, 1, 2, 3, 4]


async def test_two_readers_share_what_there_is():
    world = World()
    group = world.work.parallelize(world.source(range(50)), window=5)

    async def read():
        return [one async for one in group]

    one, other = await asyncio.gather(read(), read())
    assert sorted(one + other) == list(range(50))


async def test_two_readers_in_order_share_what_there_is():
    world = World()
    group = world.work.parallelize(world.source(range(50)), window=5)

    async def read():
        return [one async for one in group.in_order()]

    one, other = await asyncio.gather(read(), read())
    assert sorted(one + other) == list(range(50))


async def test_a_cancelled_reader_leaves_the_group_usable():
    world = World()
    world.gates[0] = Gate()
    group = world.work.parallelize(world.source(range(3)), window=1)
    reading = asyncio.ensure_future(anext(aiter(group)))
    await turns(5)
    reading.cancel()
    await asyncio.wait([reading])
    world.gates[0].open()
    assert [one async for one in group.in_order()] == [0, 1, 2]


async def test_plain_results_of_a_windowed_group_in_a_thread():
    world = World()
    group = world.work.parallelize(world.source(range(12)), window=4)
    assert await asyncio.to_thread(list, group.results) == list(range(12))


@pytest.mark.slow
async def test_ten_thousand_members_pass_through_a_small_window():
    world = World(retain_count=0)
    group = world.work.parallelize(world.source(range(10_000)), window=16)
    assert sum([one async for one in group]) == sum(range(10_000))
    assert group.invocations == []


async def test_plain_results_in_the_body_of_a_def_need_no_second_slot():
    world = World(max_concurrency=1, max_threads=1)

    @world.app.task
    def parent():
        return list(world.work.parallelize(world.source(range(10)), window=3).results)

    async with asyncio.timeout(30):
        assert await parent() == list(range(10))
    await assert_at_rest(world.app)
