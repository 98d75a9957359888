"""When a failed attempt is followed by another: delays, backoff, jitter, and which errors count."""

import asyncio
import itertools

import pytest
from helpers import S, assert_at_rest, assert_lawful, statuses, turns
from hypothesis import given
from hypothesis import strategies as st

from pynenc_async import InvocationTimeoutError, Pynenc, RefusedError, RetryError, TaskOptions
from pynenc_async.scheduler.retrying import delay_before_retry
from pynenc_async.testing import run


def build(fail=LookupError, **options):
    """Return an app and a task that fails always, and the moments at which its attempts began."""
    app, moments = Pynenc(), []

    @app.task(**options)
    async def work():
        moments.append(round(asyncio.get_running_loop().time(), 6))
        raise fail

    return app, work, moments


@pytest.mark.virtual
@pytest.mark.parametrize(
    ("options", "gaps"),
    [
        ({"retry_delay": 2}, [2, 2, 2, 2]),
        ({"retry_delay": 1, "retry_backoff": 2}, [1, 2, 4, 8]),
        ({"retry_delay": 1, "retry_backoff": 3, "retry_max_delay": 5}, [1, 3, 5, 5]),
        ({"retry_delay": 9, "retry_max_delay": 5}, [5, 5, 5, 5]),
        ({"retry_delay": 0, "retry_backoff": 2}, [0, 0, 0, 0]),
    ],
)
async def test_the_gaps_between_attempts(options, gaps):
    app, work, moments = build(max_retries=4, **options)
    handle = work()
    with pytest.raises(LookupError):
        await handle
    assert [later - earlier for earlier, later in itertools.pairwise(moments)] == gaps
    assert handle.num_retries == 4
    assert [entry.attempt for entry in handle.history if entry.status is S.RUNNING] == [1, 2, 3, 4, 5]
    assert_lawful(handle)
    await assert_at_rest(app)


@pytest.mark.slow
@given(
    retries=st.integers(0, 5_000),
    delay=st.floats(0, 1e6),
    factor=st.floats(1, 1e3),
    cap=st.floats(0, 1e6),
    drawn=st.floats(0, 1),
)
def test_a_delay_is_never_above_its_cap_nor_below_zero(retries, delay, factor, cap, drawn):
    options = TaskOptions.build(
        "a task",
        {"max_retries": 10_000, "retry_delay": delay, "retry_backoff": factor, "retry_max_delay": cap},
    )
    plain = delay_before_retry(options, LookupError(), retries, lambda: drawn)
    assert 0 <= plain <= cap
    jittered = options.changed("a task", {"retry_jitter": True})
    assert delay_before_retry(jittered, LookupError(), retries, lambda: drawn) == pytest.approx(plain * drawn)


@pytest.mark.slow
def test_jitter_spreads_the_retries_of_many_that_failed_together_and_a_seed_repeats_it():
    def moments_of(seed):
        _, work, moments = build(max_retries=1, retry_delay=10, retry_jitter=True)

        async def main():
            handles = [work.with_options(detect_cycles=False)() for _ in range(50)]
            for handle in handles:
                await handle.wait()
                handle.exception()

        run(main, seed=seed)
        return moments[50:]

    moments = moments_of(1)
    assert len(set(moments)) == 50
    assert min(moments) < 2
    assert max(moments) > 8
    assert all(0 <= moment <= 10 for moment in moments)
    assert moments_of(1) == moments
    assert moments_of(2) != moments


class SpecialError(LookupError):
    pass


@pytest.mark.parametrize(
    ("options", "attempts"),
    [
        ({}, 3),
        ({"retry_for": LookupError}, 3),
        ({"retry_for": (KeyError, ValueError)}, 1),
        ({"no_retry_for": LookupError}, 1),
        ({"no_retry_for": (KeyError,)}, 3),
        ({"retry_for": LookupError, "no_retry_for": SpecialError}, 1),
        ({"retry_if": lambda error: isinstance(error, SpecialError)}, 3),
        ({"retry_if": lambda error: "again" in str(error)}, 1),
        ({"retry_if": lambda error: error.no_such_attribute}, 1),
    ],
)
async def test_which_failures_are_retried(options, attempts):
    app, work, moments = build(SpecialError("once"), max_retries=2, **options)
    with pytest.raises(SpecialError):
        await work()
    assert len(moments) == attempts
    await assert_at_rest(app)


@pytest.mark.virtual
async def test_retry_error_goes_before_all_rules_but_the_number_and_says_how_long_to_wait():
    app, work, moments = build(
        RetryError(after=30), max_retries=2, retry_for=(), no_retry_for=RetryError, retry_delay=1, retry_jitter=True
    )
    with pytest.raises(RetryError):
        await work()
    assert moments == [0, 30, 60]
    await assert_at_rest(app)


@pytest.mark.virtual
async def test_a_timeout_is_retried_like_any_failure():
    app, runs = Pynenc(), []

    @app.task(timeout=1, max_retries=2, retry_for=InvocationTimeoutError)
    async def work():
        runs.append(1)
        if len(runs) < 3:
            await asyncio.sleep(60)
        return "at last"

    handle = work()
    assert await handle == "at last"
    assert asyncio.get_running_loop().time() == 2
    assert statuses(handle).count(S.RETRY) == 2
    assert_lawful(handle)
    await assert_at_rest(app)


@pytest.mark.virtual
async def test_cancelled_during_the_delay_it_ends_at_once():
    app, work, moments = build(max_retries=5, retry_delay=100)
    handle = work()
    await asyncio.sleep(150)
    assert handle.status is S.RETRY
    await handle.cancel()
    assert asyncio.get_running_loop().time() == 150
    assert moments == [0, 100]
    assert_lawful(handle)
    await assert_at_rest(app)


def test_a_delay_that_one_loop_began_is_waited_out_on_the_next():
    app, work, moments = build(max_retries=1, retry_delay=100)
    handles = []

    async def first():
        handles.append(work())
        await asyncio.sleep(30)

    async def second():
        start = asyncio.get_running_loop().time()
        app.tasks[work.task_id].with_options(max_retries=0)
        other = app.task(noop)
        await other()
        assert handles[0].status is S.RETRY
        await asyncio.sleep(69)
        assert handles[0].status is S.RETRY
        await asyncio.sleep(2)
        await turns(3)
        assert handles[0].status is S.FAILED
        assert moments[-1] - start == 70
        handles[0].exception()

    run(first)
    run(second)


async def noop():
    pass


@pytest.mark.parametrize(
    ("options", "error", "attempts"),
    [
        ({"retry_for": OSError}, ExceptionGroup("two", [ConnectionError(), TimeoutError()]), 3),
        ({"retry_for": OSError}, ExceptionGroup("nested", [ExceptionGroup("one", [ConnectionError()]), OSError()]), 3),
        ({"retry_for": OSError}, ExceptionGroup("mixed", [ConnectionError(), ValueError()]), 1),
        ({"retry_for": OSError}, ExceptionGroup("asked for", [ConnectionError(), RetryError()]), 3),
        ({"retry_for": ExceptionGroup}, ExceptionGroup("any", [ValueError()]), 3),
        ({"no_retry_for": ValueError}, ExceptionGroup("mixed", [ConnectionError(), ValueError()]), 1),
        ({}, ExceptionGroup("refused", [ConnectionError(), RefusedError("no")]), 1),
        ({}, ExceptionGroup("any", [ConnectionError()]), 3),
    ],
)
async def test_a_group_of_errors_is_retried_where_all_of_them_are(options, error, attempts):
    app, began = Pynenc(), []

    @app.task(max_retries=2, **options)
    async def work():
        began.append(1)
        raise error

    with pytest.raises(ExceptionGroup):
        await work()
    assert len(began) == attempts
