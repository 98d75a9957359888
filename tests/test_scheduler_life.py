"""The life of an app: loops come and go, shutdowns drain, and nothing is shared, lost or left behind."""

import asyncio
import gc
import subprocess
import sys
import textwrap
import weakref

import pytest
from helpers import Gate, S, assert_at_rest, assert_lawful, turns

from pynenc_async import InvocationCancelledError, InvocationNotFoundError, Pynenc


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


@pytest.mark.slow
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
def test_the_end_of_asyncio_run_says_in_one_line_what_it_drops_and_the_process_ends(kind):
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
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=50, check=False
    )
    assert done.stderr.count("the event loop ends while") == 1
    for noise in ("Traceback", "destroyed", "never", "Exception"):
        assert noise not in done.stderr, done.stderr
    assert done.returncode == 0


# -- shutdown ----------------------------------------------------------------------------------------------------------


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
