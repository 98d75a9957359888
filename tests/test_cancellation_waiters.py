"""Cancelling a waiter never cancels the work, never loses a slot, and never shows a waiter somebody else's end."""

import asyncio

import pytest
from helpers import Gate, Gauge, S, assert_at_rest, assert_lawful, turns

from pynenc_async import CancelOutcome, InvocationCancelledError, Pynenc


async def test_cancelling_a_waiter_does_not_cancel_the_work():
    app = Pynenc()
    gate = Gate()

    @app.task
    async def work():
        await gate.wait()
        return 1

    invocation = work()
    waiters = [asyncio.ensure_future(invocation) for _ in range(3)]
    await turns(3)
    waiters[1].cancel()
    await turns(3)
    assert waiters[1].cancelled()
    assert invocation.status is S.RUNNING
    gate.open()
    assert [await waiters[0], await waiters[2], await invocation] == [1, 1, 1]
    await assert_at_rest(app)


async def test_waiters_of_a_cancelled_invocation_get_its_error_and_never_a_bare_cancelled_error():
    app = Pynenc(max_concurrency=1)

    @app.task
    async def work():
        await asyncio.Event().wait()

    @app.task(max_retries=0)
    async def waiting_body(handle):
        try:
            await handle
        except InvocationCancelledError as error:
            return error.invocation_id

    @app.task
    def waiting_thread(handle):
        try:
            return handle.result
        except InvocationCancelledError as error:
            return error.invocation_id

    invocation = work()
    bodies = [waiting_body(invocation), waiting_thread(invocation)]
    outside = asyncio.ensure_future(invocation)
    await turns(5)
    await invocation.cancel()
    assert [await body for body in bodies] == [invocation.invocation_id] * 2
    with pytest.raises(InvocationCancelledError):
        await outside
    assert not outside.cancelled()
    assert isinstance(invocation.exception(), InvocationCancelledError)
    with pytest.raises(InvocationCancelledError):
        invocation.result  # noqa: B018
    await assert_at_rest(app)


async def test_a_storm_of_cancels_ends_everything_once():
    app = Pynenc(max_concurrency=3)

    @app.task
    async def node(depth, n):
        if depth:
            await asyncio.gather(node(depth - 1, 2 * n), node(depth - 1, 2 * n + 1), return_exceptions=True)
        await asyncio.Event().wait()

    roots = [node(3, n) for n in range(5)]
    await turns(7)
    targets = [one for one in app.invocations() for _ in range(3)]
    outcomes = await asyncio.gather(*(one.cancel() for one in targets), *(one.cancel() for one in roots))
    assert CancelOutcome.FINISHED not in outcomes
    for one in app.invocations():
        assert one.status is S.CANCELLED
        assert_lawful(one)
    await assert_at_rest(app)


# -- at every await ----------------------------------------------------------------------------------------------------


def build(app, gauge):
    @app.task
    async def leaf(n):
        with gauge:
            await turns(n)
            return n

    @app.task
    async def parent(k):
        with gauge:
            await turns(k)
            with gauge.away():
                first = await leaf(1)
                second = await asyncio.gather(leaf(0), leaf(2))
            await turns(1)
            return first + sum(second)

    return parent


@pytest.mark.parametrize("limit", [1, 2])
@pytest.mark.parametrize("after", range(30))
async def test_an_invocation_cancelled_after_any_number_of_turns_loses_no_slot(after, limit):
    app = Pynenc(max_concurrency=limit)
    gauge = Gauge()
    parent = build(app, gauge)
    victims = [parent(k) for k in range(3)]
    await turns(after)
    await victims[1].cancel()
    for one in victims:
        await one.wait()
    assert gauge.peak <= limit
    assert gauge.inside == 0
    assert await parent(5) == 3, "the slots are there for the next"
    for one in app.invocations():
        assert_lawful(one)
    await assert_at_rest(app)


@pytest.mark.parametrize("limit", [1, 2])
@pytest.mark.parametrize("after", range(30))
async def test_a_waiter_cancelled_after_any_number_of_turns_loses_no_slot(after, limit):
    """The waiter is a Task inside a body: its end pauses and resumes the body at every possible moment."""
    app = Pynenc(max_concurrency=limit)
    gauge = Gauge()
    handles = []

    @app.task
    async def child(n):
        with gauge:
            await turns(n)
            return n

    @app.task
    async def parent(k):
        with gauge:
            handles.extend(child(n) for n in (3, k))
            with gauge.away():
                waiters = [asyncio.ensure_future(handle) for handle in handles[-2:]]
                await turns(after)
                waiters[0].cancel()
                await asyncio.gather(*waiters, return_exceptions=True)
            await turns(1)
            return k

    parents = [parent(k) for k in range(3)]
    assert [await one for one in parents] == [0, 1, 2]
    for handle in handles:
        await handle
    assert gauge.peak <= limit
    for one in app.invocations():
        assert one.status is S.SUCCESS
        assert_lawful(one)
    await assert_at_rest(app)


@pytest.mark.parametrize("limit", [1, 2])
@pytest.mark.parametrize("after", range(12))
async def test_a_timeout_around_an_await_at_any_moment_loses_no_slot(after, limit):
    app = Pynenc(max_concurrency=limit)
    gauge = Gauge()

    @app.task
    async def child():
        with gauge:
            await turns(4)
            return 1

    @app.task
    async def parent():
        with gauge:
            handle = child()
            task = asyncio.current_task()
            stop = asyncio.ensure_future(cancel_later(task, after))
            try:
                with gauge.away():
                    await handle
            except asyncio.CancelledError:
                task.uncancel()
            stop.cancel()
            await turns(2)
            return handle

    handles = [await one for one in [parent() for _ in range(3)]]
    assert [await handle for handle in handles] == [1, 1, 1]
    assert gauge.peak <= limit
    for one in app.invocations():
        assert_lawful(one)
    await assert_at_rest(app)


async def cancel_later(task, after):
    await turns(after)
    task.cancel()
