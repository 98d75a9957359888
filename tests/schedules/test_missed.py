"""Moments that were missed: a blocked loop, an app that did not run, a machine that slept, a clock that was set."""

import asyncio
from datetime import timedelta

import pytest
from helpers import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st
from schedule_world import World, only_schedule, ticking

from pynenc_async import Pynenc
from pynenc_async.schedules.clockwork import LONGEST_TIMER
from pynenc_async.testing import run, simulate

virtual = pytest.mark.virtual
EXPECTED = {"skip": [10, 50], "once": [10, 45, 50], "all": [10, 15, 20, 25, 30, 35, 40, 45, 50]}
MISSED = {"skip": 7, "once": 6, "all": 0}


def every_five(misfire, **options):
    return ticking(lambda app: app.every(5, misfire=misfire, overlap="allow", **options))


def check(app, ran, misfire):
    assert ran == EXPECTED[misfire]
    assert only_schedule(app).missed == MISSED[misfire]
    assert only_schedule(app).fired == len(ran)


@virtual
@pytest.mark.parametrize("misfire", EXPECTED)
async def test_the_loop_was_blocked(misfire, caplog):
    world = World()
    app, ran = every_five(misfire)
    await asyncio.sleep(6)
    async with app:
        await asyncio.sleep(6)
        world.block(35)  # from 12 to 47
        await asyncio.sleep(4)
    check(app, ran, misfire)
    assert (f"has missed {MISSED[misfire]} of its moments" in caplog.text) is (misfire != "all")


@virtual
@pytest.mark.parametrize("misfire", EXPECTED)
async def test_the_app_did_not_run(misfire):
    World()
    app, ran = every_five(misfire)
    await asyncio.sleep(6)
    async with app:
        await asyncio.sleep(6)
    await asyncio.sleep(35)
    async with app:
        await asyncio.sleep(4)
    check(app, ran, misfire)


@virtual
@pytest.mark.parametrize("misfire", EXPECTED)
async def test_the_machine_slept(misfire):
    world = World()
    app, ran = every_five(misfire)
    await asyncio.sleep(6)
    async with app:
        await asyncio.sleep(6)
        world.set_clock(33.5)  # the timer for 15 still rings in 3 seconds, and that is 48.5
        await asyncio.sleep(5)
    check(app, ran, misfire)


@pytest.mark.parametrize("misfire", EXPECTED)
def test_an_app_that_goes_on_in_another_loop_knows_what_it_missed(misfire):
    app, ran = every_five(misfire)

    async def first():
        World()
        await asyncio.sleep(6)
        await app.start()
        await asyncio.sleep(6)

    async def second():
        world = World()
        world.set_clock(47)
        app._clockwork._world = asyncio.get_running_loop()  # as if this were the same world
        async with app:
            await asyncio.sleep(4)

    run(first)
    run(second)
    check(app, ran, misfire)


def test_another_simulated_world_is_another_time():
    app, ran = ticking(lambda app: app.every(60, misfire="all"))

    async def main():
        World()
        async with app:
            await asyncio.sleep(130)

    for _ in range(3):
        simulate(main)
    assert ran == [60, 120] * 3


@virtual
@pytest.mark.parametrize("misfire", EXPECTED)
async def test_what_passes_before_the_first_start_is_not_missed(misfire):
    World()
    app, ran = every_five(misfire)
    await asyncio.sleep(1_000)
    async with app:
        await asyncio.sleep(6)
    assert ran == [1_005]
    assert only_schedule(app).missed == 0


@virtual
async def test_a_late_timer_within_the_grace_is_in_time():
    world = World()
    app, ran = every_five("skip", misfire_grace=timedelta(seconds=2))
    async with app:
        await asyncio.sleep(4)
        world.block(2.9)
        await asyncio.sleep(2)
        world.block(3.2)
        await asyncio.sleep(1)
    assert ran == [5]
    assert only_schedule(app).missed == 1


@virtual
@pytest.mark.parametrize("misfire", EXPECTED)
async def test_a_century_of_sleep_is_made_up_for_within_bounds(misfire, caplog):
    world = World()
    app, ran = ticking(lambda app: app.cron("* * * * *", misfire=misfire, overlap="allow"))
    async with app:
        await asyncio.sleep(61)
        world.set_clock(3_155_760_030)
        await asyncio.sleep(60)
    assert len(ran) == {"skip": 1, "once": 2, "all": 101}[misfire]
    if misfire != "all":
        assert "has missed more than " in caplog.text


@virtual
async def test_a_machine_that_wakes_up_notices_within_ten_minutes():
    world, at = World(), []
    app = Pynenc()

    @app.cron("0 12 * * *")
    async def noon():
        at.append(world.elapsed())

    async with app:
        await asyncio.sleep(3_600)
        world.set_clock(10 * 3_600 + 1_800)  # from 1:00 to 11:30: the timer for noon would ring at 22:30
        await asyncio.sleep(7_200)
    assert 12 * 3_600 <= at[0] <= 12 * 3_600 + 600
    assert len(at) == 1


@virtual
@pytest.mark.parametrize("misfire", EXPECTED)
async def test_a_clock_set_back_by_an_hour_repeats_nothing(misfire):
    world = World()
    app, ran = ticking(lambda app: app.every(600, misfire=misfire))
    async with app:
        await asyncio.sleep(3_660)
        world.set_clock(-3_600)
        await asyncio.sleep(3_600 + 600)
    assert ran == [600, 1_200, 1_800, 2_400, 3_000, 3_600, 4_200]
    assert only_schedule(app).missed == 0


@virtual
@pytest.mark.parametrize(
    ("misfire", "made_up"), [("skip", []), ("once", [3_600]), ("all", [600 * n for n in range(2, 7)])]
)
async def test_a_clock_set_forward_by_an_hour_is_one_miss(misfire, made_up):
    world = World()
    app, ran = ticking(lambda app: app.every(600, misfire=misfire))
    async with app:
        await asyncio.sleep(660)
        world.set_clock(3_000)  # now 3660; the timer for 1200 rings at 4200
        await asyncio.sleep(540 + 60)
        assert ran[0] == 600
        on_time = [moment for moment in ran[1:] if moment not in made_up]
        assert on_time == [4_200]
        assert [moment for moment in ran[1:] if moment in made_up] == (made_up if misfire == "all" else [])
    assert ran == sorted(set(ran))


@virtual
async def test_a_clock_that_was_wrong_by_a_year_is_followed():
    world = World()
    world.set_clock(365 * 86_400)
    app, ran = ticking(lambda app: app.every(600))
    async with app:
        await asyncio.sleep(660)
        world.set_clock(-365 * 86_400)
        await asyncio.sleep(1_300)  # noticed when the timer rings, at 1200
    assert ran == [365 * 86_400 + 600, 1_800]


@virtual
async def test_a_clock_that_jumps_about_causes_no_storm():
    world = World()
    app, ran = ticking(lambda app: app.every(60))
    async with app:
        for jump in (3_600, -3_600, 7_200, -7_200, 1_800, -1_800) * 20:
            world.set_clock(jump)
            await asyncio.sleep(61)
    assert ran == sorted(set(ran))
    assert len(ran) <= 2 * 120


# -- any course of things ----------------------------------------------------------------------------------------------

EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("sleep"), st.floats(0.1, 90)),
        st.tuples(st.just("block"), st.floats(0.1, 200)),
        st.tuples(st.just("clock"), st.sampled_from([150.0, 60.0, -60.0, -3_600.0])),
        st.tuples(st.just("restart"), st.floats(0, 300)),
    ),
    max_size=15,
)


@pytest.mark.slow
@settings(max_examples=examples(40), deadline=None)
@given(EVENTS, st.sampled_from(list(EXPECTED)), st.integers(0, 3))
@example([("block", 200.0), ("clock", -3_600.0), ("restart", 100.0)], "all", 0)
def test_no_moment_is_lost_or_run_twice_whatever_happens(events, misfire, seed):
    async def main():
        world = World()
        app, ran = ticking(lambda app: app.every(30, misfire=misfire, overlap="allow"), lasts=7)
        highest = 0.0
        await app.start()
        for kind, amount in events:
            if kind == "sleep":
                await asyncio.sleep(amount)
            elif kind == "block":
                world.block(amount)
            elif kind == "clock":
                await asyncio.sleep(1)
                world.set_clock(max(amount, highest - 10_000 - world.elapsed()))  # or else it was wrong before
            else:
                await app.drain()
                await asyncio.sleep(amount)
                await app.start()
            highest = max(highest, world.elapsed())
        # Until the clock is where it was at its highest, and the timer has rung: what was missed has been made up for.
        await asyncio.sleep(max(0.0, highest - world.elapsed()) + LONGEST_TIMER + 45)
        await app.drain()
        return ran, only_schedule(app), max(highest, world.elapsed())

    ran, schedule, end = simulate(main, seed=seed).value
    moments = [30.0 * n for n in range(1, int(end // 30) + 1)]
    assert len(ran) == len(set(ran))
    assert set(ran) <= set(moments)
    assert len(moments) - 1 <= len(ran) + schedule.missed <= len(moments)
    if misfire == "all":
        assert sorted(ran) == moments[: len(ran)]
