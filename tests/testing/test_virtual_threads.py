"""In virtual time a thread takes no time, however long it takes."""

import asyncio
import threading
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest

from pynenc_async.testing import VirtualLoop, run, wait_all_tasks_blocked

SLOWLY = 0.02


def now() -> float:
    return asyncio.get_running_loop().time()


def test_time_stands_still_while_a_thread_works():
    async def main():
        for _ in range(20):
            async with asyncio.timeout(1e-3):
                await asyncio.to_thread(time.sleep, SLOWLY / 10)
        assert now() == 0

    run(main)


def test_many_quick_threads_never_lose_against_a_timer():
    async def main():
        for _ in range(300):
            async with asyncio.timeout(1e-6):
                await asyncio.to_thread(int)
        return now()

    assert run(main) == 0
    assert run(main, seed=1) == 0


def test_time_stands_still_for_a_thread_whose_waiter_was_cancelled():
    begun, ended = threading.Event(), []

    def work():
        begun.set()
        time.sleep(SLOWLY)
        ended.append("thread")

    async def main():
        waiter = asyncio.create_task(asyncio.to_thread(work))
        await asyncio.sleep(0)
        begun.wait()  # what has not begun could still be cancelled
        waiter.cancel()
        await asyncio.sleep(3600)
        ended.append("timer")
        assert waiter.cancelled()

    run(main)
    assert ended == ["thread", "timer"]


def test_work_that_is_cancelled_in_the_queue_of_its_pool_is_not_waited_for():
    gate = threading.Event()

    async def main():
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1) as pool:
            running = loop.run_in_executor(pool, gate.wait)
            queued = loop.run_in_executor(pool, pytest.fail, "it ran")
            queued.cancel()
            await asyncio.sleep(0)
            gate.set()
            await running
            await asyncio.sleep(60)
        return now()

    assert run(main) == 60


def test_errors_and_results_come_through_an_executor():
    async def main():
        assert await asyncio.to_thread(divmod, 7, 2) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(divmod, 7, 0)
        await asyncio.sleep(60)

    run(main, debug=True)


def test_a_pool_that_refuses_work_leaves_the_count_as_it_was():
    async def main():
        pool = ThreadPoolExecutor(1)
        pool.shutdown()
        with pytest.raises(RuntimeError, match="after shutdown"):
            await asyncio.get_running_loop().run_in_executor(pool, int)
        await asyncio.sleep(60)

    run(main)


def test_a_default_executor_can_be_set():
    async def main():
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1, thread_name_prefix="mine"))
        return await loop.run_in_executor(None, lambda: threading.current_thread().name)

    assert run(main).startswith("mine")


def test_the_pool_is_joined_at_the_end_of_the_run():
    names = []

    async def main():
        names.append(await asyncio.to_thread(lambda: threading.current_thread().name))

    run(main)
    assert names[0] not in {thread.name for thread in threading.enumerate()}


def test_a_closed_loop_takes_no_work():
    loop = VirtualLoop()
    loop.close()
    with pytest.raises(RuntimeError, match="closed"):
        loop.run_in_executor(None, int)


def test_a_pool_of_its_own_counts_its_work():
    async def main():
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        answer = loop.create_future()

        def work():
            time.sleep(SLOWLY)
            loop.call_soon_threadsafe(answer.set_result, "counted")
            loop.thread_work_ended()

        loop.thread_work_began()
        thread = threading.Thread(target=work)
        thread.start()
        async with asyncio.timeout(1e-3):
            result = await answer
        thread.join()
        await asyncio.sleep(60)
        return result

    assert run(main) == "counted"


def test_a_count_that_falls_without_a_delivery_wakes_the_loop():
    async def main():
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.thread_work_began()
        timer = threading.Timer(SLOWLY, loop.thread_work_ended)
        timer.start()
        await asyncio.sleep(60)
        timer.join()

    run(main)


def test_counting_down_too_often_is_an_error():
    async def main():
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        with pytest.raises(RuntimeError, match="more often"):
            loop.thread_work_ended()

    run(main)


def test_the_end_of_work_after_the_end_of_the_loop_is_harmless():
    loop = VirtualLoop()
    loop.thread_work_began()
    loop.close()
    loop.thread_work_ended()


def test_a_thread_that_waits_for_the_loop_steps_out_of_the_count():
    async def long_work():
        await asyncio.sleep(3600)
        return "slept"

    async def main():
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)

        def call_back():
            future = asyncio.run_coroutine_threadsafe(long_work(), loop)
            future.add_done_callback(lambda _: loop.thread_work_began())
            loop.thread_work_ended()
            return future.result()

        return await asyncio.to_thread(call_back), now()

    assert run(main) == ("slept", 3600)


def test_quiescence_waits_for_threads():
    ended = []

    def work():
        time.sleep(SLOWLY)
        ended.append("thread")

    async def main():
        task = asyncio.create_task(asyncio.to_thread(work))
        await wait_all_tasks_blocked()
        assert ended == ["thread"]
        assert task.done()
        with pytest.raises((asyncio.CancelledError, CancelledError)):
            await cancelled_before_start()

    async def cancelled_before_start():
        asyncio.current_task().cancel()
        await asyncio.to_thread(int)

    run(main)
