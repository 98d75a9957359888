"""Sync mode: failures, retries and endings are those of any invocation."""

import asyncio
import contextvars
import traceback

import pytest
from helpers import S, assert_lawful, statuses

from pynenc_async import InvocationCancelledError, RetryError, current_invocation


@pytest.mark.parametrize("kind", ["def", "async"])
def test_the_very_same_exception_is_raised_each_time(app, kind, obtain):
    error = ValueError("bad")

    @app.task
    def fail():
        raise error

    @app.task
    async def fail_async():
        raise error

    invocation = fail() if kind == "def" else fail_async()
    shown = []
    for _ in range(2):
        with pytest.raises(ValueError, match="bad") as caught:
            obtain(invocation)
        shown.append([frame.name for frame in traceback.extract_tb(caught.tb)])
        assert caught.value is invocation.exception() is error
    assert invocation.status is S.FAILED
    assert shown[0] == shown[1], "the traceback grows with every read"


def test_the_traceback_begins_in_the_body(app, obtain):
    @app.task(max_retries=1)
    async def fail():
        raise ValueError("bad")

    invocation = fail()
    with pytest.raises(ValueError, match="bad"):
        obtain(invocation)
    error = invocation.exception()
    assert [frame.name for frame in traceback.extract_tb(error.__traceback__)] == ["fail"]


@pytest.mark.parametrize("kind", ["def", "async"])
def test_failures_are_retried_within_the_same_invocation(app, kind, obtain):
    tries = []

    def flaky_once():
        tries.append(current_invocation().num_retries)
        if len(tries) < 3:
            raise OSError(f"try {len(tries)}")
        return "done"

    @app.task(max_retries=2, retry_for=OSError)
    def flaky():
        return flaky_once()

    @app.task(max_retries=2, retry_for=OSError)
    async def flaky_async():
        return flaky_once()

    invocation = flaky() if kind == "def" else flaky_async()
    assert obtain(invocation) == "done"
    assert tries == [0, 1, 2]
    attempt = [S.PENDING, S.RUNNING]
    assert statuses(invocation) == [S.REGISTERED, *attempt, S.RETRY, *attempt, S.RETRY, *attempt, S.SUCCESS]
    assert [entry.attempt for entry in invocation.history] == [0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert [entry.reason for entry in invocation.history if entry.reason] == ["OSError: try 1", "OSError: try 2"]
    assert invocation.num_retries == 2
    assert_lawful(invocation)


def test_the_last_attempt_fails_the_invocation(app, obtain):
    @app.task(max_retries=1)
    def fail():
        raise OSError("always")

    with pytest.raises(OSError, match="always"):
        obtain(fail())


def test_what_is_not_in_retry_for_is_not_retried(app):
    @app.task(max_retries=5, retry_for=OSError)
    def fail():
        raise ValueError

    invocation = fail()
    assert isinstance(invocation.exception(), ValueError)
    assert invocation.num_retries == 0


@pytest.mark.virtual
async def test_the_delay_of_a_retry_is_not_slept_in_the_loop(app):
    loop = asyncio.get_running_loop()
    times = []

    @app.task(max_retries=1)
    async def later():
        times.append(loop.time())
        if len(times) == 1:
            raise RetryError(after=60)

    await later()
    assert times[1] == times[0]


@pytest.mark.parametrize("options", [{"max_retries": 2, "retry_delay": 3600}, {"max_retries": 2}])
def test_the_delay_of_a_retry_is_not_slept_without_a_loop(app, options):
    tries = []

    @app.task(**options)
    def later():
        tries.append(1)
        if len(tries) < 3:
            raise RetryError(after=None if "retry_delay" in options else 3600)
        return "done"

    assert later().result == "done"


def test_each_attempt_starts_from_the_context_of_the_submitter(app, obtain):
    variable = contextvars.ContextVar("variable", default="outside")
    seen = []

    @app.task(max_retries=1)
    async def flaky():
        seen.append(variable.get())
        variable.set("spoilt")
        if len(seen) == 1:
            raise RetryError

    variable.set("submitter")
    invocation = flaky()
    variable.set("reader")
    obtain(invocation)
    assert seen == ["submitter", "submitter"]
    assert variable.get() == "reader"


def test_a_body_that_raises_cancelled_error_is_cancelled(app, obtain):
    @app.task(max_retries=3)
    async def quits():
        raise asyncio.CancelledError

    invocation = quits()
    with pytest.raises(InvocationCancelledError, match=invocation.invocation_id):
        obtain(invocation)
    assert invocation.status is S.CANCELLED


@pytest.mark.parametrize("ending", [SystemExit, KeyboardInterrupt])
@pytest.mark.parametrize("mode", ["def", "async"])
def test_endings_of_the_process_fail_the_invocation_and_are_raised(app, mode, ending, obtain):
    @app.task
    def quits():
        raise ending

    @app.task
    async def quits_async():
        raise ending

    with pytest.raises(ending):
        obtain(quits() if mode == "def" else quits_async())
    assert [one.status for one in app.invocations()] == [S.FAILED]


def test_history_entries_tell_time_order_runner_and_attempt(app, obtain):
    @app.task
    def noop():
        pass

    invocation = noop()
    obtain(invocation)
    assert [entry.order for entry in invocation.history] == [0, 1, 2, 3]
    assert [entry.attempt for entry in invocation.history] == [0, 1, 1, 1]
    assert len({entry.runner_id for entry in invocation.history}) == 1
    times = [entry.timestamp for entry in invocation.history]
    assert times == sorted(times)
