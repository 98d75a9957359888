"""Bodies share asyncio Tasks and run in place; nobody must be able to tell, except by the clock."""

import asyncio
import contextlib
import contextvars
import gc
import threading
import weakref

import pytest
from helpers import Gate, S, assert_at_rest, turns

from pynenc_async import InvocationCancelledError, Pynenc, current_invocation

MARK = contextvars.ContextVar("mark", default="unset")


# -- the current task --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("awaited_by", ["test", "body", "later"])
async def test_the_current_task_of_a_body_is_never_its_waiters(awaited_by):
    app = Pynenc()
    seen = {}

    @app.task
    async def child():
        first = asyncio.current_task()
        await asyncio.sleep(0)
        seen["child"] = first, asyncio.current_task()

    @app.task
    async def parent():
        seen["parent"] = asyncio.current_task()
        await child()
        assert asyncio.current_task() is seen["parent"]

    invocation = (parent if awaited_by == "body" else child)()
    if awaited_by == "later":
        await turns(1)
    me = asyncio.current_task()
    await invocation
    assert asyncio.current_task() is me
    first, second = seen["child"]
    assert first is second
    assert first not in (me, None, seen.get("parent"))


async def test_suspended_bodies_never_share_a_task():
    app = Pynenc()
    owners = {}

    @app.task
    async def body(n, suspends):
        if suspends:
            task = asyncio.current_task()
            await asyncio.sleep(0)
            assert asyncio.current_task() is task
            assert task not in owners
            owners[task] = n

    handles = [body(n, n % 3 != 0) for n in range(300)]
    for handle in handles:
        await handle
    assert len(owners) == 200
    await assert_at_rest(app)


async def test_the_task_of_a_body_that_suspended_ends_with_it():
    app = Pynenc()

    @app.task
    async def body():
        await asyncio.sleep(0)
        return asyncio.current_task()

    task = await body()
    await turns(2)
    assert task.done()


async def test_the_task_has_a_readable_repr_and_stack():
    app = Pynenc()

    @app.task
    async def body():
        task = asyncio.current_task()
        await asyncio.sleep(0)
        return repr(task), task.get_stack(), task.get_coro()

    text, _, coroutine = await body()
    assert text
    assert asyncio.iscoroutine(coroutine)


# -- cancellation stays where it belongs -------------------------------------------------------------------------------


@pytest.mark.parametrize("awaited", [False, True])
async def test_a_body_that_cancels_its_task_and_returns_is_cancelled_and_harms_nobody_else(awaited):
    app = Pynenc()

    @app.task
    async def suicidal():
        asyncio.current_task().cancel()

    @app.task
    async def innocent(n):
        await asyncio.sleep(0)
        return n

    handles = [one for n in range(5) for one in (suicidal(), innocent(n))]
    if awaited:
        with pytest.raises(InvocationCancelledError):
            await suicidal()
    for n in range(5):
        assert await handles[2 * n + 1] == n
        with pytest.raises(InvocationCancelledError):
            await handles[2 * n]
    assert not asyncio.current_task().cancelling()
    await assert_at_rest(app)


async def test_a_body_that_cancels_its_task_and_raises_harms_nobody_else():
    app = Pynenc()

    @app.task
    async def suicidal():
        asyncio.current_task().cancel()
        raise LookupError

    @app.task
    async def innocent():
        await asyncio.sleep(0)
        return 1

    first, second = suicidal(), innocent()
    assert await second == 1
    with pytest.raises(LookupError):
        await first


async def test_a_body_that_cancels_its_task_and_suspends_gets_the_cancellation():
    app = Pynenc()

    @app.task
    async def body():
        asyncio.current_task().cancel()
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            return "caught"

    assert await body() == "caught"
    handle = body()
    await turns(5)
    assert await handle == "caught"


async def test_who_cancels_every_task_of_the_loop_loses_no_queued_work():
    app = Pynenc()

    @app.task
    async def work(n):
        return n

    handles = [work(n) for n in range(3)]
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await turns(5)
    assert [await asyncio.wait_for(handle, 5) for handle in handles] == [0, 1, 2]


async def test_who_cancels_every_task_and_awaits_at_once_gets_the_value():
    app = Pynenc()

    @app.task
    async def work():
        return 1

    handle = work()
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    async with asyncio.timeout(5):
        assert await handle == 1


async def test_cancelling_a_waiter_of_a_body_that_suspended_in_place_leaves_the_body_alone():
    app = Pynenc()

    @app.task
    async def work(gate):
        await gate.wait()
        return asyncio.current_task().cancelling()

    for delay in range(4):
        gate = Gate()
        handle = work(gate)
        waiter = asyncio.ensure_future(handle)
        await turns(delay)
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
        await turns(2)
        assert handle.status is S.RUNNING
        gate.open()
        assert await handle == 0


# -- contexts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["coroutine", "thread"])
async def test_a_body_sees_the_context_of_its_submission_and_keeps_its_changes_to_itself(kind):
    app = Pynenc()

    def body(n):
        seen = MARK.get()
        MARK.set(f"body {n}")
        return seen

    async def in_loop(n):
        seen = body(n)
        await asyncio.sleep(0)
        assert MARK.get() == f"body {n}"
        return seen

    def in_thread(n):
        return body(n)

    task = app.task(in_loop if kind == "coroutine" else in_thread)
    MARK.set("first")
    early = [task(n) for n in range(3)]
    MARK.set("second")
    late = task(3)
    assert await late == "second"
    assert [await handle for handle in early] == ["first"] * 3
    assert MARK.get() == "second"


async def test_a_body_run_in_place_neither_changes_nor_sees_the_waiters_context():
    app = Pynenc()

    @app.task
    async def body():
        seen = MARK.get()
        MARK.set("body")
        return seen, current_invocation().invocation_id

    MARK.set("submitter")
    handle = body()
    MARK.set("waiter")
    assert await handle == ("submitter", handle.invocation_id)
    assert MARK.get() == "waiter"
    assert current_invocation() is None


async def test_nested_bodies_each_know_who_they_are():
    app = Pynenc()

    @app.task
    async def nested(n):
        me = current_invocation()
        below = await nested(n - 1) if n else []
        assert current_invocation() is me
        return [me.invocation_id, *below]

    assert len(set(await nested(20))) == 21


async def test_bodies_may_reset_their_context_variables_after_any_wait():
    app = Pynenc()

    @app.task
    async def body(n):
        token = MARK.set(str(n))
        await turns(n)
        MARK.reset(token)
        return MARK.get()

    assert set(await asyncio.gather(*(body(n) for n in range(5)))) == {"unset"}


async def test_apps_on_loops_in_two_threads_share_nothing():
    here, there = Pynenc(), Pynenc()
    inside, release, results = threading.Event(), threading.Event(), []

    @here.task
    async def hold():
        inside.set()
        assert release.wait(10)
        return 1

    @there.task
    async def quick():
        await asyncio.sleep(0)
        return 2

    async def main():
        asyncio.get_running_loop().set_exception_handler(lambda _, context: results.append(context))
        try:
            results.append(await asyncio.wait_for(quick(), 2))
        finally:
            release.set()

    def elsewhere():
        assert inside.wait(10)
        with contextlib.suppress(TimeoutError):
            asyncio.run(main())

    thread = threading.Thread(target=elsewhere, daemon=True)
    thread.start()
    handle = hold()
    await turns(3)  # the body blocks the loop in here, inside its carrier
    assert await handle == 1
    thread.join(5)
    assert results == [2]


# -- nothing is kept ---------------------------------------------------------------------------------------------------


async def test_a_carrier_does_not_keep_what_its_last_body_returned():
    app = Pynenc(retain_count=0, max_concurrency=1)
    gate, made = Gate(), []

    class Big:
        pass

    @app.task
    async def make():
        big = Big()
        made.append(weakref.ref(big))
        return big

    @app.task
    async def long():
        await gate.wait()

    make()
    handle = long()
    await turns(5)
    gc.collect()
    assert [ref() for ref in made] == [None]
    gate.open()
    await handle
