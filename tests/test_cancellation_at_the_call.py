"""`invocation.cancel()` acts at the call; awaiting what it returns waits for the end."""

import asyncio
import gc
import warnings

import pytest
from helpers import Gate, S, assert_at_rest, turns

from pynenc_async import AppNotStartedError, CancelOutcome, InvocationCancelledError, Pynenc


def app_with_work(**options):
    app = Pynenc(**options)
    gate, begun = Gate(), Gate()

    @app.task
    async def work(number=0):
        begun.open()
        await gate.wait()
        return number

    return app, work, begun


async def test_a_forgotten_await_still_cancels_what_is_queued():
    app, work, _ = app_with_work(max_concurrency=1)
    invocation = work()
    invocation.cancel("forgotten")
    assert invocation.status is S.CANCELLED
    assert invocation.history[-1].reason == "forgotten"
    await assert_at_rest(app)


async def test_a_forgotten_await_still_stops_what_runs():
    app, work, begun = app_with_work()
    invocation = work()
    await begun.wait()
    invocation.cancel("forgotten")
    with pytest.raises(InvocationCancelledError, match="forgotten"):
        await invocation
    await assert_at_rest(app)


async def test_a_forgotten_await_gives_no_warning():
    app, work, _ = app_with_work()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        work().cancel()
        gc.collect()
    await assert_at_rest(app)


async def test_the_answer_can_be_awaited_again_and_by_many():
    app, work, begun = app_with_work()
    invocation = work()
    await begun.wait()
    cancellation = invocation.cancel()
    assert await asyncio.gather(*(wait_for(cancellation) for _ in range(3))) == [CancelOutcome.STOPPED] * 3
    assert await cancellation is CancelOutcome.STOPPED
    await assert_at_rest(app)


async def wait_for(awaitable):
    return await awaitable


@pytest.mark.parametrize(
    "waiting",
    [
        asyncio.ensure_future,
        asyncio.create_task,
        asyncio.shield,
        lambda answer: asyncio.wait_for(answer, 60),
        lambda answer: next(iter(asyncio.as_completed([answer]))),
    ],
)
async def test_asyncio_takes_the_answer_where_it_takes_a_coroutine(waiting):
    app, work, begun = app_with_work()
    invocation = work()
    await begun.wait()
    assert await waiting(invocation.cancel()) is CancelOutcome.STOPPED
    await assert_at_rest(app)


async def test_cancelling_who_waits_for_the_answer_does_not_undo_the_request():
    app = Pynenc()
    cleaning, cleaned = Gate(), Gate()

    @app.task
    async def work():
        try:
            await asyncio.Event().wait()
        finally:
            cleaning.open()
            await cleaned.wait()

    invocation = work()
    await turns(3)
    waiter = asyncio.create_task(invocation.cancel("enough"))
    await cleaning.wait()
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    cleaned.open()
    with pytest.raises(InvocationCancelledError, match="enough"):
        await invocation
    await assert_at_rest(app)


async def test_a_thread_cancels_at_the_call():
    app, work, begun = app_with_work()
    invocation = work()
    await begun.wait()
    cancellation = await asyncio.to_thread(invocation.cancel, "from a thread")
    assert await cancellation is CancelOutcome.STOPPED
    assert invocation.history[-1].reason == "from a thread"
    await assert_at_rest(app)


async def test_a_body_in_a_thread_cancels_at_the_call():
    app, work, begun = app_with_work()

    @app.task
    def stop(invocation):
        invocation.cancel("its sibling said so")
        return invocation.exception()

    invocation = work()
    await begun.wait()
    error = await stop(invocation)
    assert isinstance(error, InvocationCancelledError)
    assert "its sibling said so" in str(error)
    await assert_at_rest(app)


async def test_in_another_loop_it_raises_at_the_call_and_cancels_nothing():
    app, work, begun = app_with_work()
    invocation = work()
    await begun.wait()

    def in_another_loop():
        async def main():
            with pytest.raises(AppNotStartedError, match="event loop of another thread"):
                invocation.cancel()

        asyncio.run(main())

    await asyncio.to_thread(in_another_loop)
    assert invocation.status is S.RUNNING
    await invocation.cancel()
    await assert_at_rest(app)


def test_between_two_loops_it_raises_at_the_call_and_cancels_nothing():
    app = Pynenc()

    @app.task(delay=3600)
    async def work():
        return 1

    async def submit():
        return work()

    invocation = asyncio.run(submit())
    with pytest.raises(AppNotStartedError, match="no running event loop"):
        invocation.cancel()
    assert invocation.status is S.SCHEDULED


async def test_a_group_is_cancelled_at_the_call():
    app, work, _ = app_with_work(max_concurrency=2)
    group = work.parallelize([(number,) for number in range(5)])
    await turns(3)
    cancellation = group.cancel("all of them")
    await turns(5)
    assert {member.status for member in group} == {S.CANCELLED}
    assert sorted(await cancellation) == sorted([CancelOutcome.STOPPED] * 2 + [CancelOutcome.NEVER_STARTED] * 3)
    await assert_at_rest(app)


async def test_a_group_over_an_endless_source_submits_no_more_after_the_call():
    app, work, _ = app_with_work()
    closed = Gate()

    async def endless():
        number = 0
        try:
            while True:
                yield (number,)
                number += 1
                await asyncio.sleep(0)
        finally:
            closed.open()

    group = work.parallelize(endless(), window=3)
    await turns(2)
    group.cancel("enough")
    submitted = len(group)
    await closed.wait()
    await turns(5)
    assert len(group) == submitted
    assert all(member.status is S.CANCELLED for member in group)
    await assert_at_rest(app)


async def test_a_reused_handle_cancels_the_original_at_the_call():
    app = Pynenc(max_concurrency=1)

    @app.task(registration_concurrency="arguments")
    async def work(number):
        await asyncio.Event().wait()

    original = work(1)
    work(1).cancel("by the duplicate")
    await turns(3)
    assert original.history[-1].reason == "by the duplicate"
    await assert_at_rest(app)


async def test_in_sync_mode_it_acts_at_the_call():
    app = Pynenc("sync://")

    @app.task
    async def work():
        return 1

    invocation, group = work(), work.parallelize([(), ()])
    invocation.cancel("not needed")
    group.cancel("neither")
    for one in (invocation, *group):
        await one.wait()
    assert [one.status for one in (invocation, *group)] == [S.CANCELLED] * 3


async def test_with_a_file_it_acts_at_the_call(tmp_path):
    async with Pynenc(f"sqlite:///{tmp_path}/jobs.db") as app:
        begun = Gate()

        @app.task
        async def work():
            begun.open()
            await asyncio.Event().wait()

        running = await work.submit()
        await begun.wait()
        running.cancel("forgotten")
        with pytest.raises(InvocationCancelledError, match="forgotten"):
            await running
