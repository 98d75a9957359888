"""What fires a trigger, how often, and from when on."""

import asyncio
import threading

import pytest
from helpers import Gate, S, assert_at_rest, assert_lawful, statuses, turns
from trigger_world import ended, reporter, settled, worker

from pynenc_async import (
    ConcurrencyLimitError,
    InvocationExpiredError,
    Pass,
    Pynenc,
    RetryError,
    current_invocation,
    failed,
    reached,
    returned,
    succeeded,
)

# -- conditions --------------------------------------------------------------------------------------------------------


async def test_success_failure_results_and_statuses_fire():
    app = Pynenc()
    work = worker(app)
    seen = {
        "succeeded": reporter(app, succeeded(work), name="succeeded"),
        "failed": reporter(app, failed(work), name="failed"),
        "lookup": reporter(app, failed(work, LookupError), name="lookup"),
        "three": reporter(app, returned(work, 3), name="three"),
        "large": reporter(app, returned(work, lambda n: n > 3), name="large"),
        "running": reporter(app, reached(work, S.RUNNING), name="running"),
        "by id": reporter(app, succeeded(work.task_id), name="by id"),
        "filtered": reporter(app, succeeded(work).where(lambda one: one.arguments["n"] == 3), name="filtered"),
    }
    for n in (1, 3, 5, KeyError("k"), ValueError("v")):
        await ended(work(n))
    await settled(app)
    values = {name: [event.last.value for event in events] for name, events in seen.items()}
    assert values.pop("succeeded") == values.pop("by id") == [1, 3, 5]
    assert [type(error) for error in values.pop("failed")] == [KeyError, ValueError]
    assert [type(error) for error in values.pop("lookup")] == [KeyError]
    assert values == {"three": [3], "large": [5], "running": [None] * 5, "filtered": [3]}
    await assert_at_rest(app)


async def test_the_occurrence_says_what_happened():
    app = Pynenc()
    work = worker(app)
    seen = reporter(app, succeeded(work) | failed(work))
    good, bad = work(7), work(n=OSError("gone"))
    for handle in (good, bad):
        await ended(handle)
    await settled(app)
    for event, handle in zip(seen, (good, bad), strict=True):
        entry, one = handle.history[-1], event.last
        assert event.occurrences == (one,)
        assert (one.status, one.timestamp, one.attempt, one.reason) == (
            entry.status, entry.timestamp, entry.attempt, entry.reason,
        )  # fmt: skip
        assert (one.invocation_id, one.task_id) == (handle.invocation_id, work.task_id)
        assert one.arguments == handle.arguments.kwargs
        assert (one.event, one.payload) == (None, None)
    assert (seen[0].result, seen[0].error) == (7, None)
    assert (seen[1].result, str(seen[1].error)) == (None, "gone")


async def coroutine():
    pass


async def suspending():
    await asyncio.sleep(0)


def thread():
    pass


async def stream():
    yield 1


async def waiting_for_a_child():
    await current_invocation().app.task(suspending)()


async def retrying():
    if current_invocation().num_retries < 2:
        raise RetryError


@pytest.mark.parametrize("delay", [0, 0.001])
@pytest.mark.parametrize("body", [coroutine, suspending, thread, stream, waiting_for_a_child, retrying])
async def test_every_status_that_is_waited_for_fires_once_in_order(body, delay):
    app, order = Pynenc(), []
    task = app.task(max_retries=2, delay=delay)(body)

    @app.on(reached(task, *S), arguments=Pass.EVENT)
    @app.task
    async def note(event):
        order.append(event.last.status)

    handle = task()
    await handle
    await settled(app)
    assert order == statuses(handle)
    await assert_at_rest(app)


@pytest.mark.virtual
async def test_ends_without_a_body_fire_too():
    app = Pynenc(max_concurrency=1)
    gate = Gate()

    @app.task
    async def block():
        await gate.wait()

    expiring = worker(app, expires_in=1)
    seen = reporter(app, reached(expiring, *[status for status in S if status.is_final()]))

    @app.task(running_concurrency="task", on_limit="drop")
    async def single():
        await gate.wait()

    dropped = reporter(app, reached(single, S.CONCURRENCY_CONTROLLED_FINAL), name="dropped")
    blocked = block()
    first, second = single(), single()
    await turns(3)
    cancelled, expired = expiring(1), expiring(2)
    await cancelled.cancel("not needed")
    await asyncio.sleep(2)
    gate.open()
    await ended(expired)
    await settled(app)
    assert [(event.last.arguments["n"], event.last.status) for event in seen] == [(1, S.CANCELLED), (2, S.CANCELLED)]
    assert "not needed" in seen[0].last.reason
    assert seen[0].error is None
    assert isinstance(seen[1].error, InvocationExpiredError)
    [event] = dropped
    assert isinstance(event.error, ConcurrencyLimitError)
    assert event.last.invocation_id == second.invocation_id
    assert {blocked.status, first.status} == {S.SUCCESS}
    await assert_at_rest(app)


async def test_duplicates_that_are_skipped_fire_and_handles_that_are_reused_do_not():
    app, gate = Pynenc(), Gate()

    @app.task(registration_concurrency="task", on_duplicate="skip", unique_until="finished")
    async def skipping():
        await gate.wait()

    @app.task(registration_concurrency="task", unique_until="finished")
    async def reusing():
        await gate.wait()

    skipped = reporter(app, reached(skipping, S.CONCURRENCY_CONTROLLED_FINAL), name="skipped")
    done = reporter(app, succeeded(skipping) | succeeded(reusing), name="done")
    handles = [skipping(), skipping(), reusing(), reusing()]
    await turns(3)
    gate.open()
    for handle in handles:
        await ended(handle)
    await settled(app)
    assert len(skipped) == 1
    assert sorted(event.last.task_id for event in done) == sorted([skipping.task_id, reusing.task_id])


async def test_groups_threads_and_children_fire_once_each():
    app = Pynenc()
    work = worker(app)

    @app.task
    def in_thread(n):
        return work(n).result

    @app.task
    async def parent(n):
        return await work(n)

    seen = reporter(app, succeeded(work))
    handles = [*work.parallelize([(n,) for n in range(5)])]
    handles += await asyncio.gather(*[asyncio.to_thread(work, n) for n in range(5, 10)])
    handles += [in_thread(10), parent(11)]
    windowed = [result async for result in work.parallelize(((n,) for n in range(12, 20)), window=3)]
    for handle in handles:
        await handle
    await settled(app)
    assert sorted(event.result for event in seen) == list(range(20))
    assert len(windowed) == 8
    await assert_at_rest(app)


async def test_what_another_thread_submits_fires_also_when_it_is_cancelled_on_its_way_into_the_queue():
    app = Pynenc()
    handles = []
    work, delayed = worker(app), worker(app, "delayed", delay=60)
    seen = [reporter(app, reached(task, *S), name=f"on {task.task_id}") for task in (work, delayed)]
    await app.start()
    thread = threading.Thread(target=lambda: handles.extend((work(), delayed())))
    thread.start()
    thread.join()  # the loop has not had a turn since
    for handle in handles:
        app._dispatcher.scheduler.cancel(handle, "at once")
    await settled(app)
    for events, handle in zip(seen, handles, strict=True):
        assert [event.last.status for event in events] == statuses(handle)
        assert handle.status is S.CANCELLED
        assert_lawful(handle)
    await assert_at_rest(app)


# -- from when on ------------------------------------------------------------------------------------------------------


async def test_uses_of_a_task_fire_whether_they_were_made_before_or_after():
    app = Pynenc()
    work = worker(app)
    before = work.with_options(priority=3)
    source = iter([(1,), (2,), (3,)])
    group = work.parallelize(source, window=1)
    seen = reporter(app, succeeded(work))
    after = work.with_options(max_retries=1).with_options(priority=-1)
    for handle in (before(10), after(11)):
        await handle
    assert [result async for result in group] == [1, 2, 3]
    await settled(app)
    assert sorted(event.result for event in seen) == [2, 3, 10, 11], "1 was submitted before"


async def test_invocations_count_that_are_submitted_while_the_trigger_is_there():
    app = Pynenc()
    work = worker(app)
    always = reporter(app, succeeded(work), name="always")
    early = work(1)
    seen = reporter(app, succeeded(work), name="late")
    await early
    await work(2)
    await settled(app)
    app.triggers["late"].remove()
    app.triggers["always"].remove()
    await work(3)
    await settled(app)
    assert [event.result for event in seen] == [2]
    assert [event.result for event in always] == [1, 2]
    assert app.triggers == {}


async def test_a_removed_trigger_fires_no_more_for_what_is_under_way():
    app = Pynenc()
    work = worker(app)
    seen, kept = reporter(app, succeeded(work), name="one"), reporter(app, succeeded(work), name="two")
    handle = work(1)
    trigger = app.triggers["one"]
    trigger.remove()
    trigger.remove()
    await handle
    await settled(app)
    assert (len(seen), len(kept), trigger.fired, app.triggers["two"].fired) == (0, 1, 0, 1)


async def test_other_tasks_pay_nothing():
    app = Pynenc()
    work = worker(app)

    @app.task
    async def other():
        pass

    plain = other.queue
    reporter(app, succeeded(work))
    handle = other()
    await handle
    assert handle._more is None
    assert other.queue is plain
    app.triggers[next(iter(app.triggers))].remove()
    handle = work()
    await handle
    assert handle._more is None
