"""Groups over sized collections: everything is submitted at once, and read in any order, any number of times."""

import asyncio
import gc

import pytest
from helpers import Gate, S, assert_at_rest, turns

from pynenc_async import (
    Pynenc,
)


class World:
    def __init__(self, **options):
        self.app = Pynenc(**options)
        self.ran: list[object] = []
        self.gates: dict[int, Gate] = {}

        @self.app.task
        async def work(n, fail=False):  # noqa: FBT002
            self.ran.append(n)
            if n in self.gates:
                await self.gates[n].wait()
            if fail:
                raise ValueError(n)
            return n

        self.work = work

    def held(self, *numbers):
        self.gates = {n: Gate() for n in numbers}
        return self


async def test_every_form_of_parameters():
    work = World().work
    forms = [(1,), {"n": 2}, work.args(3), (4, False), {"n": 5, "fail": False}, work.args(n=6)]
    for params in (forms, tuple(forms), dict.fromkeys(range(6), None) and forms):
        assert await work.parallelize(params) == [1, 2, 3, 4, 5, 6]


async def test_every_sized_collection():
    work = World().work
    assert sorted(await work.parallelize({(1,), (2,)})) == [1, 2]
    assert await work.parallelize({(1,): "a", (2,): "b"}) == [1, 2]
    assert await work.parallelize({(1,): "a", (2,): "b"}.keys()) == [1, 2]


async def test_an_empty_group():
    world = World()
    group = world.work.parallelize([])
    assert len(group) == 0
    assert await group == []
    assert [one async for one in group] == []
    assert [one async for one in group.in_order()] == []
    assert await group.cancel() == []
    assert list(group.results) == []


@pytest.mark.parametrize("wrong", [5, "text", [1], None, (), {"m": 1}, (1, 2, 3), ("a", "b", "c")], ids=repr)
async def test_a_wrong_element_raises_before_anything_runs(wrong):
    world = World()
    with pytest.raises(TypeError):
        world.work.parallelize([(1,), (2,), wrong])
    await turns(3)
    assert world.ran == []
    assert world.app.invocations() == []


async def test_arguments_of_another_task_are_refused():
    world = World()

    @world.app.task
    async def other(a, b):
        return a, b

    with pytest.raises(TypeError, match=r"other"):
        world.work.parallelize([other.args("x", "y")])


async def test_results_come_as_members_end():
    world = World(max_concurrency=None).held(0, 1, 2)
    group = world.work.parallelize([(n,) for n in range(3)])
    results = aiter(group)
    for n in (2, 0, 1):
        reading = asyncio.ensure_future(anext(results))
        await turns(3)
        assert not reading.done()
        world.gates[n].open()
        assert await reading == n
    with pytest.raises(StopAsyncIteration):
        await anext(results)


async def test_results_come_in_order_when_asked():
    world = World().held(0)
    group = world.work.parallelize([(n,) for n in range(4)])
    ordered = group.in_order()
    reading = asyncio.ensure_future(anext(ordered))
    await turns(3)
    assert not reading.done()
    world.gates[0].open()
    assert [await reading, *[one async for one in ordered]] == [0, 1, 2, 3]


async def test_as_completed_yields_the_members():
    world = World()
    group = world.work.parallelize([(0,), (1, True), (2,)])
    ended = [member async for member in group.as_completed()]
    assert set(ended) == set(group)
    assert all(member.status.is_final() for member in ended)
    assert [member.exception() is None for member in group] == [True, False, True]


async def test_awaiting_a_group_gives_the_list_in_order():
    world = World().held(0)
    group = world.work.parallelize([(n,) for n in range(3)])
    waiting = asyncio.gather(group, group)
    await turns(3)
    world.gates[0].open()
    assert await waiting == [[0, 1, 2]] * 2
    assert await group == [0, 1, 2]


async def test_many_readers_each_read_everything():
    world = World()
    group = world.work.parallelize([(n,) for n in range(20)])

    async def read(members):
        return [one async for one in members]

    reads = await asyncio.gather(read(group), read(group), read(group.in_order()), read(group.results), group)
    assert [sorted(one) for one in reads] == [list(range(20))] * 5
    assert sorted(await read(group)) == list(range(20))


async def test_the_failure_of_a_member_is_raised_by_await_at_once():
    world = World().held(0)
    group = world.work.parallelize([(0,), (1, True), (2,)])
    with pytest.raises(ValueError, match="1") as caught:
        await group
    assert caught.value is group.invocations[1].exception()
    assert group.invocations[0].status is S.RUNNING
    world.gates[0].open()
    assert await group.invocations[0] == 0


async def test_the_loop_can_go_on_after_a_failure():
    for read in (aiter, lambda group: group.in_order()):
        group = World().work.parallelize([(0,), (1, True), (2,), (3, True)])
        results, failures, iterator = [], [], read(group)
        while True:
            try:
                results.append(await anext(iterator))
            except StopAsyncIteration:
                break
            except ValueError as error:
                failures.append(error.args[0])
        assert (sorted(results), sorted(failures)) == ([0, 2], [1, 3])


async def test_leaving_the_loop_early_leaks_and_cancels_nothing():
    world = World(max_concurrency=None).held(3)
    group = world.work.parallelize([(n,) for n in range(4)])
    async for _ in group:
        break
    async for _ in group.in_order():
        break
    async for _ in group.as_completed():
        break
    world.gates[3].open()
    del group
    gc.collect()
    for invocation in world.app.invocations():
        await invocation
    assert sorted(world.ran) == [0, 1, 2, 3]
    await assert_at_rest(world.app)


async def test_a_dropped_group_does_its_work():
    world = World()
    world.work.parallelize([(n,) for n in range(5)])
    await turns(50)
    assert sorted(world.ran) == [0, 1, 2, 3, 4]
