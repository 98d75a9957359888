"""Schedules that fire in time: when, with what, from when to when."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from helpers import S, assert_at_rest, assert_lawful, statuses
from schedule_world import BEGIN, World, only_schedule, ticking

from pynenc_async import Fire, Pynenc, PynencError, current_fire
from pynenc_async.testing import simulate

pytestmark = pytest.mark.virtual

DAY = 86_400


# -- when --------------------------------------------------------------------------------------------------------------


async def test_it_fires_at_its_moments_and_at_no_other_time():
    world, at = World(), []
    app = Pynenc()

    @app.cron("*/5 * * * *")
    async def tick():
        at.append((world.elapsed(), current_fire()))

    async with app:
        await asyncio.sleep(1_000)
    name = f"{tick.task_id} */5 * * * * UTC"
    assert at == [(seconds, Fire(name, BEGIN + timedelta(seconds=seconds))) for seconds in (300, 600, 900)]
    assert at[0][1].at == BEGIN + timedelta(seconds=300)
    (last,) = app.invocations(task=tick)[-1:]
    assert_lawful(last)
    assert statuses(last) == [S.REGISTERED, S.PENDING, S.RUNNING, S.SUCCESS]
    await assert_at_rest(app)


@pytest.mark.parametrize("interval", [7.5, timedelta(seconds=7.5)])
async def test_intervals_count_from_the_epoch_whenever_the_app_starts(interval):
    World()
    app, ran = ticking(lambda app: app.every(interval))
    await asyncio.sleep(4)
    async with app:
        await asyncio.sleep(20)
    assert ran == [7.5, 15, 22.5]


async def test_intervals_count_from_start():
    World()
    app, ran = ticking(lambda app: app.every(10, start=BEGIN + timedelta(seconds=33)))
    async with app:
        await asyncio.sleep(60)
    assert ran == [33, 43, 53]


async def test_a_run_knows_its_moment_in_the_time_zone_of_its_schedule():
    World(datetime(2025, 6, 30, 20, tzinfo=UTC))
    app, fires = Pynenc(), []

    @app.cron("@daily", tz="Europe/Berlin", name="nightly")
    async def nightly():
        fires.append(current_fire())

    async with app:
        await asyncio.sleep(DAY)
    (fire,) = fires
    assert fire == Fire("nightly", datetime(2025, 6, 30, 22, tzinfo=UTC))
    assert (fire.moment.date().isoformat(), fire.moment.hour, fire.at.hour) == ("2025-07-01", 0, 22)


async def test_nothing_fires_after_the_end():
    World()
    app, ran = ticking(lambda app: app.every(10, end=BEGIN + timedelta(seconds=30)))
    async with app:
        await asyncio.sleep(100)
        assert only_schedule(app).next_fire is None
    assert ran == [10, 20, 30]


@pytest.mark.slow
async def test_a_year_passes_in_a_moment_with_each_day_fired_once():
    World(datetime(2024, 12, 31, 20, tzinfo=UTC))
    zone, days = ZoneInfo("Europe/Berlin"), []
    app = Pynenc()

    @app.cron("30 2 * * *", tz="Europe/Berlin")
    async def nightly():
        days.append(current_fire().at.astimezone(zone))

    async with app:
        await asyncio.sleep(365 * DAY)
    assert len(days) == len({day.date() for day in days}) == 365
    odd = [day.isoformat() for day in days if (day.hour, day.minute) != (2, 30)]
    assert odd == ["2025-03-30T03:00:00+02:00"]


@pytest.mark.parametrize(
    ("zone", "day", "expression", "expected"),
    [
        ("Europe/Berlin", "2025-03-30", "30 2 * * *", ["03:00+0200"]),
        ("Europe/Berlin", "2025-03-30", "*/30 1-3 * * *", ["01:00+0100", "01:30+0100", "03:00+0200", "03:30+0200"]),
        ("Europe/Berlin", "2025-10-26", "30 2 * * *", ["02:30+0200"]),
        ("Europe/Berlin", "2025-10-26", "*/30 2 * * *", ["02:00+0200", "02:30+0200", "02:00+0100", "02:30+0100"]),
        ("America/New_York", "2025-03-09", "30 2 * * *", ["03:00-0400"]),
        ("America/New_York", "2025-11-02", "15 1 * * *", ["01:15-0400"]),
        ("America/New_York", "2025-11-02", "0 */2 * * *", [f"{h:02}:00-0{4 + (h > 1)}00" for h in range(0, 24, 2)]),
    ],
)  # fmt: skip
async def test_a_day_on_which_clocks_change(zone, day, expression, expected):
    begin = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone))
    end = begin + timedelta(days=1)  # of the clock on the wall
    world, ran = World(begin - timedelta(minutes=1)), []
    app = Pynenc()

    @app.cron(expression, tz=zone)
    async def tick():
        now = datetime.fromtimestamp(world.now(), begin.tzinfo)
        assert abs(now - current_fire().at) < timedelta(milliseconds=1)
        ran.append(now.strftime("%H:%M%z"))

    async with app:
        await asyncio.sleep(end.timestamp() - world.now() - 1)
    assert ran == expected


@pytest.mark.slow
def test_two_days_under_a_seed_are_the_same_each_time():
    async def main():
        World()
        app, ran = ticking(lambda app: app.cron("*/10 * * * *", jitter=60), lasts=30)
        at = []
        async with app:
            app.observe(lambda event: at.append(event.timestamp))
            await asyncio.sleep(2 * DAY)
        return ran, at

    one, two, other = simulate(main, seed=1).value, simulate(main, seed=1).value, simulate(main, seed=2).value
    assert one == two
    assert one[0] == other[0] == [600 * n for n in range(1, 288)]
    assert one[1] != other[1]


async def test_jitter_puts_each_fire_off_by_an_amount_of_its_own():
    world, delays = World(), []
    app = Pynenc()

    @app.every(60, jitter=timedelta(seconds=20))
    async def tick():
        delays.append(world.now() - current_fire().moment.timestamp())

    async with app:
        await asyncio.sleep(60 * 50)
    assert len(delays) == 49
    assert all(0 <= delay <= 20 for delay in delays)
    assert len({round(delay, 3) for delay in delays}) > 40


# -- from when to when -------------------------------------------------------------------------------------------------


async def test_nothing_fires_before_the_app_has_started_nor_after_it_drains():
    World()
    app, ran = ticking(lambda app: app.every(10))
    schedule = only_schedule(app)

    @app.task
    async def work():
        return 1

    await asyncio.sleep(25)
    assert await work() == 1, "a call starts the app, and no schedule"
    await asyncio.sleep(25)
    assert (ran, schedule.next_fire) == ([], None)
    async with app:
        await asyncio.sleep(15)
    assert (ran, schedule.next_fire) == ([60], None)
    await asyncio.sleep(100)
    assert ran == [60]
    await assert_at_rest(app)


async def test_a_drain_stops_schedules_at_once_and_a_start_goes_on():
    World()
    app, ran = ticking(lambda app: app.every(10, misfire="skip"), lasts=25)
    await app.start()
    await app.start()
    await asyncio.sleep(11)
    assert await app.drain() is True  # the run of 10 has ended at 35
    assert ran == [10]
    await app.start()
    await asyncio.sleep(6)
    assert ran == [10, 40]
    await app.shutdown()
    await assert_at_rest(app)


async def test_a_drain_that_is_refused_stops_nothing():
    World()
    app, ran = ticking(lambda app: app.every(10))

    @app.task
    async def work():
        await app.drain()

    async with app:
        with pytest.raises(PynencError, match="outside of bodies"):
            await work()
        await asyncio.sleep(25)
    assert ran == [10, 20]


async def test_a_schedule_that_is_added_while_the_app_runs_fires():
    World()
    app, ran = Pynenc(), []

    @app.task
    async def tick(name):
        ran.append(name)

    async with app:
        await asyncio.sleep(5)
        app.every(10, args=("late",))(tick)
        await asyncio.sleep(10)
        await asyncio.to_thread(lambda: app.every(6, args=("from a thread",), name="other")(tick))
        await asyncio.sleep(6)
    assert ran == ["late", "from a thread", "late"]


# -- what runs ---------------------------------------------------------------------------------------------------------


async def test_what_it_runs_belongs_to_nobody():
    World()
    app, seen = Pynenc(), []

    @app.every(10)
    async def scheduled():
        await child()

    @app.task
    async def child():
        seen.append(current_fire())

    @app.task
    async def outer():
        app.every(4, name="inner")(scheduled)  # sets the timer
        await app.start()
        await asyncio.sleep(15)

    async with app:
        await outer()
        invocations = app.invocations(task=scheduled)
    assert len(invocations) == 4
    assert {invocation.parent_invocation_id for invocation in invocations} == {None}
    assert set(seen) == {None}, "what a run calls is no fire itself"


async def test_options_of_the_task_hold_and_a_retry_runs_for_the_same_moment():
    World()
    app, fires = Pynenc(), []

    @app.every(60, max_retries=2, retry_delay=5)
    async def flaky():
        fires.append(current_fire().moment)
        if len(fires) < 3:
            raise OSError

    async with app:
        await asyncio.sleep(75)
        (invocation,) = app.invocations(task=flaky)
    assert invocation.num_retries == 2
    assert len(fires) == 3
    assert len(set(fires)) == 1


async def test_a_run_in_a_thread_knows_its_fire_and_a_call_has_none():
    World()
    app, fires = Pynenc(), []

    @app.every(60)
    def work():
        fires.append(current_fire())

    async with app:
        await asyncio.sleep(61)
        await work()
    assert [fire and fire.schedule for fire in fires] == [f"{work.task_id} every 60 s", None]
    assert current_fire() is None


async def test_a_stream_nobody_reads_ends():
    World()
    app, items = Pynenc(), []

    @app.every(60, overlap="allow")
    async def count():
        for n in range(3_000):
            yield n
            items.append(n)

    async with app:
        await asyncio.sleep(61)
    assert len(items) == 3_000


async def test_a_failure_is_logged_when_it_ends_and_the_next_fire_comes(caplog):
    World()
    app = Pynenc()

    @app.every(10)
    async def broken():
        raise ValueError("no")

    async with app:
        await asyncio.sleep(11)
        assert caplog.text.count("nobody looked at the error") == 1
        await asyncio.sleep(10)
        assert caplog.text.count("nobody looked at the error") == 2
    assert only_schedule(app).fired == 2


async def test_a_call_that_is_refused_is_logged_and_the_next_fire_comes(caplog):
    World()
    app, gate = Pynenc(max_concurrency=1, max_queued=1), asyncio.Event()

    @app.task
    async def hold():
        await gate.wait()

    @app.every(10)
    async def tick():
        return 1

    async with app:
        hold()
        await asyncio.sleep(1)
        hold()
        await asyncio.sleep(11)
        assert "could not call its task for 2025-01-01T00:00:10+00:00: " in caplog.text
        gate.set()
        await asyncio.sleep(10)
        (invocation,) = app.invocations(task=tick)
        assert invocation.status is S.SUCCESS
    schedule = only_schedule(app)
    assert (schedule.fired, schedule.passed) == (1, 1)


async def test_a_duplicate_stands_for_the_run():
    World()
    app, gate = Pynenc(), asyncio.Event()

    @app.every(10, registration_concurrency="task", unique_until="finished")
    async def once():
        await gate.wait()

    async with app:
        by_hand = once()
        await asyncio.sleep(35)
        schedule = only_schedule(app)
        assert (schedule.fired, schedule.passed) == (1, 2)
        assert schedule.last_invocation_id == by_hand.invocation_id
        gate.set()
        await asyncio.sleep(10)
        assert schedule.fired == 2


async def test_a_timetable_that_breaks_pauses_its_schedule_and_no_other(caplog):
    World()
    app, ran = ticking(lambda app: app.every(10))

    class Broken:
        label, zone = "broken", UTC

        def moments(self, after):
            yield BEGIN.timestamp() + 10
            raise RuntimeError("no more")

    @app.every(15, name="broken")
    async def other():
        pass

    object.__setattr__(app.schedules["broken"].spec, "timetable", Broken())
    async with app:
        await asyncio.sleep(25)
    assert ran == [10, 20]
    assert app.schedules["broken"].is_paused
    assert "'broken' is paused" in caplog.text


# -- handles -----------------------------------------------------------------------------------------------------------


async def test_a_handle_tells_what_was_and_what_comes():
    World()
    app, _ = ticking(lambda app: app.cron("*/5 * * * *", tz="Europe/Berlin", name="five"))
    schedule = app.schedules["five"]
    berlin = ZoneInfo("Europe/Berlin")
    assert (schedule.name, schedule.next_fire, schedule.last_fire) == ("five", None, None)
    expected = [datetime(2025, 1, 1, 1, minute, tzinfo=berlin) for minute in (5, 10, 15)]
    assert schedule.upcoming(3, after=BEGIN) == expected
    async with app:
        assert schedule.upcoming(3) == expected
        assert schedule.next_fire == expected[0]
        assert schedule.next_fire.tzinfo is berlin
        assert repr(schedule) == "<Schedule 'five', next at 2025-01-01T01:05:00+01:00>"
        await asyncio.sleep(301)
        assert (schedule.last_fire, schedule.next_fire) == tuple(expected[:2])
        assert app.get_invocation(schedule.last_invocation_id).status is S.SUCCESS
        assert schedule.task.task_id == app.get_invocation(schedule.last_invocation_id).task.task_id
    assert repr(schedule) == "<Schedule 'five', active>"
    assert (schedule.fired, schedule.missed, schedule.passed) == (1, 0, 0)


async def test_pause_and_resume():
    World()
    app, ran = ticking(lambda app: app.every(10, misfire="all"))
    schedule = only_schedule(app)
    schedule.pause()
    async with app:
        await asyncio.sleep(25)
        assert (ran, schedule.next_fire, schedule.is_paused) == ([], None, True)
        schedule.resume()
        schedule.resume()
        await asyncio.sleep(10)
        assert ran == [30], "what has passed was not wanted"
        schedule.pause()
        schedule.pause()
        await asyncio.sleep(20)
        schedule.resume()
        await asyncio.sleep(10)
    assert ran == [30, 60]
    assert schedule.missed == 0


async def test_remove():
    World()
    app, ran = ticking(lambda app: app.every(10), lasts=5)
    async with app:
        schedule = only_schedule(app)
        await asyncio.sleep(11)
        await asyncio.to_thread(schedule.remove)
        assert app.schedules == {}
        await asyncio.sleep(50)
        for method in (schedule.pause, schedule.resume, schedule.remove):
            with pytest.raises(PynencError, match="was removed"):
                method()
    assert ran == [10]
    assert repr(schedule).endswith("removed>")
    assert {invocation.status for invocation in app.invocations()} == {S.SUCCESS}


async def test_a_paused_schedule_leaves_no_timer_behind():
    World()
    app, _ = ticking(lambda app: app.every(10))
    async with app:
        schedule = only_schedule(app)
        for _ in range(1_000):
            schedule.pause()
            schedule.resume()
        assert len(app._dispatcher.scheduler.agenda) < 200


async def test_a_schedule_can_pause_itself():
    World()
    app, ran = Pynenc(), []

    @app.every(10, name="thrice")
    async def tick():
        ran.append(1)
        if len(ran) == 3:
            app.schedules["thrice"].remove()

    async with app:
        await asyncio.sleep(100)
    assert len(ran) == 3


@pytest.mark.slow
def test_log_is_quiet_when_all_is_well(caplog):
    async def main():
        World()
        app, ran = ticking(lambda app: app.every(1))
        async with app:
            await asyncio.sleep(3_600)
        return len(ran)

    caplog.set_level(logging.INFO)
    assert simulate(main).value >= 3_599
    assert caplog.text == ""
