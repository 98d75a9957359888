"""A body that blocks the event loop is named once, with its stack; when it ends, with how long it took."""

import asyncio
import contextlib
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from watchdog_ears import PATIENCE_SECONDS, watchdogs

from pynenc_async import InvalidTaskOptionsError, Pynenc, current_invocation, inject
from pynenc_async.testing import run as run_simulated

SECONDS = 0.1


@pytest.mark.slow
def test_a_blocking_body_is_named_once_with_its_stack_and_then_how_long_it_took(run, ears, clock):
    app = Pynenc(watchdog_seconds=SECONDS)

    def block_it_here():
        ears.block_until_heard()
        clock.block(4 * SECONDS)

    @app.task
    async def blocking():
        await asyncio.sleep(0)
        block_it_here()

    async def main():
        async with app:
            invocation = blocking()
            await invocation
            await ears.until_heard(2)
            lag = app.statistics().loop_lag
        return invocation, lag

    invocation, lag = run(main())
    first, second = ears.heard
    name = f"invocation {invocation.invocation_id} of task {blocking.task_id} has blocked the event loop for"
    assert first.getMessage().startswith(f"{name} at least {first.blocked_seconds:.2f} s")
    assert second.getMessage() == f"{name} {second.blocked_seconds:.2f} s; it goes on"
    for record in ears.heard:
        assert record.levelname == "WARNING"
        assert (record.invocation_id, record.task_id) == (invocation.invocation_id, blocking.task_id)
    assert SECONDS <= first.blocked_seconds < second.blocked_seconds
    assert second.blocked_seconds >= 5 * SECONDS
    assert lag.longest == second.blocked_seconds
    assert lag.blockages == 1
    lines = first.stack.splitlines()
    assert "in blocking" in lines[0], "the loop's own frames are trimmed"
    assert any("in block_it_here" in line for line in lines)
    assert any("block_until_heard" in line for line in lines)
    assert "pynenc_async" not in first.stack
    assert first.stack in first.getMessage()
    assert not watchdogs()


def surrounded(app, block):
    """Return a task that calls `block(where)` wherever something of it is stepped."""

    @app.middleware(tasks=lambda task: task.__name__ == "plain")
    async def in_middleware(invocation, call_next):
        block("in_middleware")
        return await call_next()

    @app.resource
    async def in_resource():
        block("in_resource")
        yield 1

    @app.task
    async def plain(value=inject(in_resource)):
        block("in_place")

    return plain


@pytest.mark.parametrize("place", ["in_middleware", "in_resource", "in_place", "in_stream"])
def test_wherever_the_body_is_stepped(place, run, ears):
    app = Pynenc(watchdog_seconds=SECONDS)

    def block(where):
        if where == place:
            ears.block_until_heard()

    plain = surrounded(app, block)

    @app.task
    async def parent():
        await plain()

    @app.task
    async def in_stream():
        yield 1
        block("in_stream")

    async def main():
        async with app:
            await (in_stream() if place == "in_stream" else parent())

    run(main())
    first, second = ears.heard
    assert first.task_id == second.task_id == (in_stream if place == "in_stream" else plain).task_id
    assert f'block("{place}")' in first.stack


def test_code_outside_of_all_bodies_is_told_from_them(run, ears):
    app = Pynenc(watchdog_seconds=SECONDS)

    @app.task
    async def waiting(event):
        await event.wait()

    ears.outside = True

    def block_outside():
        ears.block_until_heard()

    async def main():
        async with app:
            event = asyncio.Event()
            invocation = waiting(event)
            await asyncio.sleep(0)
            block_outside()
            event.set()
            await invocation

    run(main())
    first, second = ears.heard
    assert "code outside of all bodies has blocked the event loop" in first.getMessage()
    assert not hasattr(first, "invocation_id")
    assert not hasattr(first, "task_id")
    assert "in block_outside" in first.stack
    assert "outside of all bodies" in second.getMessage()


def test_a_task_that_a_body_has_started_is_its_own_where_python_tells(run, ears):
    app = Pynenc(watchdog_seconds=SECONDS)

    async def spawned():
        ears.block_until_heard()

    @app.task
    async def spawning():
        await asyncio.create_task(spawned())

    async def main():
        async with app:
            invocation = spawning()
            await invocation
        return invocation.invocation_id

    ears.outside = True
    invocation_id = run(main())
    assert "in spawned" in ears.heard[0].stack
    if sys.version_info >= (3, 12):
        assert f"a Task started by invocation {invocation_id}" in ears.messages[0]
        assert ears.heard[0].invocation_id == invocation_id
    else:
        assert "outside of all bodies" in ears.messages[0]


@pytest.mark.slow
def test_each_blockage_is_told_once_and_bodies_in_threads_block_nothing(run, ears, clock):
    app = Pynenc(watchdog_seconds=SECONDS)

    @app.task
    async def blocking(count):
        ears.block_until_heard(count)
        clock.block(3 * SECONDS)

    @app.task
    def in_thread():
        clock.block(4 * SECONDS)

    async def main():
        async with app:
            await in_thread()
            assert not ears.heard
            for count in (1, 3, 5):
                await blocking(count)
                await ears.until_heard(count + 1)

    run(main())
    assert len(ears.heard) == 6
    assert app.statistics().loop_lag.blockages >= 3


def test_the_end_is_told_though_the_app_ends_at_the_same_moment(run, ears):
    app = Pynenc(watchdog_seconds=SECONDS)

    @app.task
    async def blocking():
        ears.block_until_heard()

    async def main():
        async with app:
            await blocking()

    run(main())
    await_no_watchdogs()
    assert [message.endswith("it goes on") for message in ears.messages] == [False, True]


@pytest.mark.slow
def test_two_apps_on_one_loop_say_it_once(run, ears, clock):
    apps = [Pynenc(watchdog_seconds=SECONDS, app_id=name) for name in "ab"]
    tasks = []
    for app in apps:

        @app.task
        async def work(blocks):
            if blocks:
                ears.block_until_heard()
                clock.block(3 * SECONDS)
            else:
                await asyncio.sleep(6 * SECONDS)

        tasks.append(work)

    async def main():
        async with apps[0], apps[1]:
            others = [task(False) for task in tasks]
            await asyncio.sleep(0)
            await tasks[1](True)
            for other in others:
                await other

    run(main())
    first, second = ears.heard
    assert first.invocation_id == second.invocation_id
    assert first.invocation_id.startswith(apps[1]._dispatcher.runner_id)


# -- when it rests -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_nothing_beats_and_no_thread_looks_while_nothing_runs(run):
    app = Pynenc(watchdog_seconds=SECONDS)

    @app.task
    async def noop():
        assert not app._dispatcher.watchdog.is_resting
        assert watchdogs()

    async def main():
        watchdog = app._dispatcher.watchdog
        assert not watchdogs()
        for _ in range(3):
            await noop()
            while not watchdog.is_resting:
                await asyncio.sleep(SECONDS / 10)
            beats = watchdog._beats
            await asyncio.sleep(2 * SECONDS)
            assert watchdog._beats == beats
            assert watchdog._timer is None

    run(main())
    await_no_watchdogs()


def await_no_watchdogs():
    """The thread of an app that was never shut down ends when it sees that its loop is gone; it is waited for here."""
    for thread in watchdogs():
        thread.join(PATIENCE_SECONDS)
    assert not watchdogs()


@pytest.mark.slow
def test_it_rests_again_after_the_loop_was_closed_and_works_in_the_next_one(run, ears):
    app = Pynenc(watchdog_seconds=SECONDS)

    @app.task
    async def blocking(count):
        ears.block_until_heard(count)

    async def main(count):
        await blocking(count)
        await ears.until_heard(count + 1)

    run(main(1))
    run(main(3))
    assert len(ears.heard) == 4
    await_no_watchdogs()


@pytest.mark.slow
def test_a_loop_that_does_not_run_is_not_blocked(ears, clock):
    app = Pynenc(watchdog_seconds=SECONDS)

    @app.task
    async def waiting():
        await asyncio.Event().wait()

    async def start():
        waiting()
        await asyncio.sleep(0)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(start())
    clock.block(4 * SECONDS)
    loop.run_until_complete(asyncio.sleep(2 * SECONDS))
    assert app.statistics().loop_lag.blockages == 0
    loop.run_until_complete(app.shutdown(drain_seconds=0))
    loop.close()
    assert not ears.heard
    assert not watchdogs()


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [None, 0])
def test_it_can_be_switched_off(seconds, run, ears, clock):
    app = Pynenc(watchdog_seconds=seconds)

    @app.task
    async def blocking():
        clock.block(4 * SECONDS)

    async def main():
        async with app:
            await blocking()
            assert not watchdogs()
            return app.statistics().loop_lag

    assert run(main()) is None
    assert not ears.heard


@pytest.mark.slow
def test_simulated_time_is_not_watched(ears, clock):
    app = Pynenc(watchdog_seconds=SECONDS)

    @app.task
    async def blocking():
        clock.block(4 * SECONDS)
        await asyncio.sleep(3_600)

    async def main():
        async with app:
            await blocking()
            assert not watchdogs()
            return app.statistics().loop_lag

    assert run_simulated(main) is None
    assert not ears.heard


def test_wrong_options_are_refused():
    for wrong in (-1, "1", True):
        with pytest.raises(InvalidTaskOptionsError, match="watchdog_seconds"):
            Pynenc(watchdog_seconds=wrong)


# -- what is no blockage -----------------------------------------------------------------------------------------------

ROOT = Path(__file__).parent.parent.parent
LONG = 2.0
"""Seconds for which a busy machine keeps no thread waiting, where it is asked in real time that nothing is reported."""


def test_a_jump_of_the_clock_has_blocked_nothing(run, ears, clock):
    app = Pynenc(watchdog_seconds=SECONDS)

    @app.task
    async def work():
        clock.jump(10 * SECONDS)
        await asyncio.sleep(SECONDS)

    async def main():
        async with app:
            await work()
            return app.statistics().loop_lag.blockages

    assert run(main()) == 0
    assert not ears.heard


def run_script(code, **streams):
    environment = {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(  # noqa: S603  our own code
        [sys.executable, "-c", code],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        **streams,
    )


STOPPED = f"""
import asyncio, os, signal, sys
from pynenc_async import Pynenc

app = Pynenc(watchdog_seconds={LONG})

@app.task
async def work():
    print("ready", flush=True)
    await asyncio.sleep({LONG})

async def main():
    async with app:
        await work()
        return app.statistics().loop_lag.blockages

print("blockages", asyncio.run(main()))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGSTOP")
def test_a_process_that_was_stopped_has_blocked_nothing():
    import signal  # noqa: PLC0415  what it has depends on the platform

    process = run_script(STOPPED)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGSTOP)
    threading.Event().wait(3 * LONG)
    process.send_signal(signal.SIGCONT)
    output, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert output == "blockages 0\n"


DEBUGGED = f"""
import asyncio, pdb, sys
from pynenc_async import Pynenc

app = Pynenc(watchdog_seconds={LONG})

@app.task
async def work():
    pdb.Pdb(nosigint=True).set_trace()
    return 5

async def main():
    async with app:
        await work()
        await asyncio.sleep(0.2)
        return app.statistics().loop_lag.blockages

print("blockages", asyncio.run(main()))
"""


@pytest.mark.slow
def test_a_debugger_is_left_alone():
    process = run_script(DEBUGGED, stdin=subprocess.PIPE)
    shown = ""
    while "(Pdb)" not in shown:
        shown += process.stdout.read(1)
    threading.Event().wait(3 * LONG)
    output, _ = process.communicate("c\n", timeout=PATIENCE_SECONDS)
    assert output.endswith("blockages 0\n")
    assert "blocked the event loop" not in shown + output


HELD = """
import asyncio, re, logging, time
from pynenc_async import Pynenc

logging.basicConfig(format="%(message)s")
app = Pynenc(watchdog_seconds=0.05)

@app.task
async def work():
    began = time.thread_time()
    size = 15
    while time.thread_time() - began < 0.3:  # one call that holds the interpreter's lock for long enough
        began = time.thread_time()
        re.match("(a*)*b", "a" * size)
        size += 1

async def main():
    async with app:
        await work()
        await asyncio.sleep(0.2)
        return app.statistics().loop_lag

lag = asyncio.run(main())
print("longest", lag.longest > 0.25, "blockages", lag.blockages > 0)
"""


@pytest.mark.slow
def test_a_call_that_lets_no_other_thread_run_is_noticed_afterwards():
    output, _ = run_script(HELD).communicate(timeout=PATIENCE_SECONDS)
    assert "longest True blockages True" in output
    assert "has blocked the event loop for" in output


ENDING = f"""
import asyncio
from pynenc_async import Pynenc

app = Pynenc(watchdog_seconds={4 * PATIENCE_SECONDS})

@app.task
async def work():
    pass

async def main():
    await work()

asyncio.run(main())
"""


@pytest.mark.slow
def test_the_interpreter_ends_without_waiting_for_it():
    output, _ = run_script(ENDING).communicate(timeout=PATIENCE_SECONDS)
    assert output == ""


def test_what_it_has_found_is_not_kept(run, ears):
    """Reading the locals of a frame must not keep them."""
    import gc  # noqa: PLC0415
    import weakref  # noqa: PLC0415

    app = Pynenc(watchdog_seconds=SECONDS, retain_count=0)

    @app.task
    async def blocking():
        assert current_invocation() is not None
        ears.block_until_heard()
        raise LookupError

    async def main():
        async with app:
            invocation = blocking()
            with contextlib.suppress(LookupError):
                await invocation
            gone = weakref.ref(invocation)
            await ears.until_heard(2)
            gc.collect()
            gc.disable()
            try:
                del invocation
                await asyncio.sleep(0)
                return gone() is None
            finally:
                gc.enable()

    assert run(main())
