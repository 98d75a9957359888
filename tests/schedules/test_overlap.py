"""What happens at a moment at which the previous run lives."""

import asyncio

import pytest
from helpers import Gauge, S, assert_at_rest, examples
from hypothesis import given, settings
from hypothesis import strategies as st
from schedule_world import BEGIN, World, only_schedule, ticking

from pynenc_async import Overlap, Pynenc, current_fire
from pynenc_async.testing import run, simulate

virtual = pytest.mark.virtual


@virtual
@pytest.mark.parametrize(
    ("overlap", "expected", "passed"),
    [
        ("skip", [(10, 10), (40, 40)], 4),
        ("queue", [(10, 10), (20, 34), (40, 58)], 2),
        ("allow", [(10, 10), (20, 20), (30, 30), (40, 40), (50, 50), (60, 60)], 0),
    ],
)
async def test_a_run_takes_longer_than_the_interval(overlap, expected, passed):
    world, ran = World(), []
    app = Pynenc()

    @app.every(10, overlap=overlap)
    async def slow():
        ran.append(((current_fire().moment - BEGIN).total_seconds(), world.elapsed()))
        await asyncio.sleep(24)

    async with app:
        await asyncio.sleep(61)
        assert ran == expected
        assert only_schedule(app).passed == passed
    await assert_at_rest(app)


@virtual
async def test_no_overlap_unless_asked():
    World()
    app, gauge = Pynenc(), Gauge()

    @app.every(1)
    async def slow():
        with gauge:
            await asyncio.sleep(2.5)

    async with app:
        await asyncio.sleep(100)
    assert gauge.peak == 1
    assert only_schedule(app).fired == 34


@virtual
async def test_only_runs_of_the_same_schedule_count():
    World()
    app, ran = Pynenc(), []

    @app.task
    async def slow(name):
        ran.append(name)
        await asyncio.sleep(25)

    app.every(10, args=("a",), name="a")(slow)
    app.every(10, args=("b",), name="b")(slow)
    async with app:
        slow("by hand")
        await asyncio.sleep(11)
        assert sorted(ran) == ["a", "b", "by hand"]


@virtual
async def test_a_run_that_waits_for_a_retry_or_a_slot_lives():
    World()
    app, attempts = Pynenc(max_concurrency=1), []

    @app.every(10, max_retries=1, retry_delay=15)
    async def flaky():
        attempts.append((current_fire().moment - BEGIN).total_seconds())
        if len(attempts) == 1:
            raise OSError

    async with app:
        await asyncio.sleep(31)
        assert attempts == [10, 10, 30]
        assert only_schedule(app).passed == 1


@virtual
@pytest.mark.parametrize("ending", ["cancelled", "failed"])
async def test_however_a_run_ends_what_waits_begins(ending, caplog):
    world = World()
    app, ran = Pynenc(), []

    @app.every(10, overlap="queue")
    async def work():
        ran.append(((current_fire().moment - BEGIN).total_seconds(), world.elapsed()))
        await asyncio.sleep(15)
        raise ValueError

    async with app:
        await asyncio.sleep(22)
        if ending == "cancelled":
            await app.get_invocation(only_schedule(app).last_invocation_id).cancel()
        await asyncio.sleep(4)
        assert ran == [(10, 10), (20, 22 if ending == "cancelled" else 25)]


@virtual
async def test_missed_fires_follow_one_by_one():
    world, gauge = World(), Gauge()
    app, ran = Pynenc(), []

    @app.every(10, misfire="all")
    async def work():
        with gauge:
            ran.append((current_fire().moment - BEGIN).total_seconds())
            await asyncio.sleep(1)

    async with app:
        await asyncio.sleep(1)
        world.block(44)
        await asyncio.sleep(6)
    assert ran == [10, 20, 30, 40, 50]
    assert gauge.peak == 1


@virtual
async def test_what_waits_in_line_begins_after_the_next_start():
    world = World()
    app, ran = ticking(lambda app: app.every(100, misfire="all"), lasts=5)
    await app.start()
    world.block(301)
    await asyncio.sleep(1)
    assert await app.drain()
    assert ran == [100]
    await app.start()
    await asyncio.sleep(12)
    assert ran == [100, 200, 300]
    await app.shutdown()


@virtual
async def test_a_pause_drops_what_waits():
    World()
    app, ran = ticking(lambda app: app.every(10, overlap="queue"), lasts=15)
    async with app:
        await asyncio.sleep(21)
        only_schedule(app).pause()
        await asyncio.sleep(20)
        assert ran == [10]


def test_a_run_that_was_lost_with_its_loop_does_not_count():
    app, ran = ticking(lambda app: app.every(10), lasts=1_000)

    async def lose():
        World()
        await app.start()
        await asyncio.sleep(11)

    async def go_on():
        World()
        async with app:
            await asyncio.sleep(11)
            assert ran == [10, 10]
            await app.shutdown(0)

    run(lose)
    run(go_on)
    assert {invocation.status for invocation in app.invocations()} == {S.CANCELLED}


def test_a_run_that_waits_goes_over_to_the_next_loop_and_its_end_is_heard():
    app, ran = Pynenc(max_concurrency=1), []

    @app.task
    async def hold():
        await asyncio.sleep(1_000)

    @app.every(10, overlap="queue")
    async def work():
        ran.append(((current_fire().moment - BEGIN).total_seconds(), asyncio.get_running_loop().time()))
        await asyncio.sleep(15)

    async def lose():
        World()
        await app.start()
        hold()
        await asyncio.sleep(11)  # the run for 10 waits for the slot

    async def go_on():
        world = World()
        world.set_clock(12)
        app._clockwork._world = asyncio.get_running_loop()  # as if this were the same world
        async with app:
            await asyncio.sleep(17)

    run(lose)
    run(go_on)
    assert ran == [(10, 0), (20, 15)]


@pytest.mark.slow
@settings(max_examples=examples(40), deadline=None)
@given(
    st.lists(st.floats(0, 35), min_size=1, max_size=30),
    st.sampled_from(list(Overlap)),
    st.integers(0, 3),
)
def test_runs_of_any_length(lengths, overlap, seed):
    gauge, ran = Gauge(), []

    async def main():
        world = World()
        app = Pynenc()

        @app.every(10, overlap=overlap)
        async def work():
            with gauge:
                ran.append(((current_fire().moment - BEGIN).total_seconds(), world.elapsed()))
                await asyncio.sleep(lengths[len(ran) % len(lengths)])

        async with app:
            await asyncio.sleep(305)
        return only_schedule(app)

    schedule = simulate(main, seed=seed).value
    fired = [moment for moment, _ in ran]
    assert fired == sorted(set(fired))
    assert schedule.missed == 0
    waiting = len(schedule._line)
    assert schedule.fired == len(ran)
    assert schedule.fired + schedule.passed + waiting == 30
    if overlap is Overlap.ALLOW:
        assert ran == [(10.0 * n, 10.0 * n) for n in range(1, 31)]
        return
    assert gauge.peak == 1
    if overlap is Overlap.SKIP:
        assert all(moment == at for moment, at in ran)
    else:
        assert waiting <= 1
        assert all(moment <= at for moment, at in ran)
