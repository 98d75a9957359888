"""Timeouts of attempts, deadlines of invocations and their families, expiry of what waits, and the grace of bodies."""

import asyncio
from datetime import timedelta

import pytest
from helpers import Gate, S, assert_at_rest, assert_lawful, statuses, turns

from pynenc_async import (
    CancelOutcome,
    InvocationCancelledError,
    InvocationExpiredError,
    InvocationTimeoutError,
    Pynenc,
    current_invocation,
)

pytestmark = pytest.mark.virtual


def now():
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize("limit", [2, 2.0, timedelta(seconds=2)])
async def test_an_attempt_that_takes_too_long_fails_and_is_told_so(limit):
    app, cleaned = Pynenc(), []

    @app.task(timeout=limit)
    async def work():
        try:
            await asyncio.sleep(60)
        finally:
            cleaned.append(now())

    handle = work()
    with pytest.raises(TimeoutError, match="timeout=2 s") as caught:
        await handle
    assert isinstance(caught.value, InvocationTimeoutError)
    assert caught.value.invocation_id == handle.invocation_id
    assert handle.status is S.FAILED
    assert cleaned == [2]
    assert_lawful(handle)
    await assert_at_rest(app)


async def test_just_in_time_is_in_time():
    app = Pynenc()

    @app.task(timeout=2)
    async def work(seconds):
        await asyncio.sleep(seconds)
        return seconds

    assert await work.parallelize([(1.999,), (0,)]) == [1.999, 0]
    await asyncio.sleep(10)
    await assert_at_rest(app)


async def test_each_attempt_has_its_own_timeout():
    app = Pynenc()

    @app.task(timeout=2, max_retries=3)
    async def work():
        await asyncio.sleep(1.5)
        if current_invocation().num_retries < 3:
            raise LookupError
        return now()

    assert await work() == 6
    await assert_at_rest(app)


async def test_pauses_count_and_children_are_stopped_with_the_body_that_timed_out():
    app = Pynenc()

    @app.task
    async def child():
        await asyncio.sleep(60)

    @app.task
    async def detached():
        await asyncio.sleep(60)

    children = []

    @app.task(timeout=3)
    async def parent():
        children.extend((child(), detached.with_options(detached=True)()))
        await children[0]

    with pytest.raises(InvocationTimeoutError):
        await parent()
    await turns(2)
    assert now() == 3
    assert [handle.status for handle in children] == [S.CANCELLED, S.RUNNING]
    await children[1]
    await assert_at_rest(app)


async def test_async_generators_time_out_and_readers_are_told():
    app = Pynenc()

    @app.task(timeout=3)
    async def count():
        for n in range(10):
            yield n
            await asyncio.sleep(1)

    handle, seen = count(), []

    async def read():
        async for item in handle.stream():
            seen.append(item)  # noqa: PERF401  a comprehension would lose them when the stream raises

    with pytest.raises(InvocationTimeoutError):
        await read()
    assert seen[:3] == [0, 1, 2]
    await assert_at_rest(app)


async def test_a_body_in_a_thread_that_waits_for_another_is_broken_off():
    app = Pynenc()

    @app.task
    async def child():
        await asyncio.sleep(60)

    @app.task(timeout=2)
    def parent():
        return child().result

    handle = parent()
    with pytest.raises(InvocationTimeoutError):
        await handle
    assert now() == 2
    assert_lawful(handle)
    await turns(5)  # the child is stopped as well
    await assert_at_rest(app)


async def test_a_body_that_swallows_its_timeout_is_abandoned_after_its_grace_and_named(caplog):
    app, ended = Pynenc(), []

    @app.task(timeout=2, cancel_grace=5, max_retries=3)
    async def work():
        while now() < 30:
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                ended.append(now())

    handle = work()
    with pytest.raises(InvocationTimeoutError):
        await handle
    assert now() == 7
    assert handle.num_retries == 0
    assert handle.invocation_id in caplog.text
    assert "told to stop" in caplog.text
    assert_lawful(handle)
    await asyncio.sleep(60)
    assert handle.status is S.FAILED
    await assert_at_rest(app)


async def test_a_body_that_swallows_its_cancellation_is_abandoned_after_its_grace(caplog):
    app = Pynenc()

    @app.task(cancel_grace=5)
    async def work():
        while now() < 30:
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                pass

    handle = work()
    await turns(2)
    assert await handle.cancel("enough") is CancelOutcome.STOPPED
    assert now() == 5
    with pytest.raises(InvocationCancelledError, match="enough"):
        await handle
    assert "told to stop" in caplog.text
    await asyncio.sleep(60)
    await assert_at_rest(app)


async def test_cleaning_up_within_the_grace_is_waited_for(caplog):
    app = Pynenc()

    @app.task(cancel_grace=5)
    async def work():
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(4)

    handle = work()
    await turns(2)
    await handle.cancel()
    assert now() == 4
    assert caplog.text == ""
    await assert_at_rest(app)


async def test_what_returns_in_spite_of_its_timeout_keeps_its_value():
    app = Pynenc()

    @app.task(timeout=1)
    async def work():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return "saved"

    assert await work() == "saved"
    await assert_at_rest(app)


async def test_cancelled_while_it_times_out_it_is_cancelled():
    app = Pynenc()

    @app.task(timeout=2, max_retries=5)
    async def work():
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(1)

    handle = work()
    await asyncio.sleep(2.5)
    await handle.cancel("enough")
    assert handle.status is S.CANCELLED
    assert_lawful(handle)
    await assert_at_rest(app)


# -- deadlines ---------------------------------------------------------------------------------------------------------


async def test_a_deadline_holds_for_all_attempts_together():
    app, attempts = Pynenc(), []

    @app.task(deadline=5, max_retries=100)
    async def work():
        attempts.append(now())
        await asyncio.sleep(2)
        raise LookupError

    handle = work()
    with pytest.raises(InvocationTimeoutError, match="deadline"):
        await handle
    assert attempts == [0, 2, 4]
    assert now() == 5
    assert_lawful(handle)
    await assert_at_rest(app)


async def test_a_retry_that_the_deadline_would_cut_off_is_not_waited_for():
    app = Pynenc()

    @app.task(deadline=5, max_retries=100, retry_delay=10)
    async def work():
        raise LookupError

    with pytest.raises(LookupError):
        await work()
    assert now() == 0
    await assert_at_rest(app)


async def test_descendants_inherit_the_deadline_and_detached_ones_do_not():
    app, handles = Pynenc(max_concurrency=None), {}

    @app.task
    async def grandchild():
        await asyncio.sleep(60)

    @app.task
    async def child():
        handles["grandchild"] = grandchild()

    @app.task(deadline=3)
    async def parent():
        handles["child"] = child()
        handles["detached"] = grandchild.with_options(detached=True)()
        handles["with a later one of its own"] = grandchild.with_options(deadline=60)()

    await parent()
    await asyncio.sleep(10)
    for name in ("grandchild", "with a later one of its own"):
        assert isinstance(handles[name].exception(), InvocationTimeoutError), name
        assert handles[name].history[-1].timestamp - handles[name].history[0].timestamp == 3
    assert handles["detached"].status is S.RUNNING
    await handles["detached"]
    await assert_at_rest(app)


async def test_a_deadline_that_passes_before_the_start_expires_it():
    app, gate = Pynenc(max_concurrency=1), Gate()

    @app.task
    async def block():
        await gate.wait()

    @app.task(deadline=3)
    async def work():
        pass

    busy, handle = block(), work()
    with pytest.raises(InvocationExpiredError, match="deadline"):
        await handle
    assert (now(), statuses(handle)) == (3, [S.REGISTERED, S.CANCELLED])
    gate.open()
    await busy
    await assert_at_rest(app)


# -- expiry ------------------------------------------------------------------------------------------------------------


async def test_what_waits_too_long_expires_and_never_runs():
    app, gate, ran = Pynenc(max_concurrency=1), Gate(), []

    @app.task
    async def block():
        await gate.wait()

    @app.task(expires_in=4)
    async def work(n):
        ran.append(n)

    busy, handles = block(), [work(n) for n in range(3)]
    for handle in handles:
        with pytest.raises(InvocationExpiredError, match="expires_in=4 s"):
            await handle
        assert handle.status is S.CANCELLED
        assert_lawful(handle)
    assert now() == 4
    gate.open()
    await busy
    assert ran == []
    await assert_at_rest(app)


async def test_what_has_started_does_not_expire():
    app = Pynenc()

    @app.task(expires_in=1, max_retries=2, retry_delay=5)
    async def work():
        await asyncio.sleep(3)
        if current_invocation().num_retries == 0:
            raise LookupError
        return now()

    assert await work() == 11
    await assert_at_rest(app)


async def test_expiry_begins_after_the_delay():
    app = Pynenc()

    @app.task(delay=10, expires_in=1)
    async def work():
        return now()

    assert await work() == 10
    await assert_at_rest(app)
