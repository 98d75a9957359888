"""Delayed invocations."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from helpers import S, assert_at_rest, assert_lawful, statuses, turns

from pynenc_async import CancelOutcome, InvalidTaskOptionsError, Pynenc
from pynenc_async.clock import wall_clock_of

pytestmark = pytest.mark.virtual


def now():
    return asyncio.get_running_loop().time()


def build(**options):
    app, ran = Pynenc(), []

    @app.task(**options)
    async def work(n=0):
        ran.append((n, now()))
        return n

    return app, work, ran


async def test_it_is_scheduled_until_it_is_due():
    app, work, ran = build(delay=5)
    handle = work(1)
    assert handle.status is S.SCHEDULED
    await asyncio.sleep(4.9)
    assert handle.status is S.SCHEDULED
    assert await handle == 1
    assert ran == [(1, 5)]
    assert statuses(handle) == [S.SCHEDULED, S.REGISTERED, S.PENDING, S.RUNNING, S.SUCCESS]
    assert [entry.timestamp - handle.history[0].timestamp for entry in handle.history] == [0, 5, 5, 5, 5]
    assert_lawful(handle)
    await assert_at_rest(app)


async def test_for_one_use_with_options():
    app, work, ran = build()
    handles = [work.with_options(delay=delay)(delay) for delay in (3, 1, 2)]
    handles.append(work.with_options(delay=timedelta(seconds=1.5))(1.5))
    for handle in handles:
        await handle
    assert ran == [(1, 1), (1.5, 1.5), (2, 2), (3, 3)]
    await assert_at_rest(app)


async def test_at_a_moment():
    app, work, ran = build()
    moment = datetime.fromtimestamp(wall_clock_of(asyncio.get_running_loop())() + 7, tz=UTC)
    await work.with_options(at=moment)(1)
    await work.with_options(at=moment - timedelta(days=1))(2)
    assert ran == [(1, 7), (2, 7)]
    await assert_at_rest(app)


async def test_cancelled_before_it_is_due_it_never_runs():
    app, work, ran = build(delay=5)
    handle = work()
    await asyncio.sleep(1)
    assert await handle.cancel() is CancelOutcome.NEVER_STARTED
    assert statuses(handle) == [S.SCHEDULED, S.CANCELLED]
    await asyncio.sleep(10)
    assert ran == []
    await assert_at_rest(app)


@pytest.mark.slow
async def test_thousands_share_one_timer_and_leave_nothing():
    app, work, ran = build()
    handles = [work.with_options(delay=1 + n % 7)(n) for n in range(3_000)]
    loop = asyncio.get_running_loop()
    assert len(app._dispatcher.scheduler.agenda) == 3_000
    kept = handles[::3]
    for handle in set(handles) - set(kept):
        await handle.cancel()
    assert len(app._dispatcher.scheduler.agenda) <= 2_000
    for handle in kept:
        await handle
    assert [moment for _, moment in ran] == sorted(moment for _, moment in ran)
    assert {n for n, _ in ran} == set(range(0, 3_000, 3))
    assert loop.time() == 7
    assert len(app._dispatcher.scheduler.agenda) == 0
    await assert_at_rest(app)


async def test_a_delayed_child_is_cancelled_with_its_parent():
    app, work, ran = build(delay=5)

    @app.task
    async def parent():
        children.append(work())
        await asyncio.sleep(60)

    children = []
    handle = parent()
    await turns(3)
    await handle.cancel()
    assert children[0].status is S.CANCELLED
    await asyncio.sleep(10)
    assert ran == []
    await assert_at_rest(app)


async def test_awaiting_a_delayed_one_does_not_hasten_it():
    app, work, ran = build(delay=5)

    @app.task
    async def parent():
        return await work(1)

    assert await parent() == 1
    assert ran == [(1, 5)]
    await assert_at_rest(app)


@pytest.mark.parametrize(
    ("option", "wrong"),
    [("delay", -1), ("delay", "soon"), ("delay", float("nan")), ("at", datetime(2030, 1, 1)), ("at", 5)],  # noqa: DTZ001
)
async def test_wrong_moments_are_refused_by_name(option, wrong):
    _, work, _ = build()
    with pytest.raises(InvalidTaskOptionsError, match=option):
        work.with_options(**{option: wrong})


async def test_both_at_once_are_refused():
    _, work, _ = build()
    with pytest.raises(InvalidTaskOptionsError, match="one of the two"):
        work.with_options(delay=1, at=datetime.now(UTC))
