"""What every invocation may rely on: it is submitted at the call, it ends, and its history tells how."""

import asyncio
import gc
import threading

import pytest
from helpers import USUAL, Gate, S, assert_at_rest, assert_lawful, reasons, statuses, turns

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


async def test_what_nobody_awaits_runs_all_the_same():
    app = Pynenc()
    gate = Gate()

    @app.task
    async def work():
        gate.open()

    work()
    await gate.wait()


async def test_nothing_runs_inside_the_call():
    app = Pynenc()
    ran = []

    @app.task
    async def work():
        ran.append(1)

    work()
    assert not ran
    await turns(3)
    assert ran == [1]


async def test_a_suspended_body_that_nobody_refers_to_is_never_collected():
    app = Pynenc()
    ended = []

    @app.task
    async def work():
        for _ in range(3):
            await asyncio.sleep(0)
            gc.collect()
        ended.append(current_invocation().invocation_id)

    ids = [work().invocation_id for _ in range(3)]
    while len(ended) < 3:
        gc.collect()
        await asyncio.sleep(0)
    assert sorted(ended) == sorted(ids)


async def test_submission_from_another_thread_runs_in_the_loop():
    app = Pynenc()
    loop_thread = threading.get_ident()

    @app.task
    async def where(n):
        return n, threading.get_ident()

    await app.start()
    handles = await asyncio.to_thread(lambda: [where(n) for n in range(50)])
    assert [await handle for handle in handles] == [(n, loop_thread) for n in range(50)]
    for handle in handles:
        assert_lawful(handle)
    await assert_at_rest(app)


async def test_submission_from_a_def_body_is_its_child():
    app = Pynenc()

    @app.task
    async def child():
        return current_invocation().parent_invocation_id

    @app.task
    def parent():
        return child().result, current_invocation().invocation_id

    assert len(set(await parent())) == 1
    await assert_at_rest(app)


async def test_a_child_names_its_parent_before_and_after_the_end_of_both():
    app = Pynenc()

    @app.task
    async def child():
        pass

    @app.task
    async def parent():
        handle = child()
        assert handle.parent_invocation_id == current_invocation().invocation_id
        return handle

    outer = parent()
    handle = await outer
    await handle
    assert handle.parent_invocation_id == outer.invocation_id
    assert outer.parent_invocation_id is None
    await assert_at_rest(app)


async def test_what_a_body_left_behind_submits_has_no_parent():
    app = Pynenc()
    gate = Gate()

    @app.task
    async def child():
        pass

    async def stray():
        await gate.wait()
        return child()

    @app.task
    async def parent():
        return asyncio.create_task(stray())

    task = await parent()
    gate.open()
    handle = await task
    await handle
    assert handle.parent_invocation_id is None


async def test_a_body_of_another_app_is_no_parent():
    one, other = Pynenc(), Pynenc()

    @other.task
    async def child():
        return 1

    @one.task
    async def parent():
        handle = child()
        return handle.parent_invocation_id, await handle

    assert await parent() == (None, 1)
