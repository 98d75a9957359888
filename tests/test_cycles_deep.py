"""Repeated calls are found at any depth, and the check costs the same at each level."""

import asyncio
from collections import Counter
from dataclasses import dataclass

import pytest
from helpers import assert_at_rest
from hypothesis import given
from hypothesis import strategies as st

from pynenc_async import CycleDetectedError, Pynenc
from pynenc_async.arguments import Arguments, glance, same_values
from pynenc_async.function import Function


def app_that_goes_down(depth, turn, **options):
    """An app with a task that calls itself `depth` times, and then makes the call that `turn` says."""
    app = Pynenc(max_concurrency=None)

    @app.task(**options)
    async def down(level, data=None):
        if level >= depth:
            return await down(*turn) if turn is not None else level
        return await down(level + 1, data)

    return app, down


DEPTHS = [5, 15, 16, 17, 18, 40, 200]
DISTANCES = [0, 1, 14, 15, 16, 17, 18, 39, 199]


@pytest.mark.parametrize(
    ("depth", "distance"), [(depth, distance) for depth in DEPTHS for distance in DISTANCES if distance <= depth]
)
async def test_a_repetition_is_found_at_any_distance(depth, distance):
    app, down = app_that_goes_down(depth, (depth - distance,))
    with pytest.raises(CycleDetectedError, match="repeats one of its ancestors") as caught:
        await down(0)
    assert len(caught.value.path) == distance + 2
    await assert_at_rest(app)


async def test_equal_data_is_found_though_it_is_another_object():
    app, down = app_that_goes_down(40, (3, [{"a": [1.5]}]))
    with pytest.raises(CycleDetectedError):
        await down(0, [{"a": [1.5]}])
    await assert_at_rest(app)


async def test_a_call_of_another_branch_is_no_repetition():
    app = Pynenc(max_concurrency=None)
    together = asyncio.Barrier(2)

    @app.task
    async def down(branch, level):
        if level == 30:
            await together.wait()  # both branches are at their deepest
            return await leaf(1)
        return await down(branch, level + 1)

    @app.task
    async def leaf(level):
        return await leaf(level + 1) if level < 30 else level

    @app.task
    async def root():
        return await asyncio.gather(down("left", 0), down("right", 0))

    assert await root() == [30, 30]
    await assert_at_rest(app)


async def test_an_ancestor_that_has_ended_is_none():
    app = Pynenc(max_concurrency=None)
    calls = []

    @app.task(detached=True)
    async def down(level):
        calls.append(level)
        if level == 0 and len(calls) > 40:
            return
        down(level + 1 if level < 20 else 0)

    await down(0)
    while len(calls) < 42:
        await asyncio.sleep(0)
    await app.drain()
    await assert_at_rest(app)


async def test_the_check_can_be_switched_off_at_any_depth():
    app = Pynenc(max_concurrency=None)
    calls = Counter()

    @app.task(detect_cycles=False)
    async def down(level):
        calls[level] += 1
        if calls[level] < 2:
            await down((level + 1) % 40)

    await down(0)
    assert calls[0] == 2
    await assert_at_rest(app)


async def test_nothing_of_a_deep_tree_stays_with_its_living_root():
    app = Pynenc(max_concurrency=None)

    @app.task
    async def down(level):
        return await down(level + 1) if level < 60 else level

    @app.task
    async def root():
        for number in range(3):
            await down(number)
        ancestry = app.get_invocation(app_root.invocation_id)._more.ancestry
        return None if ancestry is None else sum(map(len, ancestry._by_glance.values()))

    app_root = root()
    assert await app_root == 1  # itself
    await assert_at_rest(app)


async def test_deep_trees_in_sync_mode():
    app = Pynenc("sync://")

    @app.task
    async def down(level):
        return await down(level + 1 if level < 30 else 2)

    invocation = down(0)
    with pytest.raises(CycleDetectedError):
        await invocation


# -- what is compared -------------------------------------------------------------------------------------------------


@dataclass
class Point:
    x: object
    y: object = None


plain = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=3),
    st.binary(max_size=3),
)
values = st.recursive(
    plain,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text(max_size=2), inner, max_size=3),
        st.builds(Point, inner, inner),
        st.frozensets(st.integers(), max_size=3),
    ),
    max_leaves=6,
)


def function_of_one():
    async def one(value):
        return value

    return Function(one)


@given(left=values, right=values)
def test_what_has_the_same_id_is_the_same_at_a_glance(left, right):
    function = function_of_one()
    if Arguments(function, (left,)).args_id == Arguments(function, (right,)).args_id and type(left) is type(right):
        assert glance((left,)) == glance((right,))
        assert same_values((left,), (right,))


@given(value=values)
def test_a_value_is_the_same_as_its_copy(value):
    copied = eval(repr(value), {"Point": Point})  # noqa: S307
    assert same_values((value,), (copied,))
    assert glance((value,)) == glance((copied,))


@given(left=values, right=values)
def test_what_is_the_same_has_the_same_id(left, right):
    function = function_of_one()
    if same_values((left,), (right,)):
        assert Arguments(function, (left,)).args_id == Arguments(function, (right,)).args_id
