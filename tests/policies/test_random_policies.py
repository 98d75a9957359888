"""Random crowds of tasks with limits, rates, priorities, delays, retries, timeouts and cancellations, against invariants:
no limit is ever exceeded, everything ends, histories are lawful, and nothing is left."""

import asyncio
from collections import Counter
from dataclasses import dataclass

import pytest
from helpers import S, assert_at_rest, assert_lawful, examples
from hypothesis import given, settings
from hypothesis import strategies as st

from pynenc_async import AppNotStartedError, Pynenc, Rate, RetryError, current_invocation
from pynenc_async.telemetry import logger
from pynenc_async.testing import run

logger.addFilter(lambda entry: "test_random_policies" not in getattr(entry, "task_id", ""))  # nobody looks at failures
FINAL = {S.SUCCESS, S.FAILED, S.CANCELLED, S.CONCURRENCY_CONTROLLED_FINAL}


@dataclass(frozen=True)
class Rules:
    """The options of one task."""

    limit: int
    total: int | None
    rate: float | None
    drop: bool
    timeout: float | None
    retries: int
    retry_delay: float
    expires_in: float | None
    in_thread: bool

    def options(self):
        return {
            "running_concurrency": "keys",
            "key_arguments": "key",
            "running_limit": self.limit,
            "running_total": self.total,
            "rate_limit": None if self.rate is None else Rate(self.rate),
            "on_limit": "drop" if self.drop else "wait",
            "timeout": self.timeout,
            "max_retries": self.retries,
            "retry_delay": self.retry_delay,
            "expires_in": self.expires_in,
            "detect_cycles": False,
        }


@dataclass(frozen=True)
class Call:
    """One call: of which task, when, and what its body does."""

    task: int
    arrives: float
    key: str
    sleeps: float
    fails: int
    priority: int
    delay: float
    cancelled_after: float | None


RULES = st.builds(
    Rules,
    limit=st.integers(1, 3),
    total=st.sampled_from((None, None, 2, 4)),
    rate=st.sampled_from((None, None, 1, 5)),
    drop=st.sampled_from((False, False, True)),
    timeout=st.sampled_from((None, None, 1.5)),
    retries=st.integers(0, 2),
    retry_delay=st.sampled_from((0, 0, 2)),
    expires_in=st.sampled_from((None, None, 3)),
    in_thread=st.sampled_from((False, False, True)),
)
CALLS = st.builds(
    Call,
    task=st.integers(0, 1),
    arrives=st.sampled_from((0, 0, 0.5, 1, 4)),
    key=st.sampled_from("abc"),
    sleeps=st.sampled_from((0, 0, 0.5, 1, 3)),
    fails=st.integers(0, 2),
    priority=st.integers(-1, 1),
    delay=st.sampled_from((0, 0, 0, 1)),
    cancelled_after=st.sampled_from((None, None, None, 0, 0.5, 2)),
)


class World:
    """An app, its tasks, and who is inside of their bodies."""

    def __init__(self, rules, slots):
        self.app = Pynenc(max_concurrency=slots, max_threads=2)
        self.rules = rules
        self.inside = [Counter() for _ in rules]
        self.tasks = [self._define(number, one) for number, one in enumerate(rules)]

    def _define(self, number, rules):
        def enter(key):
            inside = self.inside[number]
            inside[key] += 1
            assert inside[key] <= rules.limit
            assert rules.total is None or inside.total() <= rules.total

        async def in_loop(key, sleeps, fails):
            enter(key)
            try:
                await asyncio.sleep(sleeps)
                if current_invocation().num_retries < fails:
                    raise RetryError
            finally:
                self.inside[number][key] -= 1

        def in_thread(key, sleeps, fails):
            enter(key)
            try:
                if current_invocation().num_retries < fails:
                    raise RetryError
            finally:
                self.inside[number][key] -= 1

        body = in_thread if rules.in_thread else in_loop
        body.__qualname__ = body.__name__ = f"task_{number}"
        return self.app.task(**rules.options())(body)

    async def make(self, call):
        await asyncio.sleep(call.arrives)
        task = self.tasks[call.task].with_options(priority=call.priority, delay=call.delay)
        handle = task(call.key, call.sleeps, call.fails)
        if call.cancelled_after is not None:
            await asyncio.sleep(call.cancelled_after)
            await handle.cancel()
        await handle.wait()
        return handle

    def judge(self, handle):
        assert handle.status in FINAL
        error = handle.exception()
        assert not isinstance(error, AssertionError), error
        assert_lawful(handle)


async def all_in_time(world, calls):
    async with asyncio.timeout(10_000):
        handles = await asyncio.gather(*map(world.make, calls))
    for handle in handles:
        world.judge(handle)
    await assert_at_rest(world.app)
    assert all(inside.total() == 0 for inside in world.inside)


async def shut_down_early(world, calls, moment):
    await world.app.start()
    making = [asyncio.ensure_future(world.make(call)) for call in calls]
    await asyncio.sleep(moment)
    await world.app.shutdown(drain_seconds=1)
    outcomes = await asyncio.gather(*making, return_exceptions=True)
    late = [one for one in outcomes if isinstance(one, BaseException)]
    assert all(isinstance(error, AppNotStartedError) for error in late), late
    for handle in world.app.invocations():
        world.judge(handle)
    await assert_at_rest(world.app)


CROWDS = given(
    rules=st.tuples(RULES, RULES),
    calls=st.lists(CALLS, min_size=1, max_size=25),
    slots=st.sampled_from((1, 2, 5, None)),
    seed=st.integers(0, 1_000),
)


@settings(deadline=None, max_examples=examples(150))
@CROWDS
def test_no_limit_is_exceeded_and_everything_ends(rules, calls, slots, seed):
    run(all_in_time(World(rules, slots), calls), seed=seed)


@pytest.mark.slow
@settings(deadline=None, max_examples=examples(75))
@given(
    moment=st.sampled_from((0.2, 0.7, 1.2, 3.1)),
    rules=st.tuples(RULES, RULES),
    calls=st.lists(CALLS, min_size=1, max_size=20),
    seed=st.integers(0, 1_000),
)
def test_a_shutdown_at_any_moment_ends_everything(moment, rules, calls, seed):
    run(shut_down_early(World(rules, 3), calls, moment), seed=seed)


@pytest.mark.soak
@pytest.mark.timeout(3_600)
@settings(deadline=None, max_examples=10_000)
@CROWDS
def test_soak_of_random_crowds(rules, calls, slots, seed):
    run(all_in_time(World(rules, slots), calls), seed=seed)
