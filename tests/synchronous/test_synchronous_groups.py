"""Sync mode: groups run their members as they are read."""

import asyncio

import pytest
from helpers import S

from pynenc_async import CancelOutcome, InvocationNotFinalError, SynchronousInvocationGroup


@pytest.fixture
def double(app):
    @app.task
    async def double(x):
        if x < 0:
            raise ValueError(x)
        return 2 * x

    return double


@pytest.fixture
def held(app):
    @app.task
    async def held(ends):
        if not ends:
            await asyncio.Event().wait()

    return held


def test_a_group_of_a_collection_runs_at_the_call(app, double):
    group = double.parallelize([(1,), {"x": 2}, double.args(3)])
    assert isinstance(group, SynchronousInvocationGroup)
    assert (len(group), group.app, group.task.task_id) == (3, app, double.task_id)
    results = iter(group.results)
    assert next(results) == 2
    assert [member.status for member in group] == [S.SUCCESS] * 3
    assert list(results) == [4, 6]
    assert "3 submitted" in repr(group)
    assert list(group.results) == [2, 4, 6]


async def test_a_group_is_read_in_every_way_inside_a_loop(double):
    group = double.parallelize([(1,), (2,), (3,)])
    assert [result async for result in group] == [2, 4, 6]
    assert [result async for result in group.results] == [2, 4, 6]
    assert [result async for result in group.in_order()] == [2, 4, 6]
    assert [member.result async for member in group.as_completed()] == [2, 4, 6]
    assert await group == [2, 4, 6]


async def test_a_plain_for_over_results_inside_a_loop_says_to_await(double):
    with pytest.raises(InvocationNotFinalError, match="await"):
        list(double.parallelize([(1,)]).results)


async def test_as_completed_shows_failures_without_raising_them(double):
    group = double.parallelize([(1,), (-1,), (2,)])
    assert [member.status async for member in group.as_completed()] == [S.SUCCESS, S.FAILED, S.SUCCESS]
    with pytest.raises(ValueError, match="-1"):
        await group


def test_an_iteration_goes_on_behind_a_failure(double):
    results = iter(double.parallelize([(-1,), (2,)]).results)
    with pytest.raises(ValueError, match="-1"):
        next(results)
    assert list(results) == [4]


def test_a_wrong_element_raises_before_anything_is_submitted(app, double):
    with pytest.raises(TypeError, match="tuples"):
        double.parallelize([(1,), 2])
    assert app.invocations() == []


def test_an_endless_iterable_is_submitted_as_it_is_read(double):
    submitted = []

    def endless():
        while True:
            submitted.append(len(submitted))
            yield (len(submitted),)

    group = double.parallelize(endless())
    assert (len(group), submitted) == (0, [])
    for result in group.results:
        if result == 6:
            break
    assert (len(group), group.invocations, submitted) == (3, [], [0, 1, 2])
    assert group.statistics().final == group.statistics().submitted == 3


async def test_an_async_iterable_is_submitted_as_it_is_read(double):
    async def endless():
        x = 0
        while True:
            x += 1
            yield (x,)

    source = endless()
    group = double.parallelize(source)
    with pytest.raises(TypeError, match="async for"):
        list(group.results)
    async for result in group:
        if result == 6:
            break
    assert len(group) == 3
    await source.aclose()


async def test_a_group_over_an_async_iterable_that_ends_is_awaited(double):
    async def few():
        for x in range(3):
            yield (x,)

    assert await double.parallelize(few()) == [0, 2, 4]


async def test_cancelling_a_group_cancels_what_has_not_ended(held):
    group = held.parallelize([(True,), (False,)])
    await group.invocations[0]
    assert await group.cancel("enough") == [CancelOutcome.FINISHED, CancelOutcome.STOPPED]
    assert group.statistics().by_status == {S.SUCCESS: 1, S.CANCELLED: 1}


async def test_leaving_the_block_of_a_group_cancels_the_rest(held):
    async with held.parallelize([(True,), (False,)]) as group:
        async for _ in group:
            break
    assert [member.status for member in group] == [S.SUCCESS, S.CANCELLED]


async def test_a_cancelled_group_submits_nothing_more(double):
    group = double.parallelize(iter([(1,), (2,)]))
    await group.cancel()
    assert await group == []


def test_a_group_is_read_in_a_def_body(app, double, obtain):
    @app.task
    def total(values):
        return sum(double.parallelize([(value,) for value in values]).results)

    assert obtain(total([1, 2])) == 6
