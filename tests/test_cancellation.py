"""`await invocation.cancel()`: the work really ends, and so does what it submitted; a waiter's end changes nothing."""

import asyncio

import pytest
from helpers import USUAL, Gate, S, assert_at_rest, assert_lawful, statuses, turns

from pynenc_async import CancelOutcome, InvocationCancelledError, Pynenc, current_invocation

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
        done, _ = await asyncio.wait([cancelling], timeout=30)
        assert done, "the cancellation was lost"
    finally:
        await other.cancel()
        await cancelling


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
    app = Pynenc(max_concurrency=2)

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
