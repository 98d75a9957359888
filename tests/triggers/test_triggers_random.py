"""Random crowds with retries, delays, limits, expiry, threads and cancellations: every transition fires exactly once.

The judge is the history: for each invocation the statuses that were told are those of its history, in their order, also
when the app is shut down in the middle. What a shutdown keeps from firing is counted in the log.
"""

import asyncio
import logging
from collections import defaultdict
from dataclasses import dataclass

import pytest
from helpers import S, assert_at_rest, assert_lawful, examples, statuses
from hypothesis import given, settings
from hypothesis import strategies as st
from trigger_world import settled, task_of

from pynenc_async import (
    AppNotStartedError,
    Pass,
    Pynenc,
    RetryError,
    current_invocation,
    emitted,
    failed,
    reached,
    returned,
    succeeded,
)
from pynenc_async.telemetry import logger
from pynenc_async.testing import run

logger.addFilter(lambda entry: "random_work" not in getattr(entry, "task_id", ""))  # nobody looks at failures


@dataclass(frozen=True)
class Call:
    """One call: when, how, and what its body does."""

    arrives: float
    delay: float
    from_thread: bool
    runs_in_thread: bool
    sleeps: float
    fails: int
    cancelled_after: float | None
    emits: bool


CALLS = st.lists(
    st.builds(
        Call,
        arrives=st.sampled_from((0, 0, 0.5, 1)),
        delay=st.sampled_from((0, 0, 0, 1)),
        from_thread=st.sampled_from((False, False, False, True)),
        runs_in_thread=st.sampled_from((False, False, True)),
        sleeps=st.sampled_from((0, 0, 0.5, 3)),
        fails=st.integers(0, 2),
        cancelled_after=st.sampled_from((None, None, None, 0, 0.5, 2)),
        emits=st.sampled_from((False, True)),
    ),
    min_size=1,
    max_size=15,
)


class Refusals(logging.Handler):
    """How many transitions a shutdown kept from firing."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def emit(self, record):
        self.count += getattr(record, "refused", 0)


class World:
    """An app whose triggers write down what they are told."""

    def __init__(self, *, limited, drop):
        self.app = Pynenc(max_concurrency=3, max_threads=2)
        self.told = defaultdict(list)
        self.fired = defaultdict(list)
        self.emissions = 0
        limits = {"running_concurrency": "task", "running_limit": 2, "on_limit": "drop" if drop else "wait"}
        options = {"max_retries": 1, "expires_in": 2, "detect_cycles": False, **(limits if limited else {})}

        async def random_work(call):
            self._emit(call)
            await asyncio.sleep(call.sleeps)
            return self._end(call)

        def random_work_in_thread(call):
            self._emit(call)
            return self._end(call)

        self.in_loop = task_of(self.app, random_work, "random_work", **options)
        self.in_thread = task_of(self.app, random_work_in_thread, "random_work_in_thread", **options)
        self._declare()

    def _emit(self, call):
        if call.emits:
            self.emissions += len(self.app.emit("begun", current_invocation().invocation_id))

    def _end(self, call):
        if current_invocation().num_retries < call.fails:
            raise RetryError
        return call.sleeps

    def _declare(self):
        async def note(name, invocation_id, value):
            self.fired[name].append((invocation_id, value))

        async def note_key(event):
            self.fired["both"].append(event.key)

        def tell(event):
            self.told[event.last.invocation_id].append(event.last.status)
            return ("any", event.last.invocation_id, None)

        note = task_of(self.app, note, "note")
        tasks = (self.in_loop, self.in_thread)

        def of_both(condition):
            return condition(tasks[0]) | condition(tasks[1])

        on = self.app.on
        on(of_both(lambda task: reached(task, *S)), name="any", arguments=tell)(note)

        def noting(name):
            return lambda event: (name, event.last.invocation_id, event.last.value)

        on(of_both(succeeded), name="good", arguments=noting("good"))(note)
        on(of_both(failed), name="bad", arguments=noting("bad"))(note)
        on(of_both(lambda task: returned(task, 0.5)), name="half", arguments=noting("half"))(note)
        on(emitted("begun"), name="begun", arguments=noting("begun"))(note)
        on(
            of_both(succeeded) & emitted("begun"), name="both", arguments=Pass.EVENT,
            by=lambda one: one.payload if one.event else one.invocation_id,
        )(task_of(self.app, note_key, "note_key"))  # fmt: skip

    async def make(self, call):
        await asyncio.sleep(call.arrives)
        task = (self.in_thread if call.runs_in_thread else self.in_loop).with_options(delay=call.delay)
        handle = await asyncio.to_thread(task, call) if call.from_thread else task(call)
        if call.cancelled_after is not None:
            await asyncio.sleep(call.cancelled_after)
            await handle.cancel()
        await handle.wait()
        return handle

    def judge(self, handles, refused=0):
        missing = 0
        for handle in handles:
            assert_lawful(handle)
            told, happened = self.told[handle.invocation_id], statuses(handle)
            assert told == happened[: len(told)], "in order, and none twice"
            missing += len(happened) - len(told)
        if not refused:
            assert missing == 0
        by_id = {handle.invocation_id: handle for handle in handles}
        told = {one for one, seen in self.told.items() if seen and seen[-1].is_final()}
        good = [one for one, handle in by_id.items() if handle.status is S.SUCCESS and one in told]
        bad = [one for one, handle in by_id.items() if handle.status is S.FAILED and one in told]
        halves = [one for one in good if by_id[one].result == 0.5]
        return missing, good, bad, halves

    def judge_fired(self, good, bad, halves):
        assert sorted(one for one, _ in self.fired["good"]) == sorted(good)
        assert sorted(one for one, _ in self.fired["bad"]) == sorted(bad)
        assert sorted(one for one, _ in self.fired["half"]) == sorted(halves)
        assert len(self.fired["begun"]) == self.app.triggers["begun"].fired == self.emissions
        begun = {value for _, value in self.fired["begun"]}
        assert sorted(self.fired["both"]) == sorted(begun & set(good))


async def all_in_time(world, calls):
    await world.app.start()
    async with asyncio.timeout(10_000):
        handles = await asyncio.gather(*map(world.make, calls))
        await settled(world.app)
    _, *expected = world.judge(handles)
    world.judge_fired(*expected)
    await assert_at_rest(world.app)


async def shut_down_early(world, calls, moment, drain_seconds):
    await world.app.start()
    making = [asyncio.ensure_future(world.make(call)) for call in calls]
    await asyncio.sleep(moment)
    refusals = Refusals()
    logger.addHandler(refusals)
    try:
        await world.app.shutdown(drain_seconds)
    finally:
        logger.removeHandler(refusals)
    outcomes = await asyncio.gather(*making, return_exceptions=True)
    late = [one for one in outcomes if isinstance(one, BaseException)]
    assert all(isinstance(error, AppNotStartedError) for error in late), late
    handles = world.app.invocations(task=world.in_loop) + world.app.invocations(task=world.in_thread)
    missing, *expected = world.judge(handles, refusals.count)
    assert missing == refusals.count
    fired = {name: trigger.fired for name, trigger in world.app.triggers.items()}
    assert [fired[name] for name in ("good", "bad", "half")] == [len(some) for some in expected]
    await assert_at_rest(world.app)


@pytest.mark.slow
@settings(deadline=None, max_examples=examples(100))
@given(calls=CALLS, limited=st.booleans(), drop=st.booleans(), seed=st.integers(0, 1_000))
def test_every_transition_fires_exactly_once(calls, limited, drop, seed):
    run(all_in_time(World(limited=limited, drop=drop), calls), seed=seed)


@pytest.mark.slow
@settings(deadline=None, max_examples=examples(100))
@given(
    calls=CALLS,
    limited=st.booleans(),
    moment=st.sampled_from((0, 0.2, 0.7, 1.2, 3.1)),
    drain_seconds=st.sampled_from((0, 1)),
    seed=st.integers(0, 1_000),
)
def test_a_shutdown_at_any_moment_loses_nothing_unsaid(calls, limited, moment, drain_seconds, seed):
    run(shut_down_early(World(limited=limited, drop=False), calls, moment, drain_seconds), seed=seed)


@pytest.mark.soak
@pytest.mark.timeout(3_600)
@settings(deadline=None, max_examples=5_000)
@given(calls=CALLS, limited=st.booleans(), drop=st.booleans(), seed=st.integers(0, 1_000))
def test_soak_of_random_crowds(calls, limited, drop, seed):
    run(all_in_time(World(limited=limited, drop=drop), calls), seed=seed)
