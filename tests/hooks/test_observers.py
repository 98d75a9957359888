"""Observers: told of every transition, in order, after the decision that made it."""

import asyncio

import pytest
from helpers import Gate, S, assert_at_rest, assert_lawful, statuses, turns

from pynenc_async import Pynenc, PynencError, RetryError, current_invocation


async def settled(app):
    while app.statistics().living:
        await asyncio.sleep(0)
    await turns(3)


@pytest.mark.parametrize("kind", ["coroutine", "suspending", "thread", "stream", "parent", "retry"])
async def test_every_transition_is_told_in_order_as_the_history_has_it(kind):
    app, events = Pynenc(), []
    app.observe(events.append)

    async def coroutine():
        pass

    async def suspending():
        await asyncio.sleep(0)

    def thread():
        pass

    async def stream():
        yield 1

    child = app.task(suspending)

    async def parent():
        await child()

    async def retry():
        if current_invocation().num_retries < 2:
            raise RetryError

    bodies = {
        "coroutine": coroutine, "thread": thread, "stream": stream, "parent": parent, "retry": retry,
    }  # fmt: skip
    task = child if kind == "suspending" else app.task(max_retries=2)(bodies[kind])
    handle = task()
    await handle
    await settled(app)
    told = [event for event in events if event.invocation_id == handle.invocation_id]
    assert [event.status for event in told] == statuses(handle)
    assert [event.previous for event in told] == [None, *statuses(handle)[:-1]]
    assert [(event.timestamp, event.attempt, event.reason, event.runner_id) for event in told] == [
        (entry.timestamp, entry.attempt, entry.reason, entry.runner_id) for entry in handle.history
    ]
    assert {event.task_id for event in told} == {task.task_id}
    assert_lawful(handle)
    await assert_at_rest(app)


async def test_policies_are_told_too():
    app, events, gate = Pynenc(), [], Gate()
    app.observe(events.append)

    @app.task(running_concurrency="task", delay=0.001)
    async def work():
        await gate.wait()

    handles = [work(), work()]
    while S.CONCURRENCY_CONTROLLED not in statuses(handles[1]):
        await asyncio.sleep(0.001)
    gate.open()
    for handle in handles:
        await handle
    await settled(app)
    for handle in handles:
        told = [event.status for event in events if event.invocation_id == handle.invocation_id]
        assert told == statuses(handle)
        assert told[0] is S.SCHEDULED
    await assert_at_rest(app)


async def test_calls_from_other_threads_and_groups_are_told():
    app, events = Pynenc(), []

    @app.task
    async def work(n):
        return n

    await work(0)
    app.observe(events.append)
    handles = await asyncio.gather(*[asyncio.to_thread(work, n) for n in range(5)])
    handles.extend(work.parallelize([(n,) for n in range(5)]))
    for handle in handles:
        await handle
    await settled(app)
    for handle in handles:
        assert [event.status for event in events if event.invocation_id == handle.invocation_id] == statuses(handle)
    await assert_at_rest(app)


async def test_nothing_is_told_after_closing_and_nothing_costs_anything_then():
    app, events = Pynenc(), []

    @app.task
    async def work():
        pass

    with app.observe(events.append):
        await work()
        await settled(app)
    count = len(events)
    assert count == 4
    handle = work()
    await handle
    await settled(app)
    assert len(events) == count
    assert handle._more is None
    await assert_at_rest(app)


async def test_a_broken_observer_is_logged_once_and_the_others_are_told_everything(caplog):
    app, events = Pynenc(), []

    def broken(event):
        raise LookupError(event.status)

    app.observe(broken)
    app.observe(events.append)

    @app.task
    async def work(n):
        return n

    for n in range(3):
        assert await work(n) == n
    await settled(app)
    assert len(events) == 12
    assert caplog.text.count("told nothing more") == 1
    assert "broken" in caplog.text
    await assert_at_rest(app)


async def test_an_observer_may_submit_and_cancel():
    app, gate, followers = Pynenc(), Gate(), []

    @app.task
    async def work():
        return 1

    @app.task
    async def endless():
        await gate.wait()

    running = endless()

    def follow(event):
        if event.task_id == work.task_id and event.status is S.SUCCESS and not followers:
            followers.append(work())
            followers.append(asyncio.ensure_future(running.cancel("the observer said so")))

    app.observe(follow)
    assert await work() == 1
    await settled(app)
    assert await followers[0] == 1
    await followers[1]
    assert running.status is S.CANCELLED
    await assert_at_rest(app)


async def test_the_end_of_the_app_is_told_before_it_is_over():
    app, events = Pynenc(), []

    @app.task
    async def work():
        await asyncio.Event().wait()

    async with app:
        app.observe(events.append)
        handle = work()
        await turns(3)
        await app.shutdown(drain_seconds=0)
    assert [event.status for event in events] == statuses(handle)
    assert events[-1].status is S.CANCELLED
    assert "shut down" in events[-1].reason


def test_what_a_loop_left_behind_is_told_in_the_next():
    app, events = Pynenc(), []
    app.observe(events.append)

    @app.task
    async def work(gate):
        if gate is not None:
            await gate.wait()

    handles = []

    async def first():
        handles.append(work(asyncio.Event()))
        await turns(3)

    async def second():
        await work(None)
        await settled(app)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(first())
    loop.close()
    asyncio.run(second())
    told = [event.status for event in events if event.invocation_id == handles[0].invocation_id]
    assert told == [S.REGISTERED, S.PENDING, S.RUNNING, S.CANCELLED]


def test_a_synchronous_app_says_that_it_cannot():
    with pytest.raises(PynencError, match="memory"):
        Pynenc("sync://").observe(print)
