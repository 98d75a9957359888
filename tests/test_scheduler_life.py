"""The life of an app: loops come and go, shutdowns drain, and nothing is shared, lost or left behind."""

import asyncio
import gc
import subprocess
import sys
import textwrap
import weakref

import pytest
from helpers import USUAL, Gate, S, assert_at_rest, assert_lawful, statuses, turns

from pynenc_async import AppNotStartedError, InvocationCancelledError, InvocationNotFoundError, Pynenc
from pynenc_async.testing import wait_all_tasks_blocked


def run(main):
    """Run `main` to its end in a loop of its own."""
    return asyncio.run(main())


# -- one loop after another --------------------------------------------------------------------------------------------


def test_queued_work_survives_its_loop_and_running_work_is_cancelled_with_a_reason():
    app = Pynenc(max_concurrency=1)
    ran = []

    @app.task
    async def work(n):
        ran.append(n)
        if n == 0:
            await asyncio.Event().wait()
        return n

    handles = []

    async def first():
        handles.extend(work(n) for n in range(3))
        await turns(5)

    async def second():
        assert await handles[2] == 2
        assert await handles[1] == 1
        with pytest.raises(InvocationCancelledError):
            await handles[0]
        await assert_at_rest(app)

    run(first)
    assert [handle.status for handle in handles] == [S.CANCELLED, S.REGISTERED, S.REGISTERED]
    assert handles[0].history[-1].reason
    run(second)
    assert ran == [0, 1, 2]
    for handle in handles:
        assert_lawful(handle)


def test_a_loop_that_was_closed_without_cancelling_its_tasks_is_written_off():
    app = Pynenc(max_concurrency=2)
    gates = []

    @app.task
    async def child():
        await gates[0].wait()

    @app.task
    async def parent():
        await child()

    @app.task
    async def holder():
        await asyncio.Event().wait()

    async def first():
        gates.append(asyncio.Event())
        handles = [parent(), holder()]
        await turns(20)
        return handles

    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)
    handles = loop.run_until_complete(first())
    assert handles[0].status is S.PAUSED
    loop.close()

    @app.task
    async def work():
        await asyncio.sleep(0)
        return 1

    async def second():
        assert await work() == 1
        for handle in handles:
            assert handle.status is S.CANCELLED
            assert handle.history[-1].reason
            assert_lawful(handle)
        await assert_at_rest(app)

    run(second)
    gc.collect()


def test_a_hundred_loops_one_after_the_other():
    app = Pynenc(max_concurrency=2)

    @app.task
    async def work(n):
        await asyncio.sleep(0)
        return n

    async def main():
        handles = [work(n) for n in range(5)]
        assert [await handle for handle in handles] == list(range(5))
        work(99)

    for _ in range(100):
        run(main)
    assert app.statistics().running == 0


@pytest.mark.parametrize("kind", ["coroutine", "thread", "stubborn"])
def test_the_end_of_asyncio_run_makes_no_noise_and_the_process_ends(kind):
    script = """
        import asyncio, gc
        from pynenc_async import Pynenc

        app = Pynenc(max_concurrency=2)

        @app.task
        async def forever(n):
            await asyncio.Event().wait()

        @app.task
        async def cleaning(n):
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)

        @app.task(priority=9)
        async def blocker():
            await asyncio.Event().wait()

        @app.task
        def waiting():
            blocker(), blocker(), blocker()
            return forever(0).result

        async def main():
            if KIND == "coroutine":
                [forever(n) for n in range(5)]
            elif KIND == "stubborn":
                [cleaning(n) for n in range(5)]
            else:
                handle = waiting()
                while handle.status != "paused":
                    await asyncio.sleep(0)
            for _ in range(10):
                await asyncio.sleep(0)

        asyncio.run(main(), debug=True)
        gc.collect()
    """
    script = textwrap.dedent(script).replace("KIND", repr(kind))
    done = subprocess.run(  # noqa: S603  # our own script
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.stderr == ""
    assert done.returncode == 0


# -- shutdown ----------------------------------------------------------------------------------------------------------


@pytest.mark.virtual
async def test_leaving_the_block_drains_and_admits_what_running_bodies_still_submit():
    app = Pynenc(max_concurrency=1)
    ended = []

    @app.task
    async def work(n):
        await asyncio.sleep(1)
        ended.append(n)
        if n < 3:
            work(n + 1)

    async with app:
        work(0)
    assert ended == [0, 1, 2, 3]
    await assert_at_rest(app)


async def test_threads_are_drained_too():
    app = Pynenc()
    gate, ended = Gate(), []

    @app.task
    async def child():
        ended.append("child")

    @app.task
    def work():
        gate.block()
        child()
        ended.append("thread")

    async with app:
        work()
        asyncio.get_running_loop().call_soon(gate.open)
    assert sorted(ended) == ["child", "thread"]
    await assert_at_rest(app)


async def test_calls_after_a_shutdown_say_so_and_a_new_start_admits_them():
    app = Pynenc()

    @app.task
    async def work():
        return 1

    @app.task
    def in_thread():
        return 2

    async with app:
        assert [await work(), await in_thread()] == [1, 2]
    for task in (work, in_thread):
        with pytest.raises(AppNotStartedError, match="shut down"):
            task()
    async with app:
        assert [await work(), await in_thread()] == [1, 2]
    with pytest.raises(AppNotStartedError, match="shut down"):
        await asyncio.to_thread(work)
    await assert_at_rest(app)


def test_a_call_without_a_loop_says_what_to_do():
    app = Pynenc()

    @app.task
    async def work():
        pass

    with pytest.raises(AppNotStartedError, match=r"app\.run"):
        work()
    assert app.invocations() == []


async def test_shutdown_is_idempotent_and_may_be_called_together():
    app = Pynenc()

    @app.task
    async def work():
        await turns(5)
        return 1

    handle = work()
    await asyncio.gather(*(app.shutdown() for _ in range(3)))
    await app.shutdown()
    assert await handle == 1
    await assert_at_rest(app)


async def test_shutting_down_an_app_that_never_ran_is_fine():
    await Pynenc().shutdown()


@pytest.mark.virtual
async def test_what_takes_longer_than_the_drain_is_cancelled():
    app = Pynenc(drain_seconds=10, max_concurrency=1)
    cleaned = []

    @app.task
    async def work():
        try:
            await asyncio.sleep(1_000)
        finally:
            await asyncio.sleep(1)
            cleaned.append(1)

    async with app:
        running, queued = work(), work()
        await turns(3)
    assert asyncio.get_running_loop().time() == pytest.approx(11)
    assert cleaned == [1]
    assert statuses(running) == [*USUAL, S.CANCELLED]
    assert statuses(queued) == [S.REGISTERED, S.CANCELLED]
    assert all("shut down" in handle.history[-1].reason for handle in (running, queued))
    await assert_at_rest(app)


@pytest.mark.virtual
@pytest.mark.parametrize("ending", ["returns", "raises", "awaits", "submits"])
async def test_a_body_that_ignores_its_cancellation_is_abandoned_named_and_its_late_report_refused(ending, caplog):
    app, other = Pynenc(drain_seconds=1), Pynenc()
    late = []

    @other.task
    async def elsewhere():
        await asyncio.sleep(100)

    @app.task(max_retries=3)
    async def stubborn():
        until = asyncio.get_running_loop().time() + 50
        while asyncio.get_running_loop().time() < until:
            try:
                await asyncio.sleep(50)
            except asyncio.CancelledError:
                late.append("swallowed")
        late.append("late")
        if ending == "raises":
            raise LookupError
        if ending == "awaits":
            await elsewhere()
        if ending == "submits":
            with pytest.raises(AppNotStartedError):
                stubborn()

    async with app:
        handle = stubborn()
        await turns(3)
    took = asyncio.get_running_loop().time()
    assert took < 20
    assert handle.status is S.CANCELLED
    assert [handle.invocation_id in record.getMessage() for record in caplog.records] == [True]
    before = handle.history
    assert app.statistics().running == 0
    await asyncio.sleep(300)
    assert late[-1] == "late"
    assert handle.history == before
    assert app.statistics().running == 0
    assert_lawful(handle)


@pytest.mark.virtual
async def test_an_abandoned_body_with_a_subtask_that_waits_elsewhere_changes_nothing():
    app, other = Pynenc(drain_seconds=1), Pynenc()

    @other.task
    async def elsewhere():
        await asyncio.sleep(100)

    async def wait_elsewhere():
        await elsewhere()

    @app.task
    async def stubborn():
        task = asyncio.ensure_future(wait_elsewhere())
        for _ in range(20):
            try:
                await asyncio.sleep(4)
            except asyncio.CancelledError:
                pass
        await task

    async with app:
        handle = stubborn()
        await turns(3)
    before = handle.history
    assert handle.status is S.CANCELLED
    await asyncio.sleep(300)
    assert handle.history == before
    assert app.statistics().running == 0
    assert_lawful(handle)


@pytest.mark.virtual
async def test_an_abandoned_generator_that_goes_on_yielding_changes_nothing():
    app = Pynenc(drain_seconds=1)

    @app.task(stream_buffer=1)
    async def stubborn():
        for n in range(20):
            try:
                await asyncio.sleep(7)
            except asyncio.CancelledError:
                pass
            yield n

    async with app:
        handle = stubborn()
        reader = handle.stream()
        task = asyncio.ensure_future(anext(reader))
        await turns(3)
    before = handle.history
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.sleep(300)
    assert handle.history == before
    assert app.statistics().running == 0


@pytest.mark.virtual
async def test_an_abandoned_thread_that_waits_on_changes_nothing():
    app = Pynenc(drain_seconds=1)
    other, swallowed = Pynenc(), []

    @other.task
    async def elsewhere():
        await asyncio.sleep(100)
        return 1

    @app.task
    def stubborn(handle):
        while True:
            try:
                return handle.result
            except asyncio.CancelledError:
                swallowed.append(1)

    awaited = elsewhere()
    async with app:
        handle = stubborn(awaited)
        while handle.status is not S.PAUSED:
            await asyncio.sleep(0)
    before = handle.history
    assert handle.status is S.CANCELLED
    assert swallowed
    await awaited
    await asyncio.sleep(300)
    await wait_all_tasks_blocked()
    assert handle.history == before
    assert app.statistics().running_in_threads == 0


# -- apps, retention ---------------------------------------------------------------------------------------------------


async def test_apps_share_no_slots_ids_or_fate():
    apps = [Pynenc(max_concurrency=1) for _ in range(3)]
    gate = Gate()

    async def work():
        await gate.wait()
        return 1

    tasks = [app.task(work) for app in apps]
    handles = [task() for task in tasks]
    await turns(10)
    assert [handle.status for handle in handles] == [S.RUNNING] * 3
    with pytest.raises(InvocationNotFoundError):
        apps[1].get_invocation(handles[0].invocation_id)
    await apps[0].shutdown(0)
    assert [handle.status for handle in handles] == [S.CANCELLED, S.RUNNING, S.RUNNING]
    gate.open()
    assert [await handle for handle in handles[1:]] == [1, 1]


@pytest.mark.parametrize("retain_count", [0, 1, 10])
async def test_no_more_than_so_many_ended_invocations_are_kept(retain_count):
    app = Pynenc(retain_count=retain_count)

    @app.task
    async def work(n):
        if n % 3 == 0:
            raise LookupError
        if n % 3 == 1:
            await asyncio.sleep(0)

    handles = [work(n) for n in range(50)]
    for handle in handles:
        await handle.wait()
        handle.exception()
    assert len(app.invocations()) == retain_count
    assert len(app._dispatcher.store) == retain_count


@pytest.mark.virtual
async def test_what_ended_long_ago_is_forgotten_and_what_lives_is_not():
    app = Pynenc(retain_seconds=60)

    @app.task
    async def work(seconds):
        await asyncio.sleep(seconds)

    old, long = work(1), work(1_000)
    await old
    await asyncio.sleep(50)
    new = work(0)
    await new
    assert set(app.invocations()) == {old, long, new}
    await asyncio.sleep(20)
    assert set(app.invocations()) == {long, new}
    with pytest.raises(InvocationNotFoundError):
        app.get_invocation(old.invocation_id)
    await long


async def test_an_ended_invocation_that_is_not_retained_is_freed_with_its_arguments_and_result():
    app = Pynenc(retain_count=0)

    class Big:
        pass

    @app.task
    async def work(big):
        await asyncio.sleep(0)
        return Big()

    argument = Big()
    handle = work(argument)
    seen = [weakref.ref(argument), weakref.ref(await handle), weakref.ref(handle)]
    del handle, argument
    await turns(3)
    gc.collect()
    assert [ref() for ref in seen] == [None] * 3
