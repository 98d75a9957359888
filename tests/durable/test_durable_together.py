"""Several processes on one store: takeover, limits, unique keys, handles and cancellations across them."""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from helpers import Gauge, S

from pynenc_async import ConcurrencyLimitError, InvocationCancelledError, Rate, ReusedInvocation, StreamTruncatedError

pytestmark = pytest.mark.virtual


def with_tasks(app, gauge=None):
    gauge = gauge or Gauge()

    @app.task
    async def slow(x: int) -> int:
        await asyncio.sleep(10)
        return x

    @app.task(running_concurrency="keys", key_arguments="key", running_limit=2, running_total=3)
    async def limited(key: str) -> None:
        with gauge:
            await asyncio.sleep(1)

    @app.task(rate_limit=Rate(1, per=1.0))
    async def rated() -> float:
        return asyncio.get_running_loop().time()

    @app.task(registration_concurrency="arguments", unique_until="finished")
    async def unique(x: int) -> int:
        await asyncio.sleep(5)
        return x

    @app.task(registration_concurrency="task", unique_until="finished", on_duplicate="replace")
    async def latest(x: int) -> int:
        await asyncio.sleep(5)
        return x

    @app.task(registration_concurrency="task", unique_until="finished", on_duplicate="raise")
    async def only_one() -> None:
        await asyncio.sleep(5)

    class Tasks:
        pass

    tasks = Tasks()
    for task in (slow, limited, rated, unique, latest, only_one):
        setattr(tasks, task.__name__, task)
    return tasks


async def test_a_handle_restored_in_another_process_wakes_with_the_end(world):
    one, other = world.app(), world.app()
    tasks, _ = with_tasks(one), with_tasks(other)
    async with one, other:
        handle = tasks.slow(7)
        await handle.accepted()
        loop = asyncio.get_running_loop()
        began = loop.time()
        from_json = other.get_invocation(handle.invocation_id)
        assert from_json is not handle
        assert await from_json == 7
        assert loop.time() - began == pytest.approx(10, abs=0.01)
        assert [entry.status for entry in from_json.history] == [entry.status for entry in handle.history]


async def test_the_status_of_what_another_process_has_is_that_of_the_store(world):
    one, other = world.app(), world.app()
    tasks, _ = with_tasks(one), with_tasks(other)
    async with one, other:
        handle = tasks.slow(7)
        await handle.accepted()
        watched = other.get_invocation(handle.invocation_id)
        await asyncio.sleep(1)
        assert watched.status is S.RUNNING
        await asyncio.sleep(20)
        assert watched.status is S.SUCCESS
        assert watched.result == 7


async def test_the_items_of_a_stream_are_to_be_had_where_it_runs(world):
    async def stream() -> AsyncIterator[int]:
        await asyncio.sleep(10)
        yield 1

    one, other = world.app(), world.app()
    task, _ = one.task(stream), other.task(stream)
    async with one, other:
        handle = task()
        await handle.accepted()
        with pytest.raises(StreamTruncatedError, match="not stored"):
            other.get_invocation(handle.invocation_id).stream()
        assert [item async for item in handle.stream()] == [1]


async def test_what_a_dead_process_had_is_taken_over_within_the_lease_and_a_tick(world):
    one, other = world.app(lease_seconds=6), world.app(lease_seconds=6)
    tasks, _ = with_tasks(one), with_tasks(other)
    loop = asyncio.get_running_loop()
    async with other:
        await one.start()
        running, queued = tasks.slow(1), tasks.slow.with_options(delay=3)(2)
        await queued.accepted()
        await asyncio.sleep(1)
        world.stores[-1].kill()
        died = loop.time()
        for handle in (running, queued):
            assert await other.get_invocation(handle.invocation_id) == handle.arguments.kwargs["x"]
        assert loop.time() - died < 6 + 6 + 11
        assert S.RUNNING_RECOVERY in world.path(running.invocation_id)
        await one.shutdown(0)


@pytest.mark.parametrize("is_killed", [True, False])
async def test_what_is_left_by_who_dies_noticed_or_shuts_down_is_taken_over_at_once(world, is_killed):
    one, other = world.app(lease_seconds=600), world.app(lease_seconds=600)
    tasks, _ = with_tasks(one), with_tasks(other)
    loop = asyncio.get_running_loop()
    async with other:
        await one.start()
        running = tasks.slow(1)
        await asyncio.sleep(1)
        began = loop.time()
        if is_killed:
            world.stores[-1].kill(is_noticed=True)
        else:
            await one.shutdown(0)
        assert await other.get_invocation(running.invocation_id) == 1
        assert loop.time() - began < 12
        await one.shutdown(0)


async def test_a_process_that_was_held_dead_writes_nothing_more_and_watches(world):
    one, other = world.app(lease_seconds=6), world.app(lease_seconds=6)
    tasks, _ = with_tasks(one), with_tasks(other)
    async with one:
        handle = tasks.slow(1)
        while handle.status is not S.RUNNING:
            await asyncio.sleep(0)
        world.stores[0].stall()
        await asyncio.sleep(7)
        async with other:
            await asyncio.sleep(6)
            assert await handle == 1
            assert await tasks.slow(2) == 2
    steps = world.hub.tables.histories[handle.invocation_id]
    assert [step.status for step in steps].count(S.SUCCESS) == 1
    assert steps[-1].runner_id != steps[0].runner_id


async def test_limits_hold_across_processes_and_nobody_waits_for_ever(world):
    gauge = Gauge()
    apps = [world.app() for _ in range(3)]
    tasks = [with_tasks(app, gauge) for app in apps]
    async with apps[0], apps[1], apps[2]:
        handles = [one.limited(key) for one in tasks for key in ("a", "b") for _ in range(4)]
        for handle in handles:
            await handle
    assert gauge.peak == 3
    assert all(row.status is S.SUCCESS for row in world.rows())


async def test_a_key_is_limited_across_processes(world):
    gauge = Gauge()
    apps = [world.app() for _ in range(2)]
    tasks = [with_tasks(app, gauge) for app in apps]
    async with apps[0], apps[1]:
        handles = [one.limited("a") for one in tasks for _ in range(5)]
        for handle in handles:
            await handle
    assert gauge.peak == 2


async def test_rates_hold_across_processes(world):
    apps = [world.app() for _ in range(2)]
    tasks = [with_tasks(app) for app in apps]
    async with apps[0], apps[1]:
        times = sorted([await handle for handle in [one.rated() for one in tasks for _ in range(4)]])
    assert all(later - earlier > 0.99 for earlier, later in pairwise(times))


async def test_a_rate_that_fits_again_before_its_refusal_is_known_holds_nobody_up_for_ever(world):
    apps = [world.app(latency=lambda: 2.0) for _ in range(2)]
    tasks = [with_tasks(app) for app in apps]
    async with apps[0], apps[1], asyncio.timeout(600):
        for handle in [one.rated() for one in tasks for _ in range(4)]:
            await handle


async def test_who_waits_for_the_permit_of_one_that_another_process_keeps_from_starting_goes_on_at_once(world):
    loop, began = asyncio.get_running_loop(), {}

    def with_task(app):
        @app.task(running_total=1, rate_limit=Rate(1, per=60.0, scope="keys"), key_arguments="key")
        async def work(key: str) -> None:
            began.setdefault(key, []).append(loop.time())

        return work

    one, other = world.app(), world.app()
    work, elsewhere = with_task(one), with_task(other)
    async with one, other:
        await elsewhere("a")
        handles = [work("a"), work("b")]
        await handles[1]
        await handles[0]
    assert began["b"][0] - began["a"][0] < 1
    assert began["a"][1] - began["a"][0] == pytest.approx(60, abs=0.1)


async def test_a_use_with_a_lower_limit_holds_up_none_with_a_higher_one_in_another_process_either(world):
    loop, began = asyncio.get_running_loop(), {}

    def with_task(app):
        @app.task(running_concurrency="task", running_limit=3)
        async def work(name: str, seconds: float) -> None:
            began[name] = loop.time()
            await asyncio.sleep(seconds)

        return work

    one, other = world.app(), world.app()
    work, elsewhere = with_task(one), with_task(other)
    async with one, other:
        await elsewhere("first", 10.0).accepted()
        narrow = work.with_options(running_limit=1)("narrow", 1.0)
        await asyncio.sleep(1)
        assert narrow.status is S.CONCURRENCY_CONTROLLED
        await work("wide", 1.0)
        await narrow
    assert began["wide"] - began["first"] == pytest.approx(1, abs=0.1)
    assert began["narrow"] - began["first"] == pytest.approx(10, abs=0.1)


async def test_a_unique_call_of_another_process_is_reused(world):
    one, other = world.app(), world.app()
    tasks, others = with_tasks(one), with_tasks(other)
    async with one, other:
        first = tasks.unique(1)
        await first.accepted()
        second = others.unique(1)
        assert isinstance(second, ReusedInvocation)
        assert second.invocation_id == first.invocation_id
        assert await second == await first == 1
        third = others.unique(1)
        assert third.invocation_id != first.invocation_id
    assert len(world.rows()) == 2


async def test_unique_calls_made_at_the_same_moment_are_one(world):
    one, other = world.app(), world.app()
    tasks, others = with_tasks(one), with_tasks(other)
    async with one, other:
        first, second = tasks.unique(1), others.unique(1)
        await second.accepted()
        assert (await first, await second) == (1, 1)
    assert len(world.rows()) == 1


async def test_a_duplicate_that_must_not_be_raises_also_across_processes(world):
    one, other = world.app(), world.app()
    tasks, others = with_tasks(one), with_tasks(other)
    async with one, other:
        first, second = tasks.only_one(), others.only_one()
        with pytest.raises(ConcurrencyLimitError):
            await second.accepted()
        with pytest.raises(ConcurrencyLimitError):
            await second
        with pytest.raises(ConcurrencyLimitError):
            others.only_one()
        await first
    assert len(world.rows()) == 1


async def test_a_call_that_takes_the_place_of_one_of_another_process_cancels_it(world):
    one, other = world.app(), world.app()
    tasks, others = with_tasks(one), with_tasks(other)
    async with one, other:
        first = tasks.latest(1)
        while first.status is not S.RUNNING:
            await asyncio.sleep(0)
        watched = other.get_invocation(first.invocation_id)
        second = others.latest(2)
        for handle in (first, watched):
            with pytest.raises(InvocationCancelledError, match="replaced by a later call"):
                await handle
        assert await second == 2


@pytest.mark.parametrize("latency", [0.0, 0.01, 0.2])
async def test_of_those_that_replace_one_another_at_the_same_moment_one_is_left(world, latency):
    apps = [world.app(latency=lambda: latency) for _ in range(3)]
    processes = [with_tasks(app) for app in apps]
    async with apps[0], apps[1], apps[2]:
        several = [tasks.latest(number) for number, tasks in enumerate(processes)]
        for one in several:
            await one.wait()
    assert sorted(one.status for one in several) == [S.CANCELLED, S.CANCELLED, S.SUCCESS]


async def test_an_invocation_of_another_process_can_be_cancelled(world):
    one, other = world.app(), world.app()
    tasks, _ = with_tasks(one), with_tasks(other)
    async with one, other:
        handle = tasks.slow(1)
        while handle.status is not S.RUNNING:
            await asyncio.sleep(0)
        assert await other.get_invocation(handle.invocation_id).cancel("from afar") == "stopped"
        assert handle.status is S.CANCELLED
        assert handle.history[-1].reason == "from afar"


async def test_unknown_tasks_are_parked_until_somebody_knows_them(world):
    old, new = world.app(), world.app()
    tasks = with_tasks(old)
    async with old:
        handle = tasks.slow.with_options(delay=100)(3)
        await handle.accepted()
    async with new:
        await asyncio.sleep(200)
        assert world.row(handle.invocation_id).status is S.SCHEDULED
    again = world.app()
    with_tasks(again)
    async with again:
        assert await again.get_invocation(handle.invocation_id) == 3


async def test_arguments_that_no_longer_decode_fail_with_the_field(world):
    def make(annotation):
        app = world.app()

        async def work(x) -> int:
            return 1

        work.__annotations__["x"] = annotation
        return app, app.task(work)

    old, task = make(str)
    async with old:
        handle = task.with_options(delay=10)("text")
        await handle.accepted()
    new, _ = make(int)
    async with new:
        await asyncio.sleep(20)
    row = world.row(handle.invocation_id)
    assert row.status is S.FAILED
    assert b"arguments.x" in row.error


@pytest.mark.slow
async def test_each_fire_of_a_schedule_happens_once_in_all_processes(world):
    fired = []

    def make():
        app = world.app()

        @app.every(60)
        @app.task
        async def tick() -> None:
            fired.append(asyncio.get_running_loop().time())

        return app

    apps = [make() for _ in range(3)]
    async with apps[0], apps[1], apps[2]:
        await asyncio.sleep(600)
    assert len(fired) in (10, 11)
    assert all(later - earlier == pytest.approx(60, abs=0.1) for earlier, later in pairwise(fired))
    assert len(world.rows()) == len(fired)


@pytest.mark.parametrize(("misfire", "made_up_for"), [("skip", 0), ("once", 1), ("all", 5)])
async def test_moments_that_passed_while_nothing_ran_are_made_up_for_as_the_schedule_says(world, misfire, made_up_for):
    fired = []

    def make():
        app = world.app()

        @app.every(60, misfire=misfire, overlap="allow")
        @app.task
        async def tick() -> None:
            fired.append(asyncio.get_running_loop().time())

        return app

    async with make():
        await asyncio.sleep(90)
    before = len(fired)
    await asyncio.sleep(300)
    async with make():
        await asyncio.sleep(1)
        assert len(fired) - before == made_up_for
