"""A call that repeats a living ancestor raises `CycleDetectedError`; recursion with other arguments does not."""

import asyncio

import pytest
from helpers import Gate, assert_at_rest

from pynenc_async import CycleDetectedError, Pynenc, current_invocation


async def test_a_call_that_repeats_its_parent_is_refused_and_names_the_path():
    app = Pynenc()

    @app.task
    async def again(n):
        return await again(n)

    with pytest.raises(CycleDetectedError) as caught:
        await again(7)
    assert len(caught.value.path) == 2
    assert all("again(7)" in step for step in caught.value.path)
    assert "again(7)" in str(caught.value)
    await assert_at_rest(app)


async def test_a_call_that_repeats_a_distant_ancestor_is_refused_with_the_whole_path():
    app = Pynenc()

    @app.task
    async def first():
        return await second()

    @app.task
    async def second():
        return await third()

    @app.task
    async def third():
        return await first()

    with pytest.raises(CycleDetectedError) as caught:
        await first()
    names = [step.rpartition(".")[2] for step in caught.value.path]
    assert names == ["first()", "second()", "third()", "first()"]
    await assert_at_rest(app)


async def test_the_call_is_refused_where_it_is_made_and_submits_nothing():
    app = Pynenc()

    @app.task
    async def again():
        with pytest.raises(CycleDetectedError):
            again()
        return "goes on"

    assert await again() == "goes on"
    assert len(app.invocations()) == 1


async def test_threads_are_refused_too():
    app = Pynenc()

    @app.task
    def again(n):
        return again(n).result

    with pytest.raises(CycleDetectedError):
        await again(1)
    await assert_at_rest(app)


SAME = [
    ((1,), {}, (), {"a": 1}),
    ((1,), {}, (1, "default"), {}),
    ((1,), {"b": 2}, (1, 2), {}),
    (([1, {"x": 2}],), {}, ([1, {"x": 2}],), {}),
    (("text",), {}, ("te" + "xt",), {}),
    ((None,), {}, (None,), {}),
]
DIFFERENT = [
    ((1,), {}, (True,), {}),
    ((1,), {}, ("1",), {}),
    ((1,), {}, (1.0,), {}),
    ((0,), {}, (False,), {}),
    ((0.0,), {}, (-0.0,), {}),
    (("a",), {}, (b"a",), {}),
    ((None,), {}, ("null",), {}),
    ((1,), {}, (1, "other"), {}),
    (([1],), {}, ([True],), {}),
    (([1],), {}, (["1"],), {}),
    ((object(),), {}, (object(),), {}),
]


async def call_within(outer, inner):
    """Call a task inside itself, with other arguments; return its call ids and what the inner call raised."""
    app = Pynenc()
    ids = []

    @app.task
    async def task(a, b="default"):
        ids.append(current_invocation())
        if len(ids) == 1:
            await task(*inner[0], **inner[1])

    try:
        await task(*outer[0], **outer[1])
    except CycleDetectedError:
        return False
    await assert_at_rest(app)
    return True


@pytest.mark.parametrize("case", SAME, ids=repr)
async def test_arguments_spelled_differently_are_the_same_call(case):
    assert not await call_within(case[:2], case[2:])


@pytest.mark.parametrize("case", DIFFERENT, ids=repr)
async def test_arguments_that_differ_are_another_call(case):
    assert await call_within(case[:2], case[2:])


async def test_keyword_and_variadic_arguments_are_compared():
    app = Pynenc()

    @app.task
    async def task(n, *rest, key=0, **more):
        if n:
            return await task(n - 1, *rest, key=key, **more)
        return await task(0, 2, 3, x=1, key=0)

    with pytest.raises(CycleDetectedError) as caught:
        await task(2, 2, 3, x=1)
    assert len(caught.value.path) == 2


async def test_recursion_with_other_arguments_is_fine():
    app = Pynenc()

    @app.task
    async def fibonacci(n):
        return n if n < 2 else await fibonacci(n - 1) + await fibonacci(n - 2)

    assert await fibonacci(8) == 21
    await assert_at_rest(app)


async def test_a_sibling_with_the_same_call_is_fine():
    app = Pynenc()

    @app.task
    async def child(n):
        return n

    @app.task
    async def parent():
        return [await child(1), await child(1), *await asyncio.gather(child(1), child(1))]

    assert await parent() == [1, 1, 1, 1]


async def test_an_ancestor_that_has_ended_is_repeated_freely():
    app = Pynenc()
    gate = Gate()
    rounds = []

    @app.task
    async def again():
        rounds.append(1)
        if len(rounds) < 5:
            later()
        else:
            gate.open()

    @app.task
    async def later():
        await asyncio.sleep(0)
        again()

    again()
    await gate.wait()


async def test_another_task_with_the_same_arguments_is_fine():
    app = Pynenc()

    @app.task
    async def inner(n):
        return n

    @app.task
    async def outer(n):
        return await inner(n)

    assert await outer(1) == 1


async def test_the_same_task_with_other_options_is_the_same_call():
    app = Pynenc()

    @app.task
    async def again():
        return await again.with_options(priority=3)()

    with pytest.raises(CycleDetectedError):
        await again()


@pytest.mark.parametrize("kind", ["coroutine", "thread"])
async def test_detection_can_be_switched_off(kind):
    app = Pynenc(max_concurrency=1)
    depth = []

    async def in_loop():
        depth.append(1)
        return len(depth) if len(depth) > 4 else await again()

    def in_thread():
        depth.append(1)
        return len(depth) if len(depth) > 4 else again().result

    again = app.task(detect_cycles=False)(in_loop if kind == "coroutine" else in_thread)
    assert await again() == 5
    await assert_at_rest(app)
