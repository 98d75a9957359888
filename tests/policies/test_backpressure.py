"""A bound on what waits: `max_queued`."""

import asyncio

import pytest
from helpers import Gate, S, assert_at_rest, turns

from pynenc_async import ConcurrencyLimitError, Pynenc, QueueFullError, current_invocation
from pynenc_async.store.memory import MemoryHub, MemoryStore


def build(**options):
    app, gate = Pynenc(max_concurrency=1, **options), Gate()

    @app.task
    async def work(n):
        await gate.wait()
        return n

    return app, gate, work


async def test_one_call_too_many_raises_and_submits_nothing():
    app, gate, work = build(max_queued=2)
    running = work(0)
    await turns(2)
    assert running.status is S.RUNNING
    handles = [work(1), work(2)]
    with pytest.raises(QueueFullError, match="max_queued") as caught:
        work(3)
    assert "work.submit" in str(caught.value)
    assert len(app.invocations()) == 3
    gate.open()
    assert [await handle for handle in (running, *handles)] == [0, 1, 2]
    assert await work(4) == 4
    await assert_at_rest(app)


async def test_submit_waits_for_room_in_the_order_of_asking():
    app, gate, work = build(max_queued=1)
    running, queued = work(0), None
    await turns(2)
    queued = work(1)
    submissions = []
    for n in (2, 3, 4):
        submissions.append(asyncio.ensure_future(work.submit(n)))
        await turns(3)
    assert not any(one.done() for one in submissions)
    gate.open()
    handles = [running, queued, *[await one for one in submissions]]
    assert [await handle for handle in handles] == [0, 1, 2, 3, 4]
    ids = [int(handle.invocation_id.rpartition("-")[2]) for handle in handles]
    assert ids == sorted(ids)
    await assert_at_rest(app)


async def test_who_gives_up_waiting_leaves_its_turn_to_the_next():
    app, gate, work = build(max_queued=1)
    running = work(0)
    await turns(2)
    queued = work(1)
    first, second = asyncio.ensure_future(work.submit(2)), asyncio.ensure_future(work.submit(3))
    await turns(3)
    first.cancel()
    gate.open()
    assert await (await second) == 3
    assert [await running, await queued] == [0, 1]
    assert first.cancelled()
    await assert_at_rest(app)


async def test_wrong_arguments_are_told_before_any_waiting():
    _, gate, work = build(max_queued=1)
    running = work(0)
    await turns(2)
    queued = work(1)
    with pytest.raises(TypeError):
        await work.submit()
    gate.open()
    await running
    await queued


async def test_a_group_that_does_not_fit_is_refused_as_a_whole():
    app, gate, work = build(max_queued=3)
    with pytest.raises(QueueFullError):
        work.parallelize([(n,) for n in range(5)])
    assert app.invocations() == []
    gate.open()
    assert await work.parallelize([(n,) for n in range(3)]) == [0, 1, 2]
    await assert_at_rest(app)


async def test_paused_and_running_ones_do_not_count_as_waiting():
    app = Pynenc(max_queued=1)

    @app.task
    async def child():
        return 1

    @app.task
    async def parent():
        return sum([await child() for _ in range(5)])

    assert await parent() == 5
    await assert_at_rest(app)


async def test_many_producers_never_exceed_the_bound():
    app, most = Pynenc(max_concurrency=2, max_queued=3), 0

    @app.task
    async def work(n):
        nonlocal most
        most = max(most, app._dispatcher.scheduler.waiting)
        await asyncio.sleep(0)
        return n

    async def produce(n):
        return await (await work.submit(n))

    assert await asyncio.gather(*map(produce, range(50))) == list(range(50))
    assert most <= 3
    await assert_at_rest(app)


@pytest.mark.virtual
async def test_a_body_that_waits_for_room_gives_its_slot_to_what_is_in_its_way():
    app = Pynenc(max_concurrency=1, max_queued=1)

    @app.task
    async def child(n):
        return n

    @app.task
    async def parent():
        first = child(1)
        second = await child.submit(2)
        return await first + await second

    assert await parent() == 3
    await assert_at_rest(app)


async def test_who_gives_up_just_when_there_is_room_leaves_it_to_the_next():
    app = Pynenc(max_concurrency=1, max_queued=1)

    @app.task
    async def child(n):
        return n

    @app.task
    async def parent():
        queued = child(1)
        impatient, patient = (asyncio.ensure_future(child.submit(n)) for n in (2, 3))
        await queued
        impatient.cancel()
        return await (await patient)

    assert await parent() == 3
    await app.drain()  # the impatient one may have been quick enough
    await assert_at_rest(app)


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_group_that_reads_its_source_submits_as_there_is_room(kind):
    app, most = Pynenc(max_concurrency=2, max_queued=3), 0

    @app.task
    async def work(n):
        nonlocal most
        most = max(most, app._dispatcher.scheduler.waiting)
        await asyncio.sleep(0)
        return n

    async def source():
        for n in range(40):
            yield (n,)

    params = source() if kind == "async" else ((n,) for n in range(40))
    others = [asyncio.ensure_future(work.submit(-1 - n)) for n in range(10)]
    assert sorted([result async for result in work.parallelize(params)]) == list(range(40))
    assert sorted([await (await one) for one in others]) == list(range(-10, 0))
    assert 0 < most <= 3
    await assert_at_rest(app)


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_what_such_a_group_submits_is_its_own_whoever_made_the_room(kind):
    app, parents = Pynenc(max_concurrency=1, max_queued=1), []

    @app.task
    async def work(n):
        parents.append(current_invocation().parent_invocation_id)
        work_of_others.append(await other.submit())
        return n

    @app.task
    async def other():
        pass

    async def source():
        for n in range(10):
            yield (n,)

    work_of_others = []
    group = work.parallelize(source() if kind == "async" else ((n,) for n in range(10)))
    assert sorted([result async for result in group]) == list(range(10))
    assert parents == [None] * 10
    for one in work_of_others:
        await one
    await assert_at_rest(app)


async def test_a_group_that_is_left_passes_its_turn_on():
    app, gate, work = build(max_queued=1)
    running = work(0)
    await turns(2)
    group = work.parallelize((n,) for n in range(1, 10))
    last = asyncio.ensure_future(work.submit(99))
    await turns(3)
    assert len(group) == 1
    cancelled = asyncio.ensure_future(group.cancel())
    await turns(3)
    gate.open()
    assert await (await last) == 99
    await running
    await cancelled
    await assert_at_rest(app)


def new_stored_app(**options):
    hub = MemoryHub()
    return Pynenc(store=lambda: MemoryStore(hub), **options)


async def results_of(params, task):
    return [result async for result in task.parallelize(params)]


async def one_by_one():
    for n in (5, 6):
        yield (n,)


ASKERS = {
    "submit": lambda task: task.submit(5),
    "group": lambda task: results_of(((n,) for n in (5, 6)), task),
    "async group": lambda task: results_of(one_by_one(), task),
}


@pytest.mark.parametrize("new_app", [Pynenc, new_stored_app])
@pytest.mark.parametrize("asker", ASKERS)
@pytest.mark.parametrize(
    "waits", [{"delay": 1_000}, {"running_concurrency": "task"}, {}], ids=["delay", "limit", "slot"]
)
async def test_what_is_cancelled_before_it_begins_makes_room(new_app, asker, waits):
    async with new_app(max_concurrency=None if waits else 1, max_queued=2) as app:
        gate = Gate()

        @app.task
        async def work(n):
            await gate.wait()
            return n

        running = work.with_options(running_concurrency=waits.get("running_concurrency", "disabled"))(0)
        while running.status is not S.RUNNING:
            await asyncio.sleep(0)
        held = [work.with_options(**waits)(n) for n in (1, 2)]
        asking = asyncio.ensure_future(ASKERS[asker](work))
        await turns(5)
        before = len(app.invocations())
        for handle in held:
            await handle.cancel()
        while len(app.invocations()) == before:
            await asyncio.sleep(0)
        gate.open()
        await running
        found = await asking
        assert sorted(found) == [5, 6] if isinstance(found, list) else await found == 5
        await assert_at_rest(app)


@pytest.mark.parametrize("on_duplicate", ["reuse", "raise", "skip", "replace"])
async def test_a_duplicate_needs_no_room(on_duplicate):
    app, gate, work = build(max_queued=1)
    running = work(0)
    await turns(2)

    @app.task(registration_concurrency="task", on_duplicate=on_duplicate)
    async def unique(n):
        return n

    first = unique(1)
    if on_duplicate == "raise":
        with pytest.raises(ConcurrencyLimitError):
            unique(2)
    else:
        second = unique(2)
        assert (second == first) == (on_duplicate == "reuse")
    with pytest.raises(QueueFullError):
        work(3)
    gate.open()
    await running
    await first.wait()
    await turns(3)
    await assert_at_rest(app)


async def test_a_duplicate_that_would_replace_a_running_one_and_finds_no_room_replaces_nothing():
    app, gate = Pynenc(max_concurrency=1, max_queued=1), Gate()

    @app.task(registration_concurrency="task", on_duplicate="replace", unique_until="finished")
    async def unique(n):
        await gate.wait()
        return n

    @app.task
    async def other():
        pass

    first = unique(1)
    await turns(2)
    queued = other()
    with pytest.raises(QueueFullError):
        unique(2)
    gate.open()
    assert await first == 1
    await queued
    await assert_at_rest(app)


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "many", True])
def test_a_wrong_bound_is_refused(wrong):
    with pytest.raises(Exception, match="max_queued"):
        Pynenc(max_queued=wrong)
