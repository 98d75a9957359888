"""Draining, and what signals do to a program in `app.run`: real processes, real signals."""

import asyncio
import signal
import subprocess
import sys
import textwrap

import pytest
from helpers import Gate, S, assert_at_rest, turns

from pynenc_async import AppNotStartedError, InvocationError, Pynenc

PROGRAM = """
    import asyncio, sys, threading
    from pynenc_async import Pynenc

    app = Pynenc(drain_seconds=DRAIN)

    @app.task
    async def work(steps):
        for n in range(steps):
            await asyncio.sleep(0.01)
        print("worked", flush=True)

    @app.task
    async def endless():
        try:
            await asyncio.Event().wait()
        finally:
            print("cleaned", flush=True)

    @app.task
    async def deaf():
        print("ready", flush=True)
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                pass

    @app.task
    def stuck():
        print("ready", flush=True)
        threading.Event().wait()

    async def main():
        try:
            BODY
        finally:
            print("main ended", flush=True)

    app.run(main)
"""


def start(body, drain=10.0):
    source = textwrap.dedent(PROGRAM).replace("BODY", body).replace("DRAIN", repr(drain))
    return subprocess.Popen(  # noqa: S603  # our own program
        [sys.executable, "-c", source], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(process):
    try:
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    return process.returncode, out.split(), err


WAIT = "print('ready', flush=True); await asyncio.Event().wait()"


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, -signal.SIGINT)])
def test_a_signal_ends_main_and_drains_what_is_under_way(number, code):
    process = start(f"work(20); {WAIT}")
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    returned, out, err = finish(process)
    assert out == ["main", "ended", "worked"]
    assert returned in (code, 130)
    assert number.name in err


@pytest.mark.slow
def test_a_second_signal_stops_at_once_whatever_is_under_way():
    process = start(f"endless(); {WAIT}", drain=1_000.0)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "main ended\n"
    process.send_signal(signal.SIGTERM)
    returned, out, _ = finish(process)
    assert returned == 143
    assert out == ["cleaned"]


@pytest.mark.slow
@pytest.mark.parametrize("body", ["stuck", "deaf"])
def test_a_body_that_is_stuck_does_not_keep_the_process(body):
    process = start(f"{body}(); await asyncio.Event().wait()", drain=1_000.0)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "main ended\n"
    process.send_signal(signal.SIGTERM)
    returned, _, err = finish(process)
    assert returned == 143
    assert "ignored its cancellation" in err


@pytest.mark.slow
def test_main_may_return_in_spite_of_the_signal():
    process = start(
        "print('ready', flush=True)\n"
        "        try:\n            await asyncio.Event().wait()\n"
        "        except asyncio.CancelledError:\n            return"
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    returned, out, _ = finish(process)
    assert (returned, out) == (0, ["main", "ended"])


QUEUE = """
    import asyncio, sys
    from pynenc_async import Pynenc

    app = Pynenc(sys.argv[1], max_concurrency=2, drain_seconds=1_000)
    go_on = asyncio.Event()

    @app.task
    async def work(n: int) -> None:
        print("begun", flush=True)
        await go_on.wait()
        print("worked", flush=True)

    async def main():
        for n in range(1_000):
            await work.submit(n)
        await asyncio.sleep(0.1)
        print("ready", flush=True)
        try:
            await asyncio.Event().wait()
        finally:
            GO_ON

    app.run(main)
"""


def start_queue(url, go_on):
    source = textwrap.dedent(QUEUE).replace("GO_ON", go_on)
    process = subprocess.Popen(  # noqa: S603  our own program
        [sys.executable, "-c", source, url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while process.stdout.readline() != "ready\n":
        pass
    return process


@pytest.mark.parametrize(
    ("url", "what"), [("memory://", "were cancelled"), ("sqlite:///{}/jobs.db", "stay in the store")]
)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_nothing_begin_and_says_what_it_waits_for(url, what, number, tmp_path):
    process = start_queue(url.format(tmp_path), "asyncio.get_running_loop().call_later(0.1, go_on.set)")
    process.send_signal(number)
    _, out, err = finish(process)
    assert out == ["worked", "worked"]
    assert f"998 invocations that had not begun {what}; up to 1000 s are given to 2 under way" in err


def test_a_second_signal_prints_no_line_for_what_never_heard_of_it():
    process = start_queue("memory://", "print('main ended', flush=True)")
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "main ended\n"
    process.send_signal(signal.SIGTERM)
    returned, out, err = finish(process)
    assert (returned, out) == (143, [])
    assert "ignored its cancellation" not in err
    assert len([line for line in err.splitlines() if "invocation" in line]) == 1


@pytest.mark.virtual
async def test_leaving_the_app_does_not_wait_for_what_cannot_begin_within_its_drain():
    app, began = Pynenc(drain_seconds=30), asyncio.get_running_loop().time()

    @app.task(max_retries=1, retry_delay=3_600)
    async def fail():
        raise LookupError

    @app.task
    async def work():
        return 1

    async with app:
        failing = fail()
        soon, late = [work.with_options(delay=seconds)() for seconds in (10, 40)]
        await asyncio.sleep(1)
    assert asyncio.get_running_loop().time() - began == 10
    assert [one.status for one in (failing, soon, late)] == [S.CANCELLED, S.SUCCESS, S.CANCELLED]


def test_a_loop_that_ends_without_the_app_says_what_is_dropped(caplog):
    app = Pynenc(max_concurrency=2)

    @app.task
    async def work(_n):
        await asyncio.Event().wait()

    async def main():
        for n in range(5):
            work(n)
        await turns(5)

    asyncio.run(main())
    [entry] = [entry for entry in caplog.records if "event loop ends" in entry.getMessage()]
    assert "while 2 invocations of app 'pynenc' are under way, which end with it, and 3 wait" in entry.getMessage()


@pytest.mark.parametrize("handler", [signal.SIG_IGN, signal.SIG_DFL, signal.default_int_handler, lambda *_: None])
def test_run_leaves_the_handlers_of_signals_as_they_were(handler):
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, handler) for number in numbers]

    async def main():
        return 1

    try:
        assert Pynenc().run(main) == 1
        assert [signal.getsignal(number) for number in numbers] == [handler, handler]
    finally:
        for number, one in zip(numbers, before, strict=True):
            signal.signal(number, one)


async def test_drain_waits_cancels_nothing_and_admits_only_running_bodies():
    app, gate = Pynenc(), Gate()

    @app.task
    async def child():
        return 1

    @app.task
    async def work():
        await gate.wait()
        return await child()

    handle = work()
    await turns(2)
    draining = asyncio.ensure_future(app.drain())
    await turns(2)
    with pytest.raises(AppNotStartedError):
        work()
    gate.open()
    assert await draining is True
    assert handle.result == 1
    await app.start()
    assert await child() == 1
    await assert_at_rest(app)


@pytest.mark.virtual
async def test_drain_says_whether_all_has_ended_in_time():
    app = Pynenc()

    @app.task
    async def work():
        await asyncio.sleep(10)

    handle = work()
    assert await app.drain(5) is False
    assert handle.status is S.RUNNING
    assert await app.drain(6) is True
    await assert_at_rest(app)


async def test_a_body_cannot_await_the_drain_of_its_own_app():
    app = Pynenc()

    @app.task
    async def work():
        await app.drain()

    with pytest.raises(InvocationError, match="outside of bodies"):
        await work()
    await assert_at_rest(app)
