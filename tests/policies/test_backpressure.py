"""A bound on what waits: `max_queued`."""

import asyncio

import pytest
from helpers import Gate, S, assert_at_rest, turns

from pynenc_async import Pynenc, QueueFullError


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


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "many", True])
def test_a_wrong_bound_is_refused(wrong):
    with pytest.raises(Exception, match="max_queued"):
        Pynenc(max_queued=wrong)
