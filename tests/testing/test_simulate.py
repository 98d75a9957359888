"""A whole program under a seed: it repeats, it costs no time, it says how to repeat a failure."""

import asyncio
import logging
import random
import threading
import time

import pytest

from pynenc_async import Pynenc, RetryError
from pynenc_async.testing import DeadlockError, Simulation, VirtualLoop, simulate

pytestmark = pytest.mark.usefixtures("whole_pieces")


async def backs_off_for_hours():
    app = Pynenc()
    attempts = []

    @app.task(max_retries=5)
    async def flaky():
        attempts.append(asyncio.get_running_loop().time())
        if len(attempts) < 5:
            raise RetryError(after=3600 * 2 ** len(attempts))
        return len(attempts)

    return await flaky()


def test_hours_of_backoff_pass_in_virtual_time():
    result = simulate(backs_off_for_hours, seed=3)
    assert result == Simulation(value=5, seed=3, seconds=3600 * (2 + 4 + 8 + 16))


def shuffled_order(*, threads):
    async def main():
        app = Pynenc()
        order = []

        if threads:

            @app.task
            def work(number):
                return number
        else:

            @app.task
            async def work(number):
                await asyncio.sleep(1)
                return number

        async def reader(number):
            order.append(await work(number))

        await asyncio.gather(*map(reader, range(4)))
        return tuple(order), random.random()

    return main


@pytest.mark.parametrize("threads", [False, True])
def test_the_same_seed_does_the_same(threads):
    main = shuffled_order(threads=threads)
    for seed in range(10):
        assert len({simulate(main, seed=seed).value for _ in range(3)}) == 1


@pytest.mark.parametrize("threads", [False, True])
def test_other_seeds_do_otherwise(threads):
    orders = {simulate(shuffled_order(threads=threads), seed=seed).value[0] for seed in range(30)}
    assert len(orders) > 5


def test_threads_of_asyncio_are_heard_in_an_order_that_the_seed_decides():
    async def main():
        order = []

        async def ask(number):
            order.append(await asyncio.to_thread(int, number))

        await asyncio.gather(*map(ask, range(4)))
        return tuple(order)

    runs = [[simulate(main, seed=seed).value for seed in range(20)] for _ in range(3)]
    assert runs[0] == runs[1] == runs[2]
    assert len(set(runs[0])) > 5


def test_random_is_seeded_for_the_run_and_given_back_after_it():
    async def draw():
        return random.random()

    async def draw_and_fail():
        raise ValueError(random.random())

    random.seed(1)
    state = random.getstate()
    first, again, other = (simulate(draw, seed=seed).value for seed in (1, 1, 2))
    assert first == again != other
    with pytest.raises(ValueError, match=str(first)):
        simulate(draw_and_fail, seed=1)
    assert random.getstate() == state


def test_a_failure_says_how_to_repeat_it():
    async def main():
        await asyncio.sleep(60)
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken") as caught:
        simulate(main, seed=7)
    (note,) = caught.value.__notes__
    assert "seed 7, at virtual time 60.0" in note
    assert "simulate(test_simulate.test_a_failure_says_how_to_repeat_it.<locals>.main, seed=7)" in note


def test_a_failure_that_is_raised_twice_is_noted_for_each_run():
    error = ValueError("shared")

    async def main():
        raise error

    for seed in (1, 2):
        with pytest.raises(ValueError, match="shared"):
            simulate(main, seed=seed)
    assert len(error.__notes__) == 2


@pytest.mark.slow
def test_a_deadlock_is_reported_with_the_seed():
    async def main():
        app = Pynenc()

        @app.task
        async def forever():
            await asyncio.Event().wait()

        await forever()

    with pytest.raises(DeadlockError) as caught:
        simulate(main, seed=5)
    assert "await forever()" in str(caught.value)
    assert "seed 5" in caught.value.__notes__[0]


def test_one_app_can_be_simulated_again_and_again():
    app = Pynenc()

    @app.task
    async def double(number):
        await asyncio.sleep(number)
        return 2 * number

    @app.task
    def in_thread(number):
        return double(number).result

    async def main():
        async with app:
            return await double(3) + await in_thread(4)

    for seed in range(5):
        assert simulate(main, seed=seed) == Simulation(value=14, seed=seed, seconds=7)


def test_nothing_is_left_behind(caplog):
    async def main():
        app = Pynenc()

        @app.task
        def work():
            return threading.current_thread()

        async with app:
            return await work(), asyncio.get_running_loop()

    with caplog.at_level(logging.WARNING):
        thread, loop = simulate(main).value
    thread.join(30)
    assert not thread.is_alive()
    assert isinstance(loop, VirtualLoop)
    assert loop.is_closed()
    assert not caplog.records


@pytest.mark.parametrize("make", [lambda: 3, lambda: None])
def test_what_gives_no_coroutine_is_refused(make):
    with pytest.raises(TypeError, match="async function without parameters"):
        simulate(make)


def test_a_coroutine_is_refused_because_it_cannot_be_run_again():
    async def main():
        raise AssertionError

    with pytest.raises(TypeError, match="run again"):
        simulate(main())


async def test_a_simulation_does_not_run_inside_of_a_loop():
    with pytest.raises(RuntimeError, match="another event loop"):
        simulate(backs_off_for_hours)


def test_an_app_that_nobody_shuts_down_leaves_no_threads():
    async def main():
        app = Pynenc()

        @app.task
        def work():
            return threading.current_thread()

        return await work()

    thread = simulate(main).value
    thread.join(30)
    assert not thread.is_alive()


def test_work_for_the_loop_is_waited_for_though_it_is_slow():
    async def main():
        app = Pynenc()

        @app.task
        def slow():
            time.sleep(0.05)
            return "slow"

        handle = slow()
        async with asyncio.timeout(1e-3):
            return await handle

    assert simulate(main, seed=1).value == "slow"
