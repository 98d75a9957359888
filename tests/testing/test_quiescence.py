"""Waiting until nobody has anything to do, and deciding who goes first."""

import asyncio

import pytest

from pynenc_async.testing import DeadlockError, SequenceBrokenError, Sequencer, run, wait_all_tasks_blocked


def test_it_returns_when_all_others_are_blocked_and_no_time_has_passed():
    async def main():
        steps = []

        async def chatter():
            for step in range(50):
                await asyncio.sleep(0)
                steps.append(step)
            await asyncio.sleep(1)
            steps.append("woken")

        task = asyncio.create_task(chatter())
        await wait_all_tasks_blocked()
        assert steps == list(range(50))
        assert asyncio.get_running_loop().time() == 0
        await task
        assert steps[-1] == "woken"

    run(main)
    run(main, seed=0)


def test_it_can_be_called_again_and_by_several_at_once():
    async def main():
        async def observer():
            await wait_all_tasks_blocked()
            return asyncio.get_running_loop().time()

        assert await asyncio.gather(observer(), observer()) == [0, 0]
        await asyncio.sleep(1)
        assert await asyncio.gather(observer(), observer()) == [1, 1]

    run(main)


@pytest.mark.slow
def test_a_cancelled_observer_is_forgotten():
    async def main():
        observer = asyncio.create_task(wait_all_tasks_blocked())
        asyncio.get_running_loop().call_soon(observer.cancel)
        await asyncio.sleep(1)
        assert observer.cancelled()
        await asyncio.Event().wait()

    with pytest.raises(DeadlockError):
        run(main)


def test_other_loops_cannot_know_and_say_so():
    with pytest.raises(RuntimeError, match="needs the simulated loop"):
        asyncio.run(wait_all_tasks_blocked())


async def everybody_has_started():
    await asyncio.sleep(0)  # to the next turn, in which a seed may put us first
    await asyncio.sleep(0)


async def test_blocks_run_in_the_order_of_their_numbers():
    seq = Sequencer()
    order = []

    async def even():
        async with seq(0):
            order.append(0)
        async with seq(2):
            await asyncio.sleep(0)
            order.append(2)

    async def odd():
        async with seq(3):
            order.append(3)

    async def first_odd():
        async with seq(1):
            await asyncio.sleep(0)
            order.append(1)

    async with asyncio.TaskGroup() as group:
        for block in (odd(), first_odd(), even()):
            group.create_task(block)
    assert order == [0, 1, 2, 3]


async def test_an_exception_in_a_block_passes_the_turn_on():
    seq = Sequencer()
    with pytest.raises(LookupError):
        async with seq(0):
            raise LookupError
    async with seq(1):
        pass


async def test_a_position_is_used_once_and_starts_at_zero():
    seq = Sequencer()
    async with seq(0):
        pass
    with pytest.raises(ValueError, match="position 0 is taken already"):
        async with seq(0):
            pass
    with pytest.raises(ValueError, match="position -1 is negative"):
        async with seq(-1):
            pass


async def test_a_cancelled_position_breaks_the_sequence_for_the_later_ones_only():
    seq = Sequencer()
    ran = []

    async def block(position):
        async with seq(position):
            ran.append(position)

    one, two, three = (asyncio.create_task(block(position)) for position in (1, 2, 3))
    await everybody_has_started()
    two.cancel()
    with pytest.raises(SequenceBrokenError, match="position 3 will never have its turn: position 2 was cancelled"):
        await three
    with pytest.raises(SequenceBrokenError):
        await block(4)
    await block(0)
    await one
    assert ran == [0, 1]
    assert two.cancelled()


async def test_a_cancellation_that_meets_the_turn_breaks_the_sequence_too():
    seq = Sequencer()

    async def block(position):
        async with seq(position):
            pass

    one, two = (asyncio.create_task(block(position)) for position in (1, 2))
    await everybody_has_started()
    async with seq(0):
        pass
    one.cancel()
    with pytest.raises(SequenceBrokenError):
        await two
    assert one.cancelled()


@pytest.mark.slow
def test_an_incomplete_sequence_is_a_deadlock():
    async def main():
        async with Sequencer()(1):
            pass

    with pytest.raises(DeadlockError, match="_wait_for_turn"):
        run(main)
