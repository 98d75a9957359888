"""Groups over sized collections: cancelling, statistics, bodies and threads as readers, large ones."""

import asyncio
import sys

import pytest
from helpers import Gate, S, assert_at_rest, statuses, turns
from test_groups import World

from pynenc_async import (
    BaseInvocationGroup,
    CancelOutcome,
    DistributedInvocationGroup,
    InvocationCancelledError,
    InvocationNotFinalError,
    Pynenc,
)


async def test_async_with_cancels_what_is_left_when_the_block_is_left_early():
    world = World(max_concurrency=2).held(1)
    async with world.work.parallelize([(n,) for n in range(10)]) as group:
        async for result in group:
            assert result == 0
            break
    assert all(member.status.is_final() for member in group)
    assert group.invocations[1].status is S.CANCELLED
    await assert_at_rest(world.app)


async def test_async_with_passes_an_error_on_after_cancelling():
    world = World().held(0, 1)
    group = world.work.parallelize([(n,) for n in range(2)])
    with pytest.raises(KeyError):  # noqa: PT012  the block is what is tested
        async with group:
            await turns(3)
            raise KeyError
    assert [member.status for member in group] == [S.CANCELLED] * 2
    await assert_at_rest(world.app)


async def test_async_with_leaves_finished_work_alone():
    world = World()
    async with world.work.parallelize([(n,) for n in range(3)]) as group:
        results = await group
    assert results == [0, 1, 2]
    assert [member.status for member in group] == [S.SUCCESS] * 3


async def test_cancelling_a_group_says_what_was_found():
    world = World(max_concurrency=2).held(1)
    group = world.work.parallelize([(n,) for n in range(4)])
    assert await group.invocations[0] == 0
    await turns(2)
    world.gates[2] = Gate()
    outcomes = await group.cancel("enough")
    assert outcomes[:2] == [CancelOutcome.FINISHED, CancelOutcome.STOPPED]
    assert len(outcomes) == 4
    with pytest.raises(InvocationCancelledError, match="enough"):
        await group
    assert await group.cancel() == outcomes
    await assert_at_rest(world.app)


async def test_results_in_the_loop_and_in_a_thread():
    world = World()
    group = world.work.parallelize([(n,) for n in range(5)])
    assert await asyncio.to_thread(list, group.results) == [0, 1, 2, 3, 4]
    assert sorted([one async for one in group.results]) == [0, 1, 2, 3, 4]
    assert list(group.results) == [0, 1, 2, 3, 4]


async def test_plain_results_in_the_loop_say_to_await():
    world = World().held(0)
    group = world.work.parallelize([(0,)])
    with pytest.raises(InvocationNotFinalError, match="await"):
        list(group.results)
    world.gates[0].open()
    await group


async def test_members_length_and_statistics():
    world = World(max_concurrency=1).held(1)
    group = world.work.parallelize([(0,), (1,), (2, True)])
    assert isinstance(group, DistributedInvocationGroup)
    assert isinstance(group, BaseInvocationGroup)
    assert len(group) == 3
    assert list(group) == list(group.invocations)
    assert group.task is world.work
    assert group.app is world.app
    assert group.statistics().by_status == {S.REGISTERED: 3}
    await group.invocations[0]
    await turns(3)
    statistics = group.statistics()
    assert (statistics.submitted, statistics.final) == (3, 1)
    assert statistics.by_status == {S.SUCCESS: 1, S.RUNNING: 1, S.REGISTERED: 1}
    world.gates[1].open()
    with pytest.raises(ValueError, match="2"):
        await group
    assert group.statistics().by_status == {S.SUCCESS: 2, S.FAILED: 1}
    assert world.work.task_id in repr(group)


async def test_the_list_of_members_is_a_copy():
    group = World().work.parallelize([(1,), (2,)])
    group.invocations.clear()
    assert len(group.invocations) == 2
    assert await group == [1, 2]


@pytest.mark.parametrize("read", ["await", "async for", "in_order", "as_completed"])
async def test_a_group_read_in_a_body_needs_no_second_slot(read):
    world = World(max_concurrency=1)

    @world.app.task
    async def parent():
        group = world.work.parallelize([(n,) for n in range(5)])
        if read == "await":
            return await group
        if read == "as_completed":
            return [member.result async for member in group.as_completed()]
        return [one async for one in (group if read == "async for" else group.in_order())]

    invocation = parent()
    assert sorted(await invocation) == [0, 1, 2, 3, 4]
    assert S.PAUSED in statuses(invocation)
    assert all(
        child.parent_invocation_id == invocation.invocation_id for child in world.app.invocations(task=world.work)
    )
    await assert_at_rest(world.app)


async def test_a_group_is_read_from_a_later_task_than_the_one_that_made_it():
    world = World()
    group = world.work.parallelize([(n,) for n in range(5)])
    await world.app.shutdown()
    assert sorted([one async for one in group]) == [0, 1, 2, 3, 4]
    assert await group == [0, 1, 2, 3, 4]


def calls_to_read(count, read):
    """Count the function calls that it takes to submit and read a group."""
    calls = 0

    def profile(_frame, event, _argument):
        nonlocal calls
        calls += event in ("call", "c_call")

    async def main():
        world = World()
        group = world.work.parallelize([(n,) for n in range(count)])
        results = (
            await group
            if read == "await"
            else [one async for one in (aiter(group) if read == "async for" else group.in_order())]
        )
        assert len(results) == count

    sys.setprofile(profile)
    try:
        asyncio.run(main())
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.slow
@pytest.mark.parametrize("read", ["await", "async for", "in_order"])
def test_reading_a_group_takes_linear_work(read):
    small, large = calls_to_read(300, read), calls_to_read(3_000, read)
    assert large < 11 * small


@pytest.mark.slow
@pytest.mark.parametrize("in_body", [False, True])
async def test_a_large_group_in_and_out_of_a_body(in_body):
    app = Pynenc(max_concurrency=10, retain_count=0)

    @app.task
    async def echo(n):
        return n

    @app.task
    async def read():
        return sum([n async for n in echo.parallelize([(n,) for n in range(20_000)])])

    assert await (read() if in_body else read.func()) == sum(range(20_000))
