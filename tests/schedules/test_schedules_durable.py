"""Schedules of several processes on one store: each moment is run once among them, and what all of them missed is known."""

import asyncio

import pytest
from helpers import Gauge, S, examples
from hypothesis import given, settings
from hypothesis import strategies as st
from schedule_world import BEGIN, World

from pynenc_async import Pynenc, current_fire
from pynenc_async.store.memory import MemoryHub, MemoryStore
from pynenc_async.testing import simulate

virtual = pytest.mark.virtual


def moment():
    return (current_fire().moment - BEGIN).total_seconds()


def process(hub, ran, *, lasts=0.0, interval=10, name="a", **options):
    app = Pynenc(store=lambda: MemoryStore(hub))

    async def tick() -> None:
        ran.append((moment(), name))
        await asyncio.sleep(lasts)

    app.every(interval, **options)(tick)
    return app


@pytest.mark.slow
@virtual
async def test_each_moment_runs_in_one_process():
    World()
    hub, ran = MemoryHub(), []
    one, two, three = (process(hub, ran, name=name, jitter=2) for name in "abc")
    async with one, two, three:
        await asyncio.sleep(500)
    assert sorted(at for at, _ in ran) == [10 * n for n in range(1, 50)]
    assert {name for _, name in ran} == {"a", "b", "c"}
    assert {row.status for row in hub.tables.invocations.values()} == {S.SUCCESS}


@pytest.mark.slow
@virtual
@pytest.mark.parametrize(("overlap", "peak"), [("skip", 1), ("queue", 1), ("allow", 3)])
async def test_no_overlap_unless_asked_across_processes(overlap, peak):
    World()
    hub, gauge = MemoryHub(), Gauge()

    def build():
        app = Pynenc(store=lambda: MemoryStore(hub))

        @app.every(10, overlap=overlap)
        async def tick() -> None:
            with gauge:
                await asyncio.sleep(25)

        return app

    async with build(), build():
        await asyncio.sleep(200)
    assert gauge.peak == peak


@virtual
async def test_a_process_whose_fire_comes_while_another_runs_the_one_before_lets_it_be():
    World()
    hub, ran = MemoryHub(), []
    runs = process(hub, ran, lasts=15, name="runs")
    async with runs:
        await asyncio.sleep(11)
        async with process(hub, ran, lasts=15, name="comes") as comes:
            await asyncio.sleep(10)
            (schedule,) = comes.schedules.values()
            refused = comes.get_invocation(schedule.last_invocation_id)
            assert refused.status is S.CANCELLED
            assert "lives in another process" in refused.history[-1].reason
            await asyncio.sleep(10)
        assert [at for at, _ in ran] == [10, 30]


@virtual
@pytest.mark.parametrize(("misfire", "made_up"), [("skip", []), ("once", [50]), ("all", [20, 30, 40, 50])])
async def test_what_no_process_ran_is_missed_by_the_next_one(misfire, made_up):
    World()
    hub, ran = MemoryHub(), []
    async with process(hub, ran, misfire=misfire):
        await asyncio.sleep(15)
    await asyncio.sleep(40)
    async with process(hub, ran, misfire=misfire, name="b"):
        await asyncio.sleep(10)
    assert ran == [(10, "a"), *((at, "b") for at in made_up), (60, "b")]


@virtual
async def test_who_comes_later_makes_up_for_nothing_that_another_has_run():
    World()
    hub, ran = MemoryHub(), []
    async with process(hub, ran, misfire="all"):
        await asyncio.sleep(35)
        async with process(hub, ran, misfire="all", name="b"):
            await asyncio.sleep(10)
    assert [at for at, _ in ran] == [10, 20, 30, 40]


@pytest.mark.slow
@virtual
async def test_a_run_that_is_taken_over_knows_its_moment():
    World()
    hub, ran = MemoryHub(), []

    def build(name, lasts):
        app = Pynenc(store=lambda: MemoryStore(hub), lease_seconds=5)

        @app.task
        async def tick(number: int) -> None:
            ran.append((name, number, current_fire().schedule, moment()))
            await asyncio.sleep(lasts)

        app.every(3_600, name="hourly", args=(7,), priority=3)(tick)
        return app

    dies, lives = build("dies", 1e6), build("lives", 1)
    await dies.start()
    await asyncio.sleep(3_601)
    await dies.shutdown(0)
    async with lives:
        await asyncio.sleep(60)
        (row,) = hub.tables.invocations.values()
        assert row.status is S.SUCCESS
        assert row.priority == 3
    assert ran == [("dies", 7, "hourly", 3_600), ("lives", 7, "hourly", 3_600)]


@pytest.mark.slow
@settings(max_examples=examples(15), deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.floats(1, 60)), min_size=1, max_size=12),
    st.sampled_from(["once", "all"]),
    st.integers(0, 3),
)
def test_however_processes_come_and_go_no_moment_runs_twice(switches, misfire, seed):
    async def main():
        world = World()
        hub, ran = MemoryHub(), []
        apps = [process(hub, ran, name=name, misfire=misfire, overlap="allow") for name in "abc"]
        up = [True, False, False]
        await apps[0].start()
        await asyncio.sleep(11)
        for number, seconds in switches:
            up[number] = not up[number]
            await (apps[number].start() if up[number] else apps[number].shutdown())
            await asyncio.sleep(seconds)
        if not any(up):
            await apps[0].start()
        await asyncio.sleep(20)
        for app in apps:
            await app.shutdown()
        return [at for at, _ in ran], world.elapsed()

    fired, end = simulate(main, seed=seed).value
    assert len(fired) == len(set(fired))
    if misfire == "all":
        assert sorted(fired) == [10.0 * n for n in range(1, len(fired) + 1)]
        assert end - 20 < max(fired)
