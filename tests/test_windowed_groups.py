"""Groups over sources of unknown length: a window bounds what is submitted and not yet read, and what is kept."""

import asyncio
import itertools

import pytest
from helpers import Gate, assert_at_rest, turns

from pynenc_async import Pynenc


class World:
    """An app, a task, and sources that count how far they were read."""

    def __init__(self, **options):
        self.app = Pynenc(**options)
        self.ran: list[int] = []
        self.gates: dict[int, Gate] = {}
        self.pulled = 0
        self.closed = 0

        @self.app.task
        async def work(n, fail=False):  # noqa: FBT002
            self.ran.append(n)
            if n in self.gates:
                await self.gates[n].wait()
            if fail:
                raise ValueError(n)
            return n

        self.work = work

    def source(self, numbers=None):
        try:
            for n in itertools.count() if numbers is None else numbers:
                self.pulled += 1
                yield (n,)
        finally:
            self.closed += 1

    async def async_source(self, numbers=None):
        try:
            for n in itertools.count() if numbers is None else numbers:
                await asyncio.sleep(0)
                self.pulled += 1
                yield (n,)
        finally:
            self.closed += 1

    def either(self, kind, numbers=None):
        return self.source(numbers) if kind == "sync" else self.async_source(numbers)


async def read_until_error(items):
    """Return what an iteration gives, and the exception that ends it or None."""
    read = []
    try:
        async for item in items:
            read.append(item)  # noqa: PERF401  what comes before an error counts
    except Exception as error:
        return read, error
    return read, None


kinds = pytest.mark.parametrize("kind", ["sync", "async"])


@kinds
async def test_a_source_of_unknown_length_is_read_to_its_end(kind):
    for window in (1, 2, 7, 100, None):
        world = World()
        assert await world.work.parallelize(world.either(kind, range(20)), window=window) == list(range(20))
        assert world.closed == 1
        await assert_at_rest(world.app)


@kinds
@pytest.mark.parametrize("window", [1, 3, 50])
async def test_every_way_of_reading(kind, window):
    for read in (aiter, lambda group: group.in_order(), lambda group: aiter(group.results)):
        world = World()
        group = world.work.parallelize(world.either(kind, range(30)), window=window)
        results = [one async for one in read(group)]
        assert sorted(results) == list(range(30))
        assert len(group) == 30


@kinds
async def test_in_order_is_in_order(kind):
    world = World()
    world.gates[0] = Gate()
    group = world.work.parallelize(world.either(kind, range(10)), window=4)
    ordered = group.in_order()
    reading = asyncio.ensure_future(anext(ordered))
    await turns(20)
    assert not reading.done()
    world.gates[0].open()
    assert [await reading, *[one async for one in ordered]] == list(range(10))


@kinds
async def test_awaiting_gives_the_list_in_order_though_members_end_in_another(kind):
    world = World()
    world.gates[1] = Gate()
    waiting = asyncio.ensure_future(asyncio.gather(world.work.parallelize(world.either(kind, range(6)), window=3)))
    await turns(20)
    world.gates[1].open()
    assert await waiting == [list(range(6))]


@kinds
@pytest.mark.parametrize("read", ["async for", "in_order", "as_completed"])
async def test_the_window_is_never_exceeded_and_what_was_read_is_forgotten(kind, read):
    world = World(retain_count=5)
    group = world.work.parallelize(world.either(kind), window=10)
    readers = {
        "async for": aiter,
        "in_order": lambda one: one.in_order(),
        "as_completed": lambda one: one.as_completed(),
    }
    consumed = 0
    async for _ in readers[read](group):
        consumed += 1
        assert len(group) - consumed <= 10
        assert len(group.invocations) <= 10
        assert world.pulled - consumed <= 11, "at most one element is read ahead of the room for it"
        assert len(world.app.invocations()) <= 10 + 5 + 1
        if consumed == 500:
            break
    assert world.pulled >= 500
    await group.cancel()
    await assert_at_rest(world.app)


@kinds
async def test_without_a_reader_only_a_window_full_is_submitted(kind):
    world = World()
    group = world.work.parallelize(world.either(kind), window=5)
    if kind == "sync":
        assert len(group) == 5
    await turns(30)
    assert len(group) <= 5
    assert world.pulled <= 6
    await group.cancel()
    assert world.closed == 1
    await assert_at_rest(world.app)


async def test_a_window_bounds_a_sized_collection_too():
    world = World()
    group = world.work.parallelize([(n,) for n in range(10)], window=2)
    assert len(group) == 2
    assert sorted([one async for one in group]) == list(range(10))


@pytest.mark.parametrize("window", [0, -1, 1.5, "3", True])
async def test_a_window_that_makes_no_sense_is_refused(window):
    world = World()
    with pytest.raises((ValueError, TypeError), match="window"):
        world.work.parallelize(world.source(), window=window)
    assert world.ran == []


@kinds
async def test_an_empty_source(kind):
    world = World()
    assert await world.work.parallelize(world.either(kind, [])) == []
    assert [one async for one in world.work.parallelize(world.either(kind, []))] == []
    async with world.work.parallelize(world.either(kind, [])) as group:
        pass
    assert len(group) == 0
