"""Each policy that depends on time, once, on clocks that never show the same moment twice."""

import asyncio
import itertools
from datetime import UTC, datetime, timedelta

import pytest
from helpers import S, assert_at_rest, assert_lawful

from pynenc_async import InvocationExpiredError, InvocationTimeoutError, Pynenc, Rate, ReusedInvocation

SHORT = 0.02
ENOUGH = 0.5
"""Seconds in which a body that is free to begin has begun, however busy the machine is."""
LONG = 30.0


def build(**options):
    app, moments = Pynenc(), []

    @app.task(**options)
    async def work(seconds=0.0, error=None):
        moments.append(asyncio.get_running_loop().time())
        await asyncio.sleep(seconds)
        if error is not None:
            raise error
        return seconds

    return app, work, moments


async def end_of(app, handle, error):
    with pytest.raises(error):
        await handle
    assert_lawful(handle)
    await assert_at_rest(app)


async def test_a_timeout():
    app, work, _ = build(timeout=SHORT)
    await end_of(app, work(LONG), InvocationTimeoutError)


@pytest.mark.slow
async def test_a_deadline():
    app, work, _ = build(deadline=ENOUGH)
    await end_of(app, work(LONG), InvocationTimeoutError)


@pytest.mark.slow
async def test_an_inherited_deadline():
    app, work, _ = build()
    children = []

    @app.task(deadline=ENOUGH)
    async def parent():
        children.append(work(LONG))

    await parent()
    await end_of(app, children[0], InvocationTimeoutError)


async def test_a_deadline_before_the_start():
    app, work, moments = build(deadline=SHORT, delay=LONG)
    await end_of(app, work(), InvocationExpiredError)
    assert moments == []


async def test_an_expiry():
    app, work, _ = build(expires_in=SHORT, running_concurrency="task")
    first = work.with_options(expires_in=None)(LONG)
    await end_of_waiting(app, work())
    await first.cancel()
    await assert_at_rest(app)


async def end_of_waiting(app, handle):
    with pytest.raises(InvocationExpiredError):
        await handle
    assert handle.status is S.CANCELLED
    assert_lawful(handle)


async def test_a_delay_and_a_moment():
    app, work, moments = build()
    start = asyncio.get_running_loop().time()
    at = datetime.now(UTC) + timedelta(seconds=SHORT)
    await asyncio.gather(*[work.with_options(**one)().wait() for one in ({"delay": SHORT}, {"at": at})])
    if not hasattr(asyncio.get_running_loop(), "wall_time"):  # whose moments are not those of this machine
        assert all(SHORT * 0.9 <= moment - start < LONG for moment in moments)
    await assert_at_rest(app)


async def test_a_delay_before_a_retry():
    app, work, moments = build(max_retries=2, retry_delay=SHORT)
    await end_of(app, work(0, LookupError), LookupError)
    assert len(moments) == 3
    assert all(later - earlier >= SHORT * 0.9 for earlier, later in itertools.pairwise(moments))


async def test_a_grace():
    app = Pynenc()
    told = asyncio.Event()

    @app.task(cancel_grace=SHORT)
    async def work():
        while not told.is_set():
            try:
                await told.wait()
            except asyncio.CancelledError:
                pass

    handle = work()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await handle.cancel()
    assert handle.status is S.CANCELLED
    told.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await assert_at_rest(app)


async def test_a_rate():
    app, work, moments = build(rate_limit=Rate(1 / SHORT, burst=1))
    start = asyncio.get_running_loop().time()
    await work.parallelize([() for _ in range(4)])
    assert moments[-1] - start >= 2 * SHORT
    await assert_at_rest(app)


async def test_a_time_for_which_a_call_is_unique():
    app, work, _ = build(registration_concurrency="task", unique_for=LONG)
    await work()
    assert isinstance(work(), ReusedInvocation)
    await assert_at_rest(app)


async def test_a_time_for_which_a_call_was_unique():
    app, work, _ = build(registration_concurrency="task", unique_for=SHORT)
    first = work()
    await first
    await asyncio.sleep(2 * SHORT)
    again = work()
    assert again != first
    await again
    await assert_at_rest(app)
