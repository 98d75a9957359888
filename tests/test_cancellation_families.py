"""Cancellation reaches all that an invocation has submitted, and every body may end in its own way and time."""

import asyncio

import pytest
from helpers import USUAL, Gate, S, assert_at_rest, assert_lawful, statuses, turns

from pynenc_async import CancelOutcome, Pynenc
from pynenc_async.testing import explore, wait_all_tasks_blocked

STOPPED, FINISHED = CancelOutcome.STOPPED, CancelOutcome.FINISHED


@pytest.mark.parametrize("limit", [1, 3, 1_000])
async def test_a_tree_of_three_levels_is_cancelled_as_a_whole(limit):
    app = Pynenc(max_concurrency=limit)

    @app.task
    async def node(depth, n):
        if depth:
            await asyncio.gather(*(node(depth - 1, 3 * n + k) for k in range(3)))
        await asyncio.Event().wait()

    root = node(2, 0)
    await turns(20)
    assert await root.cancel("all of it") is STOPPED
    everything = app.invocations()
    assert {one.status for one in everything} == {S.CANCELLED}
    for one in everything:
        assert_lawful(one)
    await assert_at_rest(app)


async def test_cancel_returns_after_the_end_of_the_whole_tree():
    app = Pynenc()
    gate = Gate()

    @app.task
    async def child():
        try:
            await asyncio.Event().wait()
        finally:
            await gate.wait()

    @app.task
    async def parent():
        child()
        await asyncio.Event().wait()

    root = parent()
    await turns(10)
    cancelling = asyncio.ensure_future(root.cancel())
    await turns(10)
    assert root.status is S.CANCELLED
    assert not cancelling.done()
    gate.open()
    assert await cancelling is STOPPED
    await assert_at_rest(app)


def test_what_a_thread_has_submitted_is_cancelled_with_it_whenever_the_news_of_it_arrives():
    async def scenario():
        app, children = Pynenc(), []

        @app.task
        async def child():
            await asyncio.Event().wait()

        @app.task
        def parent():
            children.append(child())
            children[0].exception()

        async with app:
            invocation = parent()
            while not children:
                await asyncio.sleep(0)
            await invocation.cancel("enough")
            await children[0].wait()
            assert children[0].status is S.CANCELLED

    explore(scenario, seeds=30).raise_if_failed()


def test_what_a_thread_submits_to_clean_up_is_not_cancelled():
    async def scenario():
        app, said = Pynenc(), []

        @app.task
        async def tidy():
            await asyncio.sleep(1)
            return "tidy"

        @app.task
        async def wait():
            await asyncio.Event().wait()

        @app.task
        def parent():
            try:
                wait().exception()
            finally:
                said.append(tidy().result)

        async with app:
            invocation = parent()
            await asyncio.sleep(1)
            await invocation.cancel("enough")
        assert said == ["tidy"]

    explore(scenario, seeds=20).raise_if_failed()


async def test_a_detached_child_survives():
    app = Pynenc()
    gate = Gate()

    @app.task
    async def child():
        await gate.wait()
        return 1

    @app.task
    async def parent():
        await child.with_options(detached=True)()

    root = parent()
    await turns(10)
    assert await root.cancel() is STOPPED
    gate.open()
    survivor = app.invocations(task=child)[0]
    assert survivor.parent_invocation_id == root.invocation_id
    assert await survivor == 1
    await assert_at_rest(app)


async def test_children_of_a_parent_that_has_ended_live_on():
    app = Pynenc()
    gate = Gate()

    @app.task
    async def child():
        await gate.wait()
        return 1

    @app.task
    async def parent():
        return child()

    root = parent()
    handle = await root
    assert await root.cancel() is FINISHED
    gate.open()
    assert await handle == 1


@pytest.mark.slow
async def test_a_chain_as_deep_as_memory_allows_can_be_cancelled():
    app = Pynenc()
    bottom = Gate()

    @app.task
    async def chain(n):
        if n:
            await chain(n - 1)
        bottom.open()
        await asyncio.Event().wait()

    root = chain(1_500)
    await bottom.wait()
    assert await root.cancel() is STOPPED
    await assert_at_rest(app)


# -- bodies with a will of their own -----------------------------------------------------------------------------------


async def test_a_body_that_swallows_its_cancellation_and_returns_has_finished():
    app = Pynenc()

    @app.task
    async def stubborn():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "my way"

    invocation = stubborn()
    await turns(3)
    assert await invocation.cancel() is FINISHED
    assert await invocation == "my way"
    assert statuses(invocation) == [*USUAL, S.SUCCESS]


@pytest.mark.virtual
async def test_cancel_waits_for_the_clean_up():
    app = Pynenc()
    cleaned = []

    @app.task
    async def work():
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(5)
            cleaned.append(1)

    invocation = work()
    await wait_all_tasks_blocked()
    assert await invocation.cancel() is STOPPED
    assert cleaned
    assert asyncio.get_running_loop().time() == pytest.approx(5)
    await assert_at_rest(app)


@pytest.mark.virtual
@pytest.mark.parametrize("limit", [1, 3])
async def test_a_clean_up_may_await_other_invocations(limit):
    app = Pynenc(max_concurrency=limit)
    cleaned = []

    @app.task
    async def clean(n):
        await asyncio.sleep(1)
        cleaned.append(n)

    @app.task
    async def work():
        try:
            await asyncio.Event().wait()
        finally:
            await clean(1)

    invocation = work()
    await wait_all_tasks_blocked()
    assert await invocation.cancel() is STOPPED
    assert cleaned == [1]
    assert_lawful(invocation)
    await assert_at_rest(app)


@pytest.mark.virtual
async def test_a_second_cancel_does_not_cut_the_clean_up_short():
    app = Pynenc()
    cleaned = []

    @app.task
    async def work():
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(5)
            cleaned.append(1)

    invocation = work()
    await wait_all_tasks_blocked()
    first = asyncio.ensure_future(invocation.cancel("first"))
    await asyncio.sleep(1)
    assert await invocation.cancel("second") is STOPPED
    assert await first is STOPPED
    assert cleaned
    assert invocation.history[-1].reason == "first"
    await assert_at_rest(app)


@pytest.mark.virtual
async def test_cancelling_a_group_lets_every_member_clean_up():
    app = Pynenc()
    cleaned = []

    @app.task
    async def work(n):
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(n)
            cleaned.append(n)

    group = work.parallelize([(n,) for n in range(4)])
    await wait_all_tasks_blocked()
    assert await group.cancel() == [STOPPED] * 4
    assert cleaned == [0, 1, 2, 3]
    await assert_at_rest(app)
