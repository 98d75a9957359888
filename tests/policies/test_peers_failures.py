"""What is known to fail elsewhere, and must not fail here."""

import asyncio
import gc
import weakref

import pytest
from helpers import Gate, S, assert_at_rest, assert_lawful, turns

from pynenc_async import Pynenc, RetryError, current_invocation


async def test_a_retried_invocation_that_meets_a_running_limit_does_not_stop_the_scheduler():
    app, ran = Pynenc(max_concurrency=2), []

    @app.task(running_concurrency="task", max_retries=5)
    async def limited(n):
        ran.append(n)
        await asyncio.sleep(0)
        if current_invocation().num_retries < 2:
            raise RetryError
        return n

    @app.task
    async def free(n):
        return n

    handles = [limited(n) for n in range(4)]
    assert await free(9) == 9
    assert [await handle for handle in handles] == [0, 1, 2, 3]
    assert sorted(ran) == sorted([0, 1, 2, 3] * 3)
    await assert_at_rest(app)


async def test_batches_respect_limits_per_key():
    app, inside, most = Pynenc(), {"a": 0, "b": 0}, {"a": 0, "b": 0}

    @app.task(running_concurrency="keys", key_arguments="key", running_limit=2)
    async def work(key, n):
        inside[key] += 1
        most[key] = max(most[key], inside[key])
        await asyncio.sleep(0)
        inside[key] -= 1
        return n

    results = [result async for result in work.parallelize(((key, n) for n in range(30) for key in "ab"), window=7)]
    assert sorted(results) == sorted([*range(30)] * 2)
    assert most == {"a": 2, "b": 2}
    await assert_at_rest(app)


async def test_a_limit_that_is_reached_while_others_are_queued_never_deadlocks():
    app = Pynenc(max_concurrency=1)

    @app.task(running_concurrency="task", running_limit=1)
    async def limited(n):
        return await helper(n)

    @app.task
    async def helper(n):
        await asyncio.sleep(0)
        return n

    @app.task
    async def parent(n):
        handles = [limited(10 * n + m) for m in range(3)]
        return sum([await handle for handle in handles])

    async with asyncio.timeout(30):
        assert await parent.parallelize([(n,) for n in range(5)]) == [30 * n + 3 for n in range(5)]
    await assert_at_rest(app)


@pytest.mark.parametrize("kind", ["coroutine", "thread"])
async def test_parents_that_wait_with_every_slot_taken_never_deadlock(kind):
    app = Pynenc(max_concurrency=2, max_threads=2)

    async def in_loop(depth):
        return 1 + (await task(depth - 1) if depth else 0)

    def in_thread(depth):
        return 1 + (task(depth - 1).result if depth else 0)

    task = app.task({"coroutine": in_loop, "thread": in_thread}[kind])
    async with asyncio.timeout(30):
        assert await task.parallelize([(5,) for _ in range(4)]) == [6] * 4
    await assert_at_rest(app)


@pytest.mark.parametrize("ending", [SystemExit, KeyboardInterrupt, asyncio.CancelledError, GeneratorExit])
@pytest.mark.parametrize("kind", ["coroutine", "thread"])
async def test_whatever_a_body_ends_in_it_reaches_a_final_status_and_the_rest_goes_on(ending, kind):
    app = Pynenc(max_concurrency=1)

    async def in_loop():
        raise ending

    def in_thread():
        raise ending

    handle = app.task({"coroutine": in_loop, "thread": in_thread}[kind])()
    await handle.wait()
    assert handle.status in (S.FAILED, S.CANCELLED)
    assert handle.exception() is not None
    assert_lawful(handle)

    @app.task
    async def next_one():
        return 1

    assert await next_one() == 1
    await assert_at_rest(app)


async def test_a_stop_in_the_middle_of_a_body_does_not_run_it_twice():
    app, began = Pynenc(), []

    @app.task(max_retries=5)
    async def work():
        began.append(1)
        await asyncio.Event().wait()

    handle = work()
    await turns(3)
    await app.shutdown(drain_seconds=0)
    assert handle.status is S.CANCELLED
    async with app:
        await turns(5)
    assert began == [1]
    assert handle.num_retries == 0


@pytest.mark.virtual
async def test_a_swallowed_cancellation_does_not_hang_the_shutdown():
    app = Pynenc()

    @app.task
    async def work():
        while asyncio.get_running_loop().time() < 1_000:
            try:
                await asyncio.sleep(1_000)
            except asyncio.CancelledError:
                continue

    handle = work()
    await turns(3)
    before = asyncio.get_running_loop().time()
    await app.shutdown(drain_seconds=1)
    assert asyncio.get_running_loop().time() - before < 10
    assert handle.status is S.CANCELLED
    await asyncio.sleep(2_000)


class Bell:
    """Wakes whoever waits; nothing but its waiter keeps it."""

    def __init__(self):
        self.future = asyncio.get_running_loop().create_future()


@pytest.mark.parametrize("limited", [False, True])
async def test_fire_and_forget_work_is_never_collected(limited):
    """An asyncio Task to which nobody refers is collected where it waits for what only itself refers to."""
    app, bells, ended = Pynenc(), [], []

    @app.task(running_concurrency="task" if limited else "disabled", running_limit=3)
    async def work(n):
        bell = Bell()
        bells.append(weakref.ref(bell))
        await bell.future
        ended.append(n)

    for n in range(3):
        work(n)
    while len(bells) < 3:
        await asyncio.sleep(0)
    await turns(3)
    gc.collect()
    for bell in bells:
        assert bell() is not None, "collected"
        bell().future.set_result(None)
    while app.statistics().living:
        await asyncio.sleep(0)
    assert sorted(ended) == [0, 1, 2]
    await assert_at_rest(app)


@pytest.mark.parametrize("kind", ["slot", "permit", "thread"])
@pytest.mark.parametrize("when", range(6))
async def test_who_is_cancelled_just_as_its_turn_comes_leaks_nothing(kind, when):
    app, gate = Pynenc(max_concurrency=1 if kind == "slot" else 5, max_threads=1), Gate()
    options = {"running_concurrency": "task"} if kind == "permit" else {}

    async def in_loop(n):
        await (gate.wait() if n == 0 else asyncio.sleep(0))

    def in_thread(n):
        if n == 0:
            gate.block()

    work = app.task(**options)(in_thread if kind == "thread" else in_loop)
    first, second, third = work(0), work(1), work(2)
    while first.status is not S.RUNNING:
        await asyncio.sleep(0)
    gate.open()
    await turns(when)
    await second.cancel()
    await first
    async with asyncio.timeout(30):
        await third
    for handle in (first, second, third):
        assert_lawful(handle)
    await assert_at_rest(app)


@pytest.mark.virtual
async def test_nobody_is_timed_out_who_did_not_ask_for_it():
    app = Pynenc()

    @app.task(max_retries=1)
    async def work():
        await asyncio.sleep(1_000_000)
        return "done"

    assert await work() == "done"
    await assert_at_rest(app)


@pytest.mark.virtual
async def test_a_predicate_a_body_or_an_observer_that_raises_stops_nobody_else():
    app, told = Pynenc(), []

    def broken(_):
        raise ZeroDivisionError

    @app.task(max_retries=1, retry_if=broken, delay=1)
    async def bad():
        raise LookupError

    @app.task(delay=2)
    async def good(n):
        return n

    with app.observe(broken), app.observe(told.append):
        handles = [bad(), *[good(n) for n in range(3)]]
        assert [await handle for handle in handles[1:]] == [0, 1, 2]
    assert isinstance(handles[0].exception(), LookupError)
    assert len(told) > len(handles)
    await assert_at_rest(app)
