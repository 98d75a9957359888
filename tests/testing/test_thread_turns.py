"""In seeded mode threads take turns: what they do together depends on the seed, and on nothing else."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from pynenc_async import Pynenc
from pynenc_async.testing import VirtualLoop, explore, run, simulate


async def bodies_that_submit_and_wait():
    app, order = Pynenc(max_threads=2), []

    @app.task
    async def child(number):
        order.append(number)
        await asyncio.sleep(1)
        return number

    @app.task
    def body(number):
        first, second = child(10 * number), child(10 * number + 1)
        order.append(f"body {number}")
        return first.result + second.result

    async with app:
        total = await asyncio.gather(*map(body, range(4)))
    return total, order


async def functions_that_share_a_list():
    order = []

    def work(number):
        order.append(number)
        asyncio.run_coroutine_threadsafe(note(number), loop)

    async def note(number):
        order.append(f"noted {number}")

    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(2) as pool:
        waiting = [loop.run_in_executor(pool, work, number) for number in range(3)]
        waiting += [asyncio.to_thread(work, number) for number in range(3, 6)]
        await asyncio.gather(*waiting)
    await asyncio.sleep(1)
    return order


@pytest.mark.slow
@pytest.mark.usefixtures("whole_pieces")
@pytest.mark.parametrize("main", [bodies_that_submit_and_wait, functions_that_share_a_list])
def test_a_seed_decides_what_threads_do_together(main):
    runs = [[str(simulate(main, seed=seed).value) for seed in range(8)] for _ in range(4)]
    assert runs[1:] == [runs[0]] * 3
    assert len(set(runs[0])) > 3


async def loses_an_update():
    app, account = Pynenc(), {"balance": 0}

    @app.task
    async def audit():
        return None

    @app.task
    def deposit(amount):
        if amount == 1:
            audit().result  # noqa: B018  reading it waits
        balance = account["balance"]
        if amount == 2:
            audit().result  # noqa: B018
        account["balance"] = balance + amount

    async with app:
        await asyncio.gather(deposit(1), deposit(2))
    assert account["balance"] == 3


@pytest.mark.slow
@pytest.mark.usefixtures("whole_pieces")
def test_a_race_between_bodies_in_threads_is_found_and_repeats():
    found = explore(loses_an_update, seeds=40)
    assert 0 < len(found.failures) < 40
    failing, passing = next(iter(found.failures)), next(seed for seed in found.seeds if seed not in found.failures)
    for _ in range(5):
        simulate(loses_an_update, seed=passing)
        with pytest.raises(AssertionError):
            simulate(loses_an_update, seed=failing)


def test_bodies_that_wait_for_one_another_get_through():
    async def main():
        app, opened = Pynenc(), threading.Event()

        @app.task
        def waits():
            return opened.wait(30)

        @app.task
        def opens():
            opened.set()

        async with app:
            handles = [waits(), opens(), waits()]
            return [await handle for handle in handles]

    for seed in range(4):
        assert simulate(main, seed=seed).value == [True, None, True]


def test_functions_of_one_pool_that_wait_for_one_another_get_through():
    async def main():
        opened = threading.Event()
        return await asyncio.gather(asyncio.to_thread(opened.wait, 30), asyncio.to_thread(opened.set))

    assert simulate(main, seed=1).value == [True, None]


def test_time_stands_still_for_a_thread_that_has_lost_its_turn():
    async def main():
        async with asyncio.timeout(1e-3):
            return await asyncio.gather(*(asyncio.to_thread(time.sleep, 0.03) for _ in range(3)))

    assert simulate(main, seed=1).seconds == 0


def test_a_piece_that_is_cancelled_before_it_begins_holds_up_nobody():
    async def main():
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1) as pool:
            first = loop.run_in_executor(pool, time.sleep, 0.03)
            second = loop.run_in_executor(pool, pytest.fail, "it ran")
            second.cancel()
            third = loop.run_in_executor(pool, int)
            await first
            return await third

    assert simulate(main, seed=1).value == 0


def test_a_timeout_of_a_thread_that_waits_gives_its_turn_back():
    async def main():
        app, gate = Pynenc(), asyncio.Event()

        @app.task
        async def child():
            await gate.wait()
            return "done"

        @app.task
        def body():
            handle = child()
            with pytest.raises(TimeoutError):
                handle.blocking_result(timeout=0.01)
            asyncio.run_coroutine_threadsafe(open_gate(), loop)
            return handle.result

        async def open_gate():
            gate.set()

        loop = asyncio.get_running_loop()
        async with app:
            return await body()

    assert simulate(main, seed=1).value == "done"


def test_threads_that_wait_for_their_turn_end_with_the_loop():
    loop = VirtualLoop(seed=1)
    turn = loop.new_thread_turn()
    waiting = threading.Thread(target=turn.wait)
    waiting.start()
    loop.close()
    waiting.join(30)
    assert not waiting.is_alive()


def test_without_a_seed_threads_run_freely():
    async def main():
        assert asyncio.get_running_loop().new_thread_turn() is None
        barrier = threading.Barrier(3, timeout=30)
        return sorted(await asyncio.gather(*(asyncio.to_thread(barrier.wait) for _ in range(3))))

    assert run(main) == [0, 1, 2]
