"""A program that can never go on says so, with names and lines, in place of hanging."""

import asyncio
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import anyio
import anyio.to_thread
import pytest

from pynenc_async.testing import DeadlockError, StalledError, VirtualLoop, run


def run_with_patience(main, seconds):
    with asyncio.Runner(loop_factory=partial(VirtualLoop, patience=seconds)) as runner:
        return runner.run(main())


async def wait_in_vain(event):
    await event.wait()


async def outer(event):
    await wait_in_vain(event)


@pytest.mark.slow
def test_a_deadlock_is_reported_with_the_names_and_lines_of_all_who_wait():
    async def main():
        async with asyncio.TaskGroup() as group:
            group.create_task(outer(asyncio.Event()), name="the philosopher")

    with pytest.raises(DeadlockError) as caught:
        run(main)
    report = str(caught.value)
    assert "task 'the philosopher' waits for <Future pending" in report
    for line in ("in main", "in outer", "in wait_in_vain", "await event.wait()"):
        assert line in report


@pytest.mark.slow
def test_the_report_looks_into_async_generators():
    async def numbers():
        yield 1
        await wait_in_vain(asyncio.Event())

    async def main():
        async for _ in numbers():
            pass

    with pytest.raises(DeadlockError, match=r"(?s)in main.*in numbers.*in wait_in_vain"):
        run(main)


@pytest.mark.slow
def test_the_report_names_the_task_that_another_task_waits_for():
    async def main():
        child = asyncio.create_task(wait_in_vain(asyncio.Event()), name="the child")
        await child

    with pytest.raises(DeadlockError, match="waits for task 'the child'"):
        run(main)


@pytest.mark.slow
def test_a_deadlock_is_found_after_the_last_timer():
    async def main():
        await asyncio.sleep(7)
        await asyncio.Event().wait()

    with pytest.raises(DeadlockError, match=r"at virtual time 7\.0"):
        run(main)


@pytest.mark.slow
def test_a_timer_at_infinity_is_no_hope():
    async def main():
        asyncio.get_running_loop().call_later(float("inf"), pytest.fail, "the end of time")
        await asyncio.Event().wait()

    with pytest.raises(DeadlockError):
        run(main)


@pytest.mark.slow
def test_no_handler_of_the_program_can_swallow_the_verdict():
    async def main():
        try:
            await asyncio.Event().wait()
        except RuntimeError:
            return "swallowed"

    with pytest.raises(DeadlockError):
        run(main)


@pytest.mark.slow
def test_the_tasks_are_cancelled_after_the_verdict():
    ended = []

    async def main():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("main")

    with pytest.raises(DeadlockError):
        run(main)
    assert ended == ["main"]


@pytest.mark.slow
def test_a_task_that_swallows_its_cancellation_is_a_deadlock_at_the_end_too():
    async def stubborn():
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                await asyncio.Event().wait()

    async def main():
        task = asyncio.create_task(stubborn(), name="stubborn")
        await asyncio.sleep(1)
        return task

    with pytest.raises(DeadlockError, match="stubborn"):
        run(main)


@pytest.mark.usefixtures("patience_with_strangers")
def test_a_thread_that_nobody_counted_prevents_the_verdict():
    async def main():
        loop = asyncio.get_running_loop()
        answer = loop.create_future()

        def stranger():
            time.sleep(0.05)
            loop.call_soon_threadsafe(answer.set_result, "a stranger's answer")

        thread = threading.Thread(target=stranger)
        thread.start()
        try:
            return await answer
        finally:
            thread.join()

    assert run(main) == "a stranger's answer"


@pytest.mark.usefixtures("patience_with_strangers")
def test_the_threads_of_anyio_are_such_strangers():
    async def main():
        await anyio.to_thread.run_sync(time.sleep, 0.05)
        with anyio.move_on_after(60) as scope:
            await anyio.sleep_forever()
        return scope.cancelled_caught, anyio.current_time()

    assert run(main) == (True, 60)


def test_a_thread_that_waits_for_the_loop_stalls_it_and_is_reported():
    gate = threading.Event()

    async def main():
        await asyncio.to_thread(gate.wait)

    try:
        with pytest.raises(StalledError, match=r"(?s)threads: 1 at work.*task .* in main"):
            run_with_patience(main, 0.05)
    finally:
        gate.set()


def test_a_stalled_run_does_not_wait_for_the_thread_again_on_the_way_out():
    gate = threading.Event()

    async def main():
        with ThreadPoolExecutor(1) as pool:
            assert await asyncio.get_running_loop().run_in_executor(pool, int) == 0
        await asyncio.to_thread(gate.wait)

    try:
        with pytest.raises(StalledError) as caught:
            run_with_patience(main, 0.1)
    finally:
        gate.set()
    assert caught.value.__context__ is None  # a second wait would have failed as well, on top of the first


def test_a_silent_socket_stalls_the_loop():
    async def main():
        left, right = socket.socketpair()
        with left, right:
            left.setblocking(False)
            await asyncio.get_running_loop().sock_recv(left, 1)

    with pytest.raises(StalledError, match="files or sockets: 1 open"):
        run_with_patience(main, 0.05)


def test_with_a_socket_open_timers_keep_real_time():
    async def main():
        loop = asyncio.get_running_loop()
        left, right = socket.socketpair()
        with left, right:
            left.setblocking(False)
            reader = asyncio.create_task(loop.sock_recv(left, 1))
            began = time.monotonic()
            await asyncio.sleep(0.05)
            assert time.monotonic() - began >= 0.05
            assert loop.time() == pytest.approx(0.05, abs=1e-6)
            right.send(b"!")
            return await reader

    assert run(main) == b"!"


def test_a_server_and_its_client_meet_in_one_loop():
    async def echo(reader, writer):
        writer.write(await reader.readline())
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def main():
        async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"hello\n")
            line = await reader.readline()
            writer.close()
            await writer.wait_closed()
        await asyncio.sleep(3600)  # no socket is left: time jumps again
        return line

    assert run(main) == b"hello\n"
