"""Virtual time: it jumps, in order, exactly, and only when nobody has anything to do."""

import asyncio
import gc
import signal
from datetime import UTC, datetime

import pytest

from pynenc_async.clock import SimulatedLoop
from pynenc_async.testing import VirtualLoop, run


def now() -> float:
    return asyncio.get_running_loop().time()


def test_hours_pass_at_once():
    async def main():
        await asyncio.sleep(3600)
        return now()

    assert run(main) == 3600


def test_the_wall_clock_follows_virtual_time_from_a_fixed_epoch():
    async def main():
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        assert isinstance(loop, SimulatedLoop)
        await asyncio.sleep(86_400)
        return datetime.fromtimestamp(loop.wall_time(), UTC)

    assert run(main) == datetime(2000, 1, 2, tzinfo=UTC)


def test_timers_fire_in_order_and_at_their_exact_time():
    async def main():
        fired = []
        loop = asyncio.get_running_loop()
        for delay in (5, 0.1, 3, 1e-3, 0.3, 7200.25):
            loop.call_later(delay, lambda delay=delay: fired.append((delay, now())))
        await asyncio.sleep(10_000)
        return fired

    fired = run(main)
    assert [delay for delay, _ in fired] == sorted(delay for delay, _ in fired)
    assert all(delay == at for delay, at in fired)


def test_no_time_passes_while_something_is_ready():
    async def busy():
        for _ in range(1000):
            await asyncio.sleep(0)
        return now()

    async def main():
        sleeper = asyncio.create_task(asyncio.sleep(1e-6))
        assert await busy() == 0
        assert not sleeper.done()
        await sleeper

    run(main)


def test_a_timeout_fires_at_its_deadline():
    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await asyncio.sleep(3600)
        assert now() == 30
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 12)
        assert now() == 42
        assert await asyncio.wait_for(asyncio.sleep(1, "in time"), 12) == "in time"
        assert now() == 43

    run(main)


def test_a_cancelled_timer_does_not_hold_time_back():
    async def main():
        loop = asyncio.get_running_loop()
        never = loop.call_later(5, pytest.fail, "a cancelled timer fired")
        for timer in [loop.call_later(delay, pytest.fail, "fired") for delay in range(1, 500)]:
            timer.cancel()
        never.cancel()
        await asyncio.sleep(1000)
        return now()

    assert run(main) == 1000


@pytest.mark.parametrize("when", [1e7, 1e10, 3e11, 1e15, 1e18])
def test_a_deadline_millennia_away_does_not_spin(when):
    async def main():
        await asyncio.sleep(when)
        first = now()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(when):
                await asyncio.Event().wait()
        return first, now()

    assert run(main) == (when, 2 * when)


def test_a_task_group_runs_its_children_side_by_side_in_time():
    async def main():
        async with asyncio.TaskGroup() as group:
            children = [group.create_task(asyncio.sleep(hours * 3600, hours)) for hours in range(24)]
        return [child.result() for child in children], now()

    assert run(main) == (list(range(24)), 23 * 3600)


def test_a_failing_child_takes_its_siblings_down_at_once():
    async def fail():
        await asyncio.sleep(1)
        raise LookupError("child")

    async def family():
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
            group.create_task(asyncio.sleep(3600))

    async def main():
        with pytest.raises(ExceptionGroup) as caught:
            await family()
        assert caught.group_contains(LookupError, match="child")
        return now()

    assert run(main) == 1


def test_run_takes_an_async_function_or_a_coroutine_and_returns_the_result():
    async def main():
        return "done"

    assert run(main) == run(main()) == "done"


@pytest.mark.parametrize("error", [ValueError("mine"), SystemExit(3), asyncio.CancelledError("me")])
def test_exceptions_leave_run_as_they_are(error):
    async def main():
        await asyncio.sleep(1)
        raise error

    with pytest.raises(type(error)) as caught:
        run(main)
    assert caught.value.args == error.args


def test_ctrl_c_cancels_the_main_task_and_the_handler_is_restored():
    cleaned_up = []

    async def main():
        try:
            signal.raise_signal(signal.SIGINT)
            await asyncio.sleep(3600)
        finally:
            cleaned_up.append(now())

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(main)
    assert signal.getsignal(signal.SIGINT) is before
    assert cleaned_up == [0]


def test_run_refuses_to_nest_in_one_thread():
    async def inner():
        raise AssertionError("it ran")

    async def main():
        with pytest.raises(RuntimeError, match="another event loop runs"):
            run(inner)
        with pytest.raises(RuntimeError, match="another event loop runs"):
            run(inner())  # and does not warn about a coroutine that was never awaited

    run(main)


def test_a_run_within_a_thread_of_a_run_has_its_own_time():
    async def inner():
        await asyncio.sleep(50)
        return now()

    async def main():
        await asyncio.sleep(1)
        return await asyncio.to_thread(run, inner), now()

    assert run(main) == (50, 1)


def test_debug_mode_is_passed_on():
    async def main():
        await asyncio.sleep(60)
        return asyncio.get_running_loop().get_debug()

    assert run(main, debug=True) is True
    assert run(main) is False


def test_the_loop_is_closed_and_leaves_no_warning_behind():
    loops = []

    async def forgotten():
        await asyncio.sleep(3600)

    async def main():
        loops.append(asyncio.get_running_loop())
        loops.append(asyncio.create_task(forgotten()))
        await asyncio.to_thread(int)

    run(main)
    assert loops[0].is_closed()
    assert loops.pop().cancelled()
    loops.clear()
    gc.collect()
