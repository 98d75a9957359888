"""What every invocation may rely on: it is submitted at the call, it ends, and its history tells how."""

import asyncio

import pytest
from helpers import USUAL, Gate, S, assert_at_rest, assert_lawful, reasons, statuses

from pynenc_async import Pynenc, current_invocation

# -- the history -------------------------------------------------------------------------------------------------------


async def test_history_of_a_body_that_returns_at_once():
    app = Pynenc()

    @app.task
    async def noop():
        return 1

    invocation = noop()
    assert statuses(invocation) == [S.REGISTERED]
    assert await invocation == 1
    assert statuses(invocation) == [*USUAL, S.SUCCESS]
    assert [entry.attempt for entry in invocation.history] == [0, 1, 1, 1]
    assert_lawful(invocation)
    await assert_at_rest(app)


@pytest.mark.parametrize("suspends", [False, True])
async def test_history_of_a_body_that_raises(suspends):
    app = Pynenc()

    @app.task
    async def fail():
        if suspends:
            await asyncio.sleep(0)
        raise LookupError

    invocation = fail()
    with pytest.raises(LookupError):
        await invocation
    assert statuses(invocation) == [*USUAL, S.FAILED]
    assert_lawful(invocation)
    await assert_at_rest(app)


@pytest.mark.parametrize("kind", ["coroutine", "thread"])
async def test_history_of_a_body_that_awaits_another(kind):
    app = Pynenc()
    gate = Gate()

    @app.task
    async def child():
        await gate.wait()
        return 1

    async def in_loop():
        return await child()

    def in_thread():
        return child().result

    parent = app.task(in_loop if kind == "coroutine" else in_thread)
    invocation = parent()
    while invocation.status is not S.PAUSED:
        await asyncio.sleep(0)
    gate.open()
    assert await invocation == 1
    assert statuses(invocation) == [*USUAL, S.PAUSED, S.RESUMED, S.SUCCESS]
    assert {entry.attempt for entry in invocation.history[1:]} == {1}
    assert_lawful(invocation)
    await assert_at_rest(app)


async def test_history_of_an_await_that_is_run_in_place_is_the_same():
    app = Pynenc()

    @app.task
    async def child():
        return 1

    @app.task
    async def parent():
        return await child()

    invocation = parent()
    await invocation
    assert statuses(invocation) == [*USUAL, S.PAUSED, S.RESUMED, S.SUCCESS]
    assert_lawful(invocation)


async def test_awaiting_what_has_ended_does_not_pause():
    app = Pynenc()

    @app.task
    async def child():
        return 1

    @app.task
    async def parent(handle):
        return await handle

    done = child()
    await done
    invocation = parent(done)
    await invocation
    assert statuses(invocation) == [*USUAL, S.SUCCESS]


async def test_history_of_retries_counts_the_attempts_and_names_the_error():
    app = Pynenc()
    runs = []

    @app.task(max_retries=2)
    async def flaky():
        runs.append(current_invocation().num_retries)
        if len(runs) < 3:
            raise LookupError(f"run {len(runs)}")
        return len(runs)

    invocation = flaky()
    assert await invocation == 3
    assert runs == [0, 1, 2]
    assert invocation.num_retries == 2
    assert statuses(invocation) == [*USUAL, S.RETRY, S.PENDING, S.RUNNING, S.RETRY, S.PENDING, S.RUNNING, S.SUCCESS]
    assert [entry.attempt for entry in invocation.history] == [0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert [reason for reason in reasons(invocation) if reason] == ["LookupError: run 1", "LookupError: run 2"]
    assert_lawful(invocation)
    await assert_at_rest(app)


async def test_history_is_a_snapshot_that_nobody_can_change():
    app = Pynenc()

    @app.task
    async def noop():
        pass

    invocation = noop()
    before = invocation.history
    await invocation
    assert [entry.status for entry in before] == [S.REGISTERED]
    assert isinstance(before, tuple)


@pytest.mark.virtual
async def test_timestamps_are_those_of_the_transitions():
    app = Pynenc(max_concurrency=1)
    loop = asyncio.get_running_loop()
    began = loop.wall_time()

    @app.task
    async def sleep(seconds):
        await asyncio.sleep(seconds)

    @app.task
    async def parent():
        await asyncio.sleep(1)
        await sleep(5)
        await asyncio.sleep(1)

    first, second = sleep(2), parent()
    await second
    assert [entry.timestamp - began for entry in first.history] == pytest.approx([0, 0, 0, 2])
    assert [entry.timestamp - began for entry in second.history] == pytest.approx([0, 2, 2, 3, 8, 9])
    assert_lawful(second)


# -- submission --------------------------------------------------------------------------------------------------------
