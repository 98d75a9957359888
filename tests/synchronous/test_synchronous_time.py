"""Timeouts and deadlines of inline invocations, and the policies that mean nothing there."""

import asyncio

import pytest
from helpers import S, assert_lawful, statuses

from pynenc_async import InvocationCancelledError, InvocationTimeoutError, Pynenc, Rate, current_invocation

SHORT, LONG = 0.02, 30.0
"""Seconds."""


@pytest.mark.virtual
async def test_an_attempt_that_takes_too_long_fails_and_may_be_retried():
    app, cleaned = Pynenc("sync://"), []

    @app.task(timeout=SHORT, max_retries=1)
    async def work():
        try:
            await asyncio.sleep(LONG if current_invocation().num_retries == 0 else 0)
        except asyncio.CancelledError:
            cleaned.append(current_invocation().stop_requested)
            raise
        return "done"

    invocation = work()
    assert await invocation == "done"
    assert cleaned == [True]
    assert S.RETRY in statuses(invocation)
    assert_lawful(invocation)


@pytest.mark.virtual
async def test_without_a_retry_the_error_says_why():
    app = Pynenc("sync://")

    @app.task(timeout=SHORT)
    async def work():
        await asyncio.sleep(LONG)

    invocation = work()
    with pytest.raises(InvocationTimeoutError, match=r"timeout=0\.02"):
        await invocation
    assert invocation.status is S.FAILED
    assert_lawful(invocation)


def test_it_holds_where_the_result_is_just_read():
    app = Pynenc("sync://")

    @app.task(timeout=SHORT)
    async def work():
        await asyncio.sleep(LONG)

    with pytest.raises(TimeoutError):
        work().result  # noqa: B018


@pytest.mark.virtual
async def test_a_deadline_holds_for_all_attempts_and_stops_the_children():
    app, children = Pynenc("sync://"), []

    @app.task
    async def child():
        await asyncio.sleep(LONG)

    @app.task(timeout=LONG, deadline=5 * SHORT, max_retries=100)
    async def work():
        if current_invocation().num_retries < 2:
            raise LookupError
        children.append(child())
        await children[0]

    invocation = work()
    with pytest.raises(InvocationTimeoutError, match="deadline"):
        await invocation
    await children[0].wait()
    assert children[0].status is S.CANCELLED
    assert invocation.num_retries == 2
    assert_lawful(invocation)


@pytest.mark.parametrize("kind", ["async", "def"])
def test_no_retry_begins_after_the_deadline(kind):
    app, attempts = Pynenc("sync://"), []

    async def in_loop():
        attempts.append(1)
        raise LookupError

    def inline():
        attempts.append(1)
        raise LookupError

    task = app.task(deadline=LONG, max_retries=5, retry_delay=10 * LONG)(inline if kind == "def" else in_loop)
    with pytest.raises(LookupError):
        task().result  # noqa: B018
    assert len(attempts) == 1


@pytest.mark.virtual
async def test_a_cancellation_goes_before_a_timeout_and_what_returns_in_spite_of_it_keeps_its_value():
    app = Pynenc("sync://")

    @app.task(timeout=1, max_retries=3)
    async def work(returns):
        try:
            await asyncio.sleep(LONG)
        except asyncio.CancelledError:
            await asyncio.sleep(1)
            if returns:
                return "saved"
            raise

    assert await work(True) == "saved"
    invocation = work(False)
    waiter = asyncio.ensure_future(invocation.wait())
    await asyncio.sleep(1.5)
    await invocation.cancel("enough")
    await waiter
    assert invocation.status is S.CANCELLED
    assert_lawful(invocation)


async def test_policies_that_are_about_others_change_nothing():
    app = Pynenc("sync://", max_queued=1)

    @app.task(
        running_concurrency="task",
        running_total=1,
        rate_limit=Rate(1, per=3_600),
        registration_concurrency="task",
        delay=3_600,
        expires_in=0.001,
        priority=3,
    )
    async def work(n):
        return n

    handles = [work(n) for n in range(5)]
    assert await asyncio.gather(*handles) == [0, 1, 2, 3, 4]


@pytest.mark.virtual
@pytest.mark.parametrize("seconds", [1, 0.5], ids=["at its moment", "before it"])
async def test_the_timeout_of_an_attempt_says_nothing_about_the_next(seconds):
    app = Pynenc("sync://")

    @app.task(timeout=1, max_retries=1, retry_delay=2)
    async def work():
        if current_invocation().num_retries:
            assert not current_invocation().stop_requested
            raise asyncio.CancelledError
        await asyncio.sleep(seconds)
        raise LookupError

    invocation = work()
    with pytest.raises(InvocationCancelledError, match="the body raised"):
        await invocation
    assert_lawful(invocation)


@pytest.mark.virtual
async def test_who_cleans_up_after_a_cancellation_is_not_interrupted_by_the_timeout():
    app, cleaned = Pynenc("sync://"), []

    @app.task(timeout=1)
    async def work():
        try:
            await asyncio.sleep(LONG)
        finally:
            await asyncio.sleep(1)
            cleaned.append(asyncio.get_running_loop().time())

    invocation = work()
    waiter = asyncio.ensure_future(invocation.wait())
    await asyncio.sleep(0.5)
    await invocation.cancel()
    await waiter
    assert cleaned == [1.5]
    assert invocation.status is S.CANCELLED
