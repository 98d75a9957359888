"""The runtime takes time and ties from the loop that it runs on."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

from pynenc_async import Pynenc
from pynenc_async.clock import SimulatedLoop, thread_work_of, tie_break_of, wall_clock_of
from pynenc_async.testing import VirtualLoop, now, simulate


def test_a_real_loop_has_the_clock_of_the_machine_and_no_tie_break():
    loop = asyncio.new_event_loop()
    try:
        assert not isinstance(loop, SimulatedLoop)
        assert wall_clock_of(loop) is time.time
        assert tie_break_of(loop) is None
        began, ended = thread_work_of(loop)
        ended()
        began()
    finally:
        loop.close()


def test_no_loop_has_the_clock_of_the_machine():
    assert wall_clock_of(None) is time.time


def test_a_simulated_loop_has_its_own():
    loop = VirtualLoop(seed=1)
    try:
        assert isinstance(loop, SimulatedLoop)
        assert wall_clock_of(loop)() == 946_684_800
        assert tie_break_of(loop) is loop.tie_break is not None
        assert thread_work_of(loop) == (loop.thread_work_began, loop.thread_work_ended)
    finally:
        loop.close()


def test_the_time_of_day_is_told_as_the_program_under_test_lives_it():
    async def scenario():
        app = Pynenc()

        @app.task
        async def in_the_loop():
            return now()

        @app.task
        def in_a_thread():
            return now()

        async with app:
            await asyncio.sleep(86_400)
            return now(), await in_the_loop(), await in_a_thread()

    assert simulate(scenario).value == (datetime(2000, 1, 2, tzinfo=UTC),) * 3


async def test_elsewhere_it_is_the_real_one():
    loop = asyncio.get_running_loop()
    expected = datetime.fromtimestamp(wall_clock_of(loop)(), UTC)
    assert abs(now() - expected) < timedelta(minutes=1)
