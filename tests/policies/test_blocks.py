"""Work that is tied to a block, and bodies in threads that are asked to stop."""

import asyncio

import pytest
from helpers import Gate, S, assert_at_rest, turns

from pynenc_async import CancelOutcome, InvocationTimeoutError, Pynenc, current_invocation


async def test_leaving_the_block_cancels_the_work_and_waits_for_its_real_end():
    app, cleaned = Pynenc(), []

    @app.task
    async def work():
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append(1)

    async def leave_early(invocation):
        async with invocation:
            await turns(2)
            raise LookupError

    invocation = work()
    with pytest.raises(LookupError):
        await leave_early(invocation)
    assert cleaned == [1]
    assert invocation.status is S.CANCELLED
    assert "block" in invocation.history[-1].reason
    await assert_at_rest(app)


async def test_what_has_ended_in_the_block_keeps_its_result():
    app = Pynenc()

    @app.task
    async def work():
        return 1

    async with work() as invocation:
        assert await invocation == 1
    assert invocation.result == 1
    await assert_at_rest(app)


async def test_a_body_in_a_thread_sees_that_it_was_told_to_stop():
    app, started, go = Pynenc(), Gate(), Gate()

    @app.task
    def work():
        started.open()
        go.block()
        return current_invocation().stop_requested

    invocation = work()
    await started.wait()
    assert not invocation.stop_requested
    cancelling = asyncio.ensure_future(invocation.cancel())
    await turns(3)
    go.open()
    assert await cancelling is CancelOutcome.FINISHED
    assert invocation.result is True
    await assert_at_rest(app)


@pytest.mark.virtual
async def test_a_coroutine_sees_it_too_while_it_cleans_up():
    app, seen = Pynenc(), []

    @app.task(timeout=1)
    async def work():
        seen.append(current_invocation().stop_requested)
        try:
            await asyncio.sleep(5)
        finally:
            seen.append(current_invocation().stop_requested)

    with pytest.raises(InvocationTimeoutError):
        await work()
    assert seen == [False, True]
    await assert_at_rest(app)
