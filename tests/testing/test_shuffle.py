"""A seed reorders what asyncio does not promise, always in the same way, and nothing else."""

import asyncio
import random
import subprocess
import sys
import threading
from itertools import permutations

import pytest

from pynenc_async.clock import tie_break_of
from pynenc_async.testing import VirtualLoop, run

pytestmark = pytest.mark.usefixtures("whole_pieces")

SEEDS = range(40)


async def order_of_starts(count=6):
    order = []

    async def child(number):
        for _ in range(3):
            order.append(number)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(child(number))
    return tuple(order)


async def order_of_wakeups():
    order = []

    async def child(number, event):
        await event.wait()
        order.append(number)

    event = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for number in range(3):
            group.create_task(child(number, event))
        await asyncio.sleep(1)
        event.set()
    return tuple(order)


async def order_of_equal_timers():
    order = []

    async def child(number):
        await asyncio.sleep(1)
        order.append(number)

    await asyncio.gather(*map(child, range(3)))
    return tuple(order)


async def order_of_threads():
    order = []

    async def child(number):
        await asyncio.to_thread(int)
        order.append(number)

    await asyncio.gather(*map(child, range(3)))
    return tuple(order)


def test_without_a_seed_the_order_is_that_of_asyncio():
    assert run(order_of_starts) == asyncio.run(order_of_starts()) == tuple(range(6)) * 3
    assert {run(order_of_wakeups) for _ in range(5)} == {(0, 1, 2)}


@pytest.mark.slow
@pytest.mark.parametrize("program", [order_of_starts, order_of_wakeups, order_of_equal_timers, order_of_threads])
def test_the_same_seed_gives_the_same_order(program):
    for seed in SEEDS:
        assert run(program, seed=seed) == run(program, seed=seed)


@pytest.mark.parametrize("program", [order_of_wakeups, order_of_equal_timers, order_of_threads])
def test_different_seeds_find_every_order(program):
    assert {run(program, seed=seed) for seed in SEEDS} == set(permutations(range(3)))


@pytest.mark.slow
def test_a_seed_means_the_same_in_another_process():
    program = (
        "import asyncio, random\n"
        "from pynenc_async.testing import run\n"
        "async def main():\n"
        "    order = []\n"
        "    async def child(n): order.append(n)\n"
        "    await asyncio.gather(*map(child, range(20)))\n"
        "    return order, asyncio.get_running_loop().tie_break.random()\n"
        "print(run(main, seed=5))\n"
    )
    outputs = {
        subprocess.run(  # noqa: S603  # this interpreter, and the text above
            [sys.executable, "-c", program], check=True, capture_output=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_no_step_crosses_a_turn():
    for seed in SEEDS:
        order = run(order_of_starts, seed=seed)
        assert [set(order[turn * 6 : turn * 6 + 6]) for turn in range(3)] == [set(range(6))] * 3


def test_plain_callbacks_keep_their_order_among_themselves():
    async def main():
        loop = asyncio.get_running_loop()
        order = []

        async def step():
            await asyncio.sleep(0)

        async with asyncio.TaskGroup() as group:
            for number in range(10):
                loop.call_soon(order.append, number)
                group.create_task(step())
                loop.call_soon_threadsafe(order.append, number + 0.5)
        return order

    expected = [half / 2 for half in range(20)]
    for seed in SEEDS:
        assert run(main, seed=seed) == expected


def test_a_public_method_of_a_task_is_a_plain_callback():
    async def main():
        loop = asyncio.get_running_loop()
        names = []
        tasks = [asyncio.create_task(asyncio.sleep(0)) for _ in range(6)]
        for number, task in enumerate(tasks):
            loop.call_soon(task.set_name, f"named {number}")
            loop.call_soon(lambda task=task: names.append(task.get_name()))
        await asyncio.wait(tasks)
        return names

    for seed in SEEDS:
        assert run(main, seed=seed) == [f"named {number}" for number in range(6)]


def test_what_one_thread_sends_arrives_in_the_order_in_which_it_was_sent():
    async def main():
        loop = asyncio.get_running_loop()
        received = []

        def send(name):
            for number in range(20):
                loop.call_soon_threadsafe(received.append, (name, number))

        senders = [threading.Thread(target=send, args=(name,)) for name in "ab"]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()  # blocks the loop on purpose: all forty arrive in one turn
        await asyncio.sleep(0)
        return received

    arrivals = [run(main, seed=seed) for seed in range(10)]
    for received in arrivals:
        assert len(received) == 40
        assert [number for name, number in received if name == "a"] == list(range(20))
        assert [number for name, number in received if name == "b"] == list(range(20))
    assert len({tuple(name for name, _ in received) for received in arrivals}) == 10


def test_the_tie_break_is_there_with_a_seed_only_and_independent_of_the_turns():
    async def main():
        tie_break = tie_break_of(asyncio.get_running_loop())
        return tie_break and tie_break.random()

    async def draws_then_order():
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        assert isinstance(loop.tie_break, random.Random)
        for _ in range(100):
            loop.tie_break.random()
        return await order_of_starts()

    assert run(main) is None
    assert run(main, seed=1) == run(main, seed=1) != run(main, seed=2)
    assert run(draws_then_order, seed=1) == run(order_of_starts, seed=1)


def test_a_race_that_asyncio_hides_is_found():
    async def main():
        account = {"balance": 100}

        async def withdraw():
            if account["balance"] >= 100:  # the check and the act are in different turns: a race
                await asyncio.sleep(0)
                account["balance"] -= 100

        async def audit():
            await asyncio.sleep(0)
            return account["balance"]

        balance, _ = await asyncio.gather(audit(), withdraw())
        return balance

    assert asyncio.run(main()) == 100
    assert {run(main, seed=seed) for seed in SEEDS} == {0, 100}


def test_seeded_mode_works_in_debug_mode_too():
    async def main():
        return await order_of_starts(), await order_of_threads()

    starts, threads = run(main, seed=3, debug=True)
    assert sorted(threads) == [0, 1, 2]
    assert starts == run(order_of_starts, seed=3)
