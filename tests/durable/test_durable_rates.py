"""Rates hold across processes that share a store, through restarts and crashes, and where a clock is set back."""

import asyncio
from bisect import bisect_left

import pytest
from helpers import S

from pynenc_async import Pynenc, Rate


def assert_kept(rate, moments, tolerance=1e-5):
    moments = sorted(moments)
    for place, begin in enumerate(moments):
        seen = bisect_left(moments, begin + rate.per - tolerance) - place
        assert seen <= rate.count, f"{seen} starts within {rate.per} s of {begin}"


def began(handles):
    return [step.timestamp for handle in handles for step in handle.history if step.status is S.RUNNING]


def define(app, rate, lasts=0.0, **options):
    @app.task(rate_limit=rate, **options)
    async def work() -> None:
        await asyncio.sleep(lasts)

    return work


@pytest.mark.slow
@pytest.mark.virtual
@pytest.mark.parametrize("rate", [Rate(3, per=10), Rate(3, per=10, burst=1), Rate(200, per=100)], ids=str)
@pytest.mark.parametrize("latency", [0, 0.7])
async def test_processes_share_a_rate_and_reach_it_together(world, rate, latency):
    apps = [world.app(latency=lambda: latency) for _ in range(3)]
    tasks = [define(app, rate) for app in apps]
    async with apps[0], apps[1], apps[2]:
        handles = [task() for _ in range(rate.count) for task in tasks]
        await handles[0]
        await asyncio.sleep(1)
        handles += [tasks[1]() for _ in range(rate.count)]
        for handle in handles:
            await handle
    moments = began(handles)
    assert_kept(rate, moments)
    assert max(moments) - min(moments) <= 4 * rate.per + 12 * latency


@pytest.mark.virtual
async def test_a_process_that_starts_again_goes_on_counting(world):
    rate, moments = Rate(4, per=30), []
    app = world.app()
    work = define(app, rate)
    await app.start()
    handles = [work() for _ in range(4)]
    for handle in handles:
        await handle
    moments += began(handles)
    await app.shutdown()
    await asyncio.sleep(10)
    again = world.app()
    work = define(again, rate)
    async with again:
        handles = [work() for _ in range(5)]
        for handle in handles:
            await handle
        moments += began(handles)
    assert_kept(rate, moments)
    assert max(moments) - min(moments) == pytest.approx(60, abs=1)


@pytest.mark.virtual
@pytest.mark.parametrize("rate", [Rate(4, per=30), Rate(4, per=30, burst=2), Rate(8, per=3_000)], ids=str)
async def test_a_clock_that_is_set_back_by_an_hour_holds_up_nobody_for_an_hour(world, rate):
    loop, skew = asyncio.get_running_loop(), 0.0
    true = loop.wall_time
    loop.wall_time = lambda: true() + skew
    app = world.app()
    work = define(app, rate)
    async with app:
        for _ in range(4):
            await work()
        skew = -3_600.0
        async with asyncio.timeout(90 + rate.per):
            for handle in [work() for _ in range(8)]:
                await handle
    again = world.app()
    work = define(again, rate)
    skew = -7_200.0
    async with again, asyncio.timeout(90 + rate.per):
        for handle in [work() for _ in range(8)]:
            await handle


@pytest.mark.slow
@pytest.mark.parametrize("rate", [Rate(5, per=0.3), Rate(60, per=0.3)], ids=str)
def test_apps_on_one_file_keep_a_rate_together_and_after_a_restart(tmp_path, rate):
    async def main():
        url, handles = f"sqlite:///{tmp_path / 'jobs.db'}", []
        for _ in range(2):
            apps = [Pynenc(url), Pynenc(url)]
            tasks = [define(app, rate) for app in apps]
            async with apps[0], apps[1]:
                new = [task() for _ in range(rate.count) for task in tasks]
                for handle in new:
                    await handle
                handles += began(new)
        return handles

    assert_kept(rate, asyncio.run(main()))


@pytest.mark.virtual
async def test_a_start_of_a_retry_counts_in_all_processes(world):
    rate = Rate(2, per=10)
    apps = [world.app(), world.app()]
    tasks = []
    for app in apps:

        @app.task(rate_limit=rate, max_retries=2)
        async def work() -> None:
            raise ValueError

        tasks.append(work)
    async with apps[0], apps[1]:
        handles = [task() for task in tasks for _ in range(2)]
        for handle in handles:
            await handle.wait()
            handle.exception()
    moments = began(handles)
    assert len(moments) == 12
    assert_kept(rate, moments)
