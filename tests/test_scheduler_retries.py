"""Retries: the same invocation through all attempts, each from a fresh start."""

import asyncio
import contextvars

import pytest
from helpers import USUAL, S, assert_at_rest, assert_lawful, statuses

from pynenc_async import Pynenc, RetryError, current_invocation
from pynenc_async.testing import wait_all_tasks_blocked

MARK = contextvars.ContextVar("mark", default="unset")


@pytest.mark.virtual
async def test_a_retry_starts_when_its_delay_is_over_though_nothing_else_happens():
    app = Pynenc()
    loop = asyncio.get_running_loop()
    starts = []

    @app.task(max_retries=2)
    async def flaky():
        starts.append(loop.time())
        if len(starts) < 3:
            raise RetryError(after=10)
        return "done"

    began = loop.time()
    assert await flaky() == "done"
    assert [start - began for start in starts] == pytest.approx([0, 10, 20])
    await assert_at_rest(app)


@pytest.mark.virtual
async def test_a_retry_that_waits_holds_no_slot_and_is_not_run_early_by_an_await():
    app = Pynenc(max_concurrency=1)
    loop = asyncio.get_running_loop()
    starts = []

    @app.task(max_retries=1)
    async def flaky():
        starts.append(loop.time())
        if len(starts) == 1:
            raise RetryError(after=10)

    @app.task
    async def other():
        await asyncio.sleep(1)
        return loop.time()

    @app.task
    async def waiter(handle):
        await handle

    invocation = flaky()
    await wait_all_tasks_blocked()
    assert (invocation.status, app.statistics().running) == (S.RETRY, 0)
    waiting = waiter(invocation)
    assert await other() == pytest.approx(1)
    await waiting
    assert starts == pytest.approx([0, 10])


@pytest.mark.parametrize("kind", ["coroutine", "thread"])
async def test_the_handle_is_the_same_through_all_attempts(kind):
    app = Pynenc()
    seen = []

    def body():
        seen.append(current_invocation().invocation_id)
        if len(seen) < 3:
            raise LookupError
        return len(seen)

    async def in_loop():
        return body()

    def in_thread():
        return body()

    flaky = app.task(max_retries=2)(in_loop if kind == "coroutine" else in_thread)
    invocation = flaky()
    assert await invocation == 3
    assert set(seen) == {invocation.invocation_id}
    assert app.get_invocation(invocation.invocation_id) is invocation
    assert_lawful(invocation)
    await assert_at_rest(app)


async def test_when_the_retries_are_used_up_the_last_error_is_raised():
    app = Pynenc()
    errors = []

    @app.task(max_retries=2)
    async def fail():
        errors.append(LookupError(len(errors)))
        raise errors[-1]

    invocation = fail()
    with pytest.raises(LookupError) as caught:
        await invocation
    assert caught.value is errors[2]
    assert len(errors) == 3
    assert invocation.num_retries == 2
    assert statuses(invocation)[-1] is S.FAILED
    assert_lawful(invocation)


async def test_only_what_retry_for_names_is_retried():
    app = Pynenc()
    runs = []

    @app.task(max_retries=5, retry_for=(LookupError,))
    async def fail(kind):
        runs.append(kind)
        raise kind

    for kind, expected in ((KeyError, 6), (ValueError, 1), (RetryError, 6)):
        with pytest.raises(kind):
            await fail(kind)
        assert runs.count(kind) == expected


async def test_retry_error_without_retries_left_is_the_failure():
    app = Pynenc()

    @app.task
    async def again():
        raise RetryError(after=1_000)

    invocation = again()
    with pytest.raises(RetryError):
        await invocation
    assert statuses(invocation) == [*USUAL, S.FAILED]


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit])
async def test_what_is_no_exception_is_retried_only_when_named(kind):
    app = Pynenc()
    runs = []

    async def fail():
        runs.append(1)
        raise kind

    task = app.task(max_retries=1)(fail)
    with pytest.raises(kind):
        await task()
    assert len(runs) == 1
    with pytest.raises(kind):
        await task.with_options(retry_for=kind)()
    assert len(runs) == 3


@pytest.mark.parametrize("kind", ["coroutine", "thread"])
async def test_each_attempt_sees_the_context_of_the_submitter_and_not_of_the_attempt_before(kind):
    app = Pynenc()
    seen = []

    def body():
        seen.append(MARK.get())
        MARK.set("changed by an attempt")
        if len(seen) < 3:
            raise LookupError

    async def in_loop():
        body()

    def in_thread():
        body()

    flaky = app.task(max_retries=2)(in_loop if kind == "coroutine" else in_thread)
    MARK.set("submitter")
    await flaky()
    assert seen == ["submitter"] * 3


async def test_an_error_whose_text_cannot_be_had_is_retried_like_any_other():
    app = Pynenc()

    class MuteError(Exception):
        def __str__(self):
            raise ZeroDivisionError

    @app.task(max_retries=1)
    async def fail():
        raise MuteError

    invocation = fail()
    with pytest.raises(MuteError):
        await asyncio.wait_for(invocation, 30)
    assert invocation.num_retries == 1
    await assert_at_rest(app)


@pytest.mark.virtual
@pytest.mark.parametrize("after", [0, -5, 0.0])
async def test_a_delay_of_nothing_or_less_is_no_delay(after):
    app = Pynenc()
    runs = []

    @app.task(max_retries=1)
    async def flaky():
        runs.append(1)
        if len(runs) == 1:
            raise RetryError(after=after)

    await flaky()
    assert asyncio.get_running_loop().time() == pytest.approx(0)


@pytest.mark.virtual
async def test_a_delay_that_is_no_number_of_seconds_does_not_lose_the_invocation():
    app = Pynenc()

    @app.task(max_retries=1)
    async def fail():
        raise RetryError(after="soon")

    with pytest.raises((RetryError, TypeError)):
        await fail()
    await assert_at_rest(app)


# -- and cancellation --------------------------------------------------------------------------------------------------
