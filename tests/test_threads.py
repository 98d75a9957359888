"""`def` tasks: bodies in threads, and threads that wait for other invocations."""

import asyncio
import contextvars
import threading

import pytest
from helpers import Gate, Gauge, S, assert_at_rest, statuses, turns

from pynenc_async import (
    CycleDetectedError,
    InvocationCancelledError,
    Pynenc,
    current_invocation,
)

REQUEST: contextvars.ContextVar[str] = contextvars.ContextVar("REQUEST", default="none")

# -- bodies in threads -------------------------------------------------------------------------------------------------


async def test_a_def_runs_in_another_thread_than_the_loop():
    app = Pynenc()

    @app.task
    def where():
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        return threading.get_ident()

    assert await where() != threading.get_ident()


async def test_as_many_defs_run_at_once_as_threads_are_allowed():
    app = Pynenc(max_threads=4)
    gauge = Gauge()
    meet = threading.Barrier(4)

    @app.task
    def work(n):
        with gauge:
            meet.wait(30)  # passes only when four are inside
        return n

    assert await work.parallelize([(n,) for n in range(12)]) == list(range(12))
    assert gauge.peak == 4
    await assert_at_rest(app)


async def test_defs_count_against_max_concurrency():
    app = Pynenc(max_concurrency=2, max_threads=8)
    gauge = Gauge()

    @app.task
    def in_thread():
        with gauge:
            pass

    @app.task
    async def in_loop():
        with gauge:
            await asyncio.sleep(0)

    for n in range(20):
        (in_thread if n % 2 else in_loop)()
    await app.shutdown()
    assert gauge.peak <= 2


async def test_a_loop_body_runs_while_every_thread_is_taken():
    app = Pynenc(max_threads=1)
    gate = Gate()

    @app.task
    def blocked():
        gate.block()

    @app.task
    async def free():
        return 1

    taken = blocked.parallelize([()] * 3)
    await turns(3)
    assert await free() == 1
    gate.open()
    await taken


@pytest.mark.parametrize(
    "error", [ValueError("x"), SystemExit(3), KeyboardInterrupt(), StopIteration(1), GeneratorExit()]
)
async def test_whatever_a_thread_ends_in_its_invocation_ends(error):
    app = Pynenc()

    @app.task
    def fail():
        raise error

    invocation = fail()
    assert await invocation.wait() is True
    assert invocation.status is S.FAILED
    assert invocation.exception() is error
    await assert_at_rest(app)


async def test_a_def_that_raises_cancelled_error_is_final():
    app = Pynenc()

    @app.task
    def fail():
        raise asyncio.CancelledError

    invocation = fail()
    assert await invocation.wait() is True
    assert invocation.status.is_final()
    with pytest.raises(Exception):  # noqa: B017, PT011  never the bare CancelledError: nobody cancelled the waiter
        await invocation


async def test_a_def_in_a_queue_is_cancelled_and_never_runs():
    app = Pynenc(max_threads=1)
    gate, ran = Gate(), []

    @app.task
    def work(n):
        ran.append(n)
        gate.block()

    first, second = work(1), work(2)
    while not ran:
        await asyncio.sleep(0)
    assert await second.cancel() == "never_started"
    gate.open()
    await first
    assert ran == [1]
    await assert_at_rest(app)


async def test_retries_in_threads():
    app = Pynenc()
    seen = []

    @app.task(max_retries=3)
    def work():
        seen.append(REQUEST.get())
        REQUEST.set("dirty")
        if len(seen) < 3:
            raise ValueError
        return len(seen)

    invocation = work()
    assert await invocation == 3
    assert invocation.num_retries == 2
    assert seen == ["none"] * 3


# -- a thread that waits for others ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["loop", "thread"])
async def test_reading_a_child_in_a_thread_gives_the_slot_away(kind):
    app = Pynenc(max_concurrency=1, max_threads=1)

    async def in_loop(n):
        return n + 1

    def in_thread(n):
        return n + 1

    child = app.task(in_loop if kind == "loop" else in_thread)

    @app.task
    def parent(n):
        one, other = child(n), child(n + 1)
        assert one.parent_invocation_id == current_invocation().invocation_id
        return one.result + other.blocking_result(30)

    invocation = parent(1)
    assert await invocation == 5
    assert statuses(invocation).count(S.PAUSED) == statuses(invocation).count(S.RESUMED) >= 1
    await assert_at_rest(app)


async def test_a_chain_of_threads_of_any_depth_ends_with_one_slot():
    app = Pynenc(max_concurrency=1, max_threads=1)

    @app.task
    def down(n):
        return n if n == 0 else down(n - 1).result + 1

    assert await down(30) == 30
    await assert_at_rest(app)


async def test_never_more_threads_run_than_allowed_while_some_wait():
    app = Pynenc(max_threads=2)
    gauge = Gauge()

    @app.task
    def child(n):
        with gauge:
            return n

    @app.task
    def parent(n):
        with gauge:
            invocation = child(n)
            with gauge.away():
                return invocation.result

    assert await parent.parallelize([(n,) for n in range(30)]) == list(range(30))
    assert gauge.peak <= 3, "away() comes back a moment after the slot"
    await assert_at_rest(app)


async def test_a_group_in_a_thread():
    app = Pynenc(max_concurrency=1)

    @app.task
    async def child(n):
        if n == 3:
            raise ValueError(n)
        return n

    @app.task
    def parent():
        return list(child.parallelize([(n,) for n in range(3)]).results)

    assert await parent() == [0, 1, 2]


async def test_a_thread_sees_the_failure_of_its_child():
    app = Pynenc()

    @app.task
    async def child():
        raise ValueError("inner")

    @app.task
    def parent():
        invocation = child()
        with pytest.raises(ValueError, match="inner") as caught:
            _ = invocation.result
        assert invocation.exception() is caught.value
        return "seen"

    assert await parent() == "seen"


async def test_an_ancestor_with_the_same_call_is_refused_in_threads():
    app = Pynenc()

    @app.task
    def again(n):
        return again(n).result

    with pytest.raises(CycleDetectedError):
        await again(1)


async def test_cancelling_a_thread_that_waits_breaks_the_wait_off():
    app = Pynenc()
    gate = Gate()

    @app.task
    async def child():
        await gate.wait()

    @app.task
    def parent():
        return child().result

    invocation = parent()
    while invocation.status is not S.PAUSED:
        await asyncio.sleep(0)
    await invocation.cancel("enough")
    with pytest.raises(InvocationCancelledError, match="enough"):
        await invocation
    assert [one.status for one in app.invocations()] == [S.CANCELLED] * 2
    await assert_at_rest(app)


async def test_reading_a_child_in_a_thread_that_a_loop_body_started_gives_the_slot_away():
    app = Pynenc(max_concurrency=1)

    @app.task
    async def child(n):
        return n

    @app.task
    async def parent():
        return await asyncio.to_thread(lambda: child(5).result)

    async with asyncio.timeout(30):
        assert await parent() == 5
    await assert_at_rest(app)
