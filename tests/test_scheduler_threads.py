"""`def` bodies that were handed to the pool and have not begun are still queued, whatever the pool does ahead."""

import asyncio
import sys

import pytest
from helpers import Gate, S, assert_at_rest, assert_lawful, turns

from pynenc_async import CancelOutcome, Pynenc


async def until(condition):
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0)


def build():
    """Return an app with one thread that has seen short bodies, so that it takes work ahead."""
    app = Pynenc(max_threads=1)
    ran = []

    @app.task
    def quick(name):
        ran.append(name)
        return name

    @app.task
    def block(started, release):
        started.open()
        release.block()

    @app.task
    async def wait(gate):
        await gate.wait()

    @app.task
    def rest_then_block(gate, started, release):
        wait(gate).result  # noqa: B018
        started.open()
        release.block()

    return app, ran, quick, block, rest_then_block


async def test_cancelled_behind_a_busy_thread_it_never_starts_and_nobody_waits_for_the_thread():
    app, ran, quick, block, _ = build()
    for n in range(5):
        await quick(n)
    started, release = Gate(), Gate()
    busy = block(started, release)
    await started.wait()
    handles = [quick("late") for _ in range(3)]
    await turns(5)
    try:
        for handle in handles:
            async with asyncio.timeout(30):
                assert await handle.cancel() is CancelOutcome.NEVER_STARTED
            assert_lawful(handle)
    finally:
        release.open()
    await busy
    assert await quick("after") == "after"
    assert "late" not in ran
    await assert_at_rest(app)


async def test_cancelled_behind_a_thread_that_came_back_from_a_wait_it_never_starts():
    app, ran, quick, _, rest_then_block = build()
    for n in range(5):
        await quick(n)
    gate, started, release = Gate(), Gate(), Gate()
    busy = rest_then_block(gate, started, release)
    await until(lambda: busy.status is S.PAUSED)
    await quick("in the other thread")
    gate.open()
    await started.wait()
    late = quick("late")
    await turns(20)
    try:
        async with asyncio.timeout(30):
            assert await late.cancel() is CancelOutcome.NEVER_STARTED
    finally:
        release.open()
    await busy
    assert await quick("after") == "after"
    assert "late" not in ran
    assert late.status is S.CANCELLED
    assert_lawful(late)
    await assert_at_rest(app)


async def test_cancelled_before_its_second_attempt_began_it_keeps_the_history_of_the_first():
    app, _, quick, block, _ = build()
    for n in range(5):
        await quick(n)
    entered, go, started, release = Gate(), Gate(), Gate(), Gate()
    runs = []

    @app.task(max_retries=3)
    def flaky():
        runs.append(1)
        entered.open()
        go.block()
        raise LookupError

    handle, busy = flaky(), block(started, release)
    await entered.wait()
    await turns(5)
    go.open()
    await started.wait()
    await until(lambda: handle.num_retries == 1)
    await turns(5)
    if len(runs) > 1:
        release.open()
        pytest.skip("the retry was faster than what was queued behind it")
    try:
        async with asyncio.timeout(30):
            assert await handle.cancel() is CancelOutcome.STOPPED
    finally:
        release.open()
    await busy
    assert len(runs) == 1
    assert_lawful(handle)
    await assert_at_rest(app)


async def test_threads_that_come_and_go_lose_no_work():
    """Surplus threads end when others come back from waiting: never all of them while work is queued."""
    app = Pynenc(max_threads=2)

    @app.task
    async def short(n):
        return n

    @app.task
    def middle(n):
        return short(n).result

    @app.task
    def parent(n):
        return middle(n).result + n

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        async with asyncio.timeout(30):
            handles = [parent(n) for n in range(60)]
            assert [await handle for handle in handles] == [2 * n for n in range(60)]
    finally:
        sys.setswitchinterval(interval)
    await assert_at_rest(app)
