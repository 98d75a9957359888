"""Sync mode: cancellation, before the body began and while it runs."""

import asyncio

import pytest
from helpers import S, statuses

from pynenc_async import CancelOutcome, InvocationCancelledError, RetryError, current_invocation


async def test_cancel_before_the_body_ran_means_that_it_never_does(app):
    @app.task
    def noop():
        raise AssertionError

    invocation = noop()
    assert await invocation.cancel("not needed") is CancelOutcome.NEVER_STARTED
    assert statuses(invocation) == [S.REGISTERED, S.CANCELLED]
    with pytest.raises(InvocationCancelledError, match="not needed"):
        await invocation


async def test_the_outcome_of_cancel_says_whether_the_body_had_begun(app):
    calls = []

    @app.task
    async def endless():
        calls.append(1)
        await asyncio.Event().wait()

    invocation = endless()
    waiter = asyncio.ensure_future(invocation)
    await asyncio.sleep(0)  # the waiter has asked for the body; only an eager loop has begun it
    outcome = await invocation.cancel()
    assert outcome is (CancelOutcome.STOPPED if calls else CancelOutcome.NEVER_STARTED)
    with pytest.raises(InvocationCancelledError):
        await waiter


async def test_cancel_stops_a_coroutine_and_what_it_submitted(app):
    started, children = asyncio.Event(), {}

    @app.task
    async def child():
        started.set()
        await asyncio.Event().wait()

    @app.task(detached=True)
    def detached():
        return "alive"

    @app.task
    async def parent():
        children.update(unread=child(), running=child.with_options(detect_cycles=False)(), detached=detached())
        await children["running"]

    invocation = parent()
    waiter = asyncio.ensure_future(invocation)
    await started.wait()
    assert await invocation.cancel("enough") is CancelOutcome.STOPPED
    assert [invocation.status, children["unread"].status, children["running"].status] == [S.CANCELLED] * 3
    with pytest.raises(InvocationCancelledError, match="enough"):
        await waiter
    assert await children["detached"] == "alive"


async def test_cancel_after_the_end_changes_nothing(app):
    @app.task
    def noop():
        pass

    invocation = noop()
    await invocation
    assert await invocation.cancel() is CancelOutcome.FINISHED
    assert invocation.status is S.SUCCESS


async def test_a_body_may_swallow_its_cancellation(app):
    started = asyncio.Event()

    @app.task
    async def stubborn():
        try:
            started.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "anyway"

    invocation = stubborn()
    waiter = asyncio.ensure_future(invocation)
    await started.wait()
    assert await invocation.cancel() is CancelOutcome.FINISHED
    assert await waiter == "anyway"


async def test_a_body_may_cancel_itself(app):
    @app.task
    async def tired():
        await current_invocation().cancel("tired")

    invocation = tired()
    with pytest.raises(InvocationCancelledError, match="tired"):
        await invocation
    assert invocation.status is S.CANCELLED


@pytest.mark.virtual
async def test_a_cancelled_body_is_not_tried_again(app):
    tries = []

    @app.task(max_retries=5)
    async def later():
        tries.append(None)
        if len(tries) == 2:
            current_invocation().cancel("enough")
        raise RetryError(after=60)

    invocation = later()
    assert await invocation.wait()
    assert len(tries) == 2
    assert invocation.status.is_final()
    assert invocation.status.is_final()
