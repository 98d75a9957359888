"""`await invocation.cancel()`: the work really ends, and so does what it submitted; a waiter's end changes nothing."""

import asyncio

import pytest
from helpers import USUAL, Gate, S, assert_at_rest, assert_lawful, statuses, turns

from pynenc_async import CancelOutcome, InvocationCancelledError, Pynenc, current_invocation
from pynenc_async.testing import wait_all_tasks_blocked

NEVER, STOPPED, FINISHED = CancelOutcome.NEVER_STARTED, CancelOutcome.STOPPED, CancelOutcome.FINISHED


# -- in every status ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["coroutine", "thread"])
async def test_queued_it_never_starts(kind):
    app = Pynenc(max_concurrency=1)
    ran = []

    async def in_loop():
        ran.append(1)

    def in_thread():
        ran.append(1)

    invocation = app.task(in_loop if kind == "coroutine" else in_thread)()
    assert await invocation.cancel("changed my mind") is NEVER
    assert statuses(invocation) == [S.REGISTERED, S.CANCELLED]
    assert invocation.history[-1].reason == "changed my mind"
    with pytest.raises(InvocationCancelledError, match="changed my mind") as caught:
        await invocation
    assert caught.value.invocation_id == invocation.invocation_id
    await turns(5)
    assert not ran
    assert_lawful(invocation)
    await assert_at_rest(app)


async def test_running_it_is_stopped():
    app = Pynenc()
    gate = Gate()

    @app.task
    async def work():
        gate.open()
        await asyncio.Event().wait()

    invocation = work()
    await gate.wait()
    assert await invocation.cancel("enough") is STOPPED
    assert statuses(invocation) == [*USUAL, S.CANCELLED]
    assert invocation.history[-1].reason == "enough"
    with pytest.raises(InvocationCancelledError, match="enough"):
        await invocation
    assert_lawful(invocation)
    await assert_at_rest(app)


async def test_ended_it_had_finished():
    app = Pynenc()

    @app.task
    async def work():
        return 1

    invocation = work()
    await invocation
    assert await invocation.cancel() is FINISHED
    assert await invocation == 1
    assert statuses(invocation) == [*USUAL, S.SUCCESS]


@pytest.mark.parametrize("limit", [1, 8])
async def test_paused_it_is_stopped_with_the_child_that_it_awaits(limit):
    app = Pynenc(max_concurrency=limit)

    @app.task
    async def child():
        await asyncio.Event().wait()

    @app.task
    async def parent():
        await child()

    invocation = parent()
    await turns(10)
    assert invocation.status is S.PAUSED
    assert await invocation.cancel() is STOPPED
    below = app.invocations(task=child)[0]
    assert below.status is S.CANCELLED
    assert invocation.invocation_id in below.history[-1].reason
    assert_lawful(invocation)
    await assert_at_rest(app)


async def test_paused_and_waiting_for_its_slot_it_is_stopped():
    app = Pynenc(max_concurrency=1)
    gate, release = Gate(), Gate()

    @app.task
    async def child():
        await gate.wait()

    @app.task
    async def parent():
        await child()
        await child()

    @app.task
    async def holder():
        await release.wait()

    invocation = parent()
    await turns(10)
    handle = app.invocations(task=child)[0]
    await handle.cancel("makes room")
    holding = holder()
    await turns(10)
    release.open()
    with pytest.raises(InvocationCancelledError):
        await invocation
    await holding
    assert_lawful(invocation)
    await assert_at_rest(app)


async def test_a_thread_that_waits_is_stopped():
    app = Pynenc(max_concurrency=1)

    @app.task(detached=True)
    async def child():
        await gate.wait()
        return 1

    @app.task
    def parent():
        return child().result

    gate = Gate()
    invocation = parent()
    while invocation.status is not S.PAUSED:
        await asyncio.sleep(0)
    cancelling = asyncio.ensure_future(invocation.cancel("enough"))
    while not app.invocations(task=child):
        await asyncio.sleep(0)
    gate.open()
    assert await cancelling is STOPPED
    assert await app.invocations(task=child)[0] == 1
    assert_lawful(invocation)
    await assert_at_rest(app)


async def test_a_thread_that_computes_ends_by_itself_and_cancel_waits_for_it():
    app = Pynenc()
    started, gate = Gate(), Gate()

    @app.task
    def work():
        started.open()
        gate.block()
        return "done"

    invocation = work()
    await started.wait()
    cancelling = asyncio.ensure_future(invocation.cancel())
    await turns(10)
    assert not cancelling.done()
    gate.open()
    assert await cancelling is FINISHED
    assert await invocation == "done"


async def test_a_thread_that_is_cancelled_while_it_computes_is_broken_off_when_it_waits():
    app = Pynenc()
    started, gate = Gate(), Gate()

    @app.task
    async def endless():
        await asyncio.Event().wait()

    @app.task
    def work(handle):
        started.open()
        gate.block()
        return handle.result

    other = endless()
    invocation = work(other)
    await started.wait()
    cancelling = asyncio.ensure_future(invocation.cancel())
    await turns(3)
    gate.open()
    try:
        done, _ = await asyncio.wait([cancelling], timeout=5)
        assert done, "the cancellation was lost"
    finally:
        await other.cancel()
        await cancelling


# -- families ----------------------------------------------------------------------------------------------------------


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


# -- from inside -------------------------------------------------------------------------------------------------------


async def test_from_inside_the_body_itself():
    app = Pynenc()
    after = []

    @app.task
    async def work():
        await current_invocation().cancel("by myself")
        after.append(1)

    invocation = work()
    with pytest.raises(InvocationCancelledError, match="by myself"):
        await invocation
    assert not after
    assert statuses(invocation)[-1] is S.CANCELLED
    assert_lawful(invocation)
    await assert_at_rest(app)


async def test_from_a_child_that_its_parent_awaits():
    app = Pynenc()

    @app.task
    async def parent():
        await child(current_invocation())

    @app.task
    async def child(above):
        await above.cancel("by my child")

    invocation = parent()
    with pytest.raises(InvocationCancelledError, match="by my child"):
        await invocation
    assert {one.status for one in app.invocations()} == {S.CANCELLED}
    await assert_at_rest(app)


async def test_a_parent_that_cancels_its_child_goes_on():
    app = Pynenc(max_concurrency=1)

    @app.task
    async def child():
        await asyncio.Event().wait()

    @app.task
    async def parent():
        handle = child()
        outcomes = [await handle.cancel()]
        with pytest.raises(InvocationCancelledError):
            await handle
        handle = child()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await handle
        outcomes.append(await handle.cancel())
        return outcomes

    assert await parent() == [NEVER, STOPPED]
    await assert_at_rest(app)
