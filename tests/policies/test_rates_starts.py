"""What a rate counts is when bodies begin, however long those that may begin had to wait for a slot."""

import asyncio
import threading
from bisect import bisect_left
from functools import partial

import pytest
from helpers import S, assert_at_rest

from pynenc_async import Pynenc, Rate, RetryError
from pynenc_async.store.memory import MemoryHub, MemoryStore
from pynenc_async.testing import simulate

pytestmark = pytest.mark.virtual


@pytest.fixture(params=["memory", "store"])
def new_app(request):
    hub = MemoryHub()
    return Pynenc if request.param == "memory" else partial(Pynenc, store=lambda: MemoryStore(hub))


def assert_kept(rate, moments):
    moments = sorted(moments)
    for place, begin in enumerate(moments):
        seen = bisect_left(moments, begin + rate.per - 1e-5) - place
        assert seen <= rate.count, f"{seen} starts within {rate.per} s of {begin}"


@pytest.mark.parametrize("rate", [Rate(2), Rate(2, burst=1), Rate(10, per=60)], ids=str)
async def test_those_that_waited_for_a_slot_do_not_begin_all_at_once_when_it_is_free(new_app, rate):
    app, starts = new_app(max_concurrency=2), []

    @app.task
    async def hog():
        await asyncio.sleep(25)

    @app.task(rate_limit=rate)
    async def work():
        starts.append(asyncio.get_running_loop().time())

    async with app:
        hogs = [hog(), hog()]
        await asyncio.sleep(1)
        handles = [work() for _ in range(7)]
        for handle in hogs + handles:
            await handle
    assert_kept(rate, starts)
    assert starts[0] == pytest.approx(25)
    ideal = (6 // rate.capacity) * (rate.window or rate.interval)
    assert starts[-1] == pytest.approx(25 + ideal, abs=1e-3), "and no time is lost"


async def test_nor_do_those_that_others_of_a_higher_priority_have_overtaken(new_app):
    rate, starts = Rate(3, per=10), []
    app = new_app(max_concurrency=1)

    @app.task(rate_limit=rate, priority=-1)
    async def work():
        starts.append(asyncio.get_running_loop().time())

    @app.task
    async def urgent():
        await asyncio.sleep(4)

    async with app:
        handles = [urgent() for _ in range(6)] + [work() for _ in range(9)]
        for handle in handles:
            await handle
    assert_kept(rate, starts)
    assert starts[-1] - starts[0] == pytest.approx(20, abs=1e-3)


async def test_one_that_was_cancelled_before_it_began_has_taken_nothing(new_app):
    app, starts = new_app(max_concurrency=1), []

    @app.task
    async def hog():
        await asyncio.sleep(5)

    @app.task(rate_limit=Rate(1, per=60))
    async def work(name):
        starts.append((name, asyncio.get_running_loop().time()))

    async with app:
        first = hog()
        await asyncio.sleep(1)
        handles = [work(name) for name in "abc"]
        await asyncio.sleep(1)
        await handles[0].cancel()
        await first
        await handles[2]
    assert [name for name, _ in starts] == ["b", "c"]
    assert [moment for _, moment in starts] == pytest.approx([5, 65], abs=1e-3)
    assert handles[0].status is S.CANCELLED


async def test_each_attempt_counts_and_none_is_counted_twice(new_app):
    rate, starts = Rate(2, per=10), []
    app = new_app()

    @app.task(rate_limit=rate, max_retries=2)
    async def work():
        starts.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.5)
        raise RetryError(after=0.25)

    async with app:
        handles = [work(), work()]
        for handle in handles:
            await handle.wait()
            handle.exception()
    assert_kept(rate, starts)
    assert starts[-1] == pytest.approx(20, abs=1e-3)


async def test_those_that_run_for_long_count_no_longer_than_others():
    app, starts = Pynenc(), []

    @app.task(rate_limit=Rate(3, per=10))
    async def work():
        starts.append(asyncio.get_running_loop().time())
        await asyncio.sleep(1_000)

    handles = [work() for _ in range(9)]
    for handle in handles:
        await handle
    assert starts == pytest.approx([0, 0, 0, 10, 10, 10, 20, 20, 20], abs=1e-5)
    await assert_at_rest(app)


@pytest.mark.slow
async def test_what_has_ended_is_not_kept_for_the_sake_of_its_rate():
    app = Pynenc(retain_count=0)

    @app.task(rate_limit=Rate(100_000))
    async def work():
        pass

    for _ in range(2_000):
        await work()
    bucket = next(iter(app._dispatcher.scheduler.limiter_of(work.task_id)._buckets._by_key.values()))
    assert len(bucket._promised) + len(bucket._began) + len(bucket._starts.moments) < 600


@pytest.mark.slow
def test_a_rate_is_reached_under_load_and_its_waiters_are_served_in_turn():
    order = []

    async def scenario():
        app = Pynenc(max_concurrency=5)

        @app.task(rate_limit=Rate(10, scope="task"), running_concurrency="keys", key_arguments="key", running_limit=3)
        async def work(key, number):
            order.append((asyncio.get_running_loop().time(), key, number))
            await asyncio.sleep(0.1)

        async with app:
            handles = [work(key, number) for key, count in (("a", 60), ("b", 20), ("c", 20)) for number in range(count)]
            for handle in handles:
                await handle

    simulate(scenario)
    assert_kept(Rate(10), [moment for moment, *_ in order])
    assert order[-1][0] == pytest.approx(9, abs=0.5)
    for key in "abc":
        assert [number for _, one, number in order if one == key] == sorted(
            number for _, one, number in order if one == key
        )
    assert max(moment for moment, key, _ in order if key != "a") < 7, "a hot key starves no other"


def begun(handles):
    """When bodies began, by the clock on the wall: on a busy machine, a body may see that late."""
    return [step.timestamp for handle in handles for step in handle.history if step.status is S.RUNNING]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["loop", "thread"])
def test_it_is_so_by_real_clocks_too(kind):
    """A thread that is busy holds up those that were handed to it: they begin when it lets them."""
    rate = Rate(4, per=0.2)
    app = Pynenc(max_threads=1, max_concurrency=30)
    free = threading.Event()

    @app.task
    def hog():
        free.wait()

    @app.task(rate_limit=rate, runs_in=kind)
    def work():
        pass

    async def main():
        async with app:
            first = hog()
            handles = [work() for _ in range(14)]
            await handles[0].wait(0.3)
            free.set()
            await first
            for handle in handles:
                await handle
            return begun(handles)

    assert_kept(rate, asyncio.run(main()))
