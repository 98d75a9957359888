"""Retries end where a cancellation comes."""

import asyncio

import pytest
from helpers import S, assert_at_rest, assert_lawful

from pynenc_async import (
    CancelOutcome,
    InvocationCancelledError,
    Pynenc,
    RetryError,
)
from pynenc_async.testing import wait_all_tasks_blocked


@pytest.mark.virtual
async def test_cancelled_while_the_delay_runs_it_ends_at_once_and_is_not_run_again():
    app = Pynenc()
    runs = []

    @app.task(max_retries=5)
    async def flaky():
        runs.append(1)
        raise RetryError(after=100)

    invocation = flaky()
    await wait_all_tasks_blocked()
    assert invocation.status is S.RETRY
    assert await invocation.cancel("enough") is CancelOutcome.STOPPED
    assert asyncio.get_running_loop().time() == pytest.approx(0)
    await asyncio.sleep(1_000)
    assert len(runs) == 1
    assert invocation.history[-1].reason == "enough"
    assert_lawful(invocation)
    await assert_at_rest(app)


async def test_cancelled_while_it_queues_for_its_next_attempt_it_is_not_run_again():
    app = Pynenc(max_concurrency=1)
    runs = []

    @app.task(max_retries=5)
    async def flaky():
        runs.append(1)
        await asyncio.sleep(0)
        raise LookupError

    @app.task(priority=5)
    async def blocker():
        while not cancelled:
            await asyncio.sleep(0)

    cancelled = []
    invocation = flaky()
    while not runs:
        await asyncio.sleep(0)
    blocking = blocker()
    while invocation.status is not S.RETRY:
        await asyncio.sleep(0)
    assert await invocation.cancel() is CancelOutcome.STOPPED
    cancelled.append(1)
    await blocking
    assert len(runs) == 1
    assert_lawful(invocation)
    await assert_at_rest(app)


async def test_no_retry_after_a_cancellation_that_the_body_turned_into_an_error():
    app = Pynenc()
    runs = []

    @app.task(max_retries=5)
    async def stubborn():
        runs.append(1)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise LookupError from None

    invocation = stubborn()
    while not runs:
        await asyncio.sleep(0)
    assert await invocation.cancel() is CancelOutcome.FINISHED
    with pytest.raises(LookupError):
        await invocation
    assert len(runs) == 1
    assert_lawful(invocation)


async def test_a_body_that_raises_cancelled_error_is_not_retried():
    app = Pynenc()
    runs = []

    @app.task(max_retries=5, retry_for=BaseException)
    async def body():
        runs.append(1)
        raise asyncio.CancelledError

    with pytest.raises(InvocationCancelledError):
        await body()
    assert len(runs) == 1
