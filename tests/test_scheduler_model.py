"""Random programs against a model: whatever trees of invocations do, they all end as the model says, and leave nothing.

A program is a forest of nodes. Each node is one call: its body takes turns, sleeps, submits and awaits its children in
many ways, then returns or raises. The model computes how each node must end. From outside, waiters come and go, and
invocations are cancelled at any time; then the model still binds all that was not cancelled with them.
"""

import asyncio
import gc
from collections import Counter
from dataclasses import dataclass, field

import pytest
from helpers import Gauge, S, assert_at_rest, assert_lawful, turns
from hypothesis import given, settings
from hypothesis import strategies as st

from pynenc_async import CancelOutcome, InvocationCancelledError, Pynenc, RetryError, current_invocation
from pynenc_async.telemetry import logger
from pynenc_async.testing import run

HOLDS_SLOT = {S.PENDING, S.RUNNING, S.RESUMED}
LONG = 100_000.0
WAYS = ("await", "later", "gather", "group", "spawn", "impatient", "cancel")


@pytest.fixture(autouse=True, scope="module")
def no_log():
    """Most failures here are looked at by nobody, and each would be logged."""
    logger.disabled = True
    yield
    gc.collect()
    logger.disabled = False


@dataclass(kw_only=True)
class Node:
    """One call of the program."""

    in_thread: bool
    pause: float
    """Seconds to sleep before the children; below 1 it is a number of turns, in tenths."""
    way: str
    children: list["Node"]
    failures: int
    """How many attempts fail before one succeeds."""
    max_retries: int
    delay: float
    priority: int
    detached: bool
    stubborn: bool
    """Whether it swallows its cancellation and returns."""
    number: int = field(default=-1)

    @property
    def attempts(self):
        return min(self.failures, self.max_retries) + 1

    @property
    def ends_in(self):
        return S.SUCCESS if self.failures <= self.max_retries else S.FAILED

    @property
    def value(self):
        """What it returns: how many invocations its last attempt has seen succeed, itself included."""
        seen = self.way in ("await", "later", "gather", "group")
        return 1 + sum(child.value for child in self.children if seen and child.ends_in is S.SUCCESS)


@dataclass(frozen=True, kw_only=True)
class Disturbance:
    """Something from outside: a cancellation of the nth invocation, or of a waiter for it."""

    at: float
    target: int
    whom: str


def nodes(children):
    return st.builds(
        Node,
        in_thread=st.sampled_from((False, False, False, True)),
        pause=st.sampled_from((0, 0, 0.1, 0.3, 1, 2.5)),
        way=st.sampled_from(WAYS),
        children=children,
        failures=st.sampled_from((0, 0, 0, 1, 2)),
        max_retries=st.sampled_from((0, 1, 2)),
        delay=st.sampled_from((0, 0, 1.5)),
        priority=st.integers(-2, 2),
        detached=st.booleans(),
        stubborn=st.sampled_from((False, False, False, True)),
    )


TREES = st.recursive(nodes(st.just([])), lambda below: nodes(st.lists(below, max_size=3)), max_leaves=8)
DISTURBANCES = st.builds(
    Disturbance,
    at=st.sampled_from((0, 0.05, 0.5, 1, 1.5, 2.5, 4)),
    target=st.integers(0, 15),
    whom=st.sampled_from(("invocation", "waiter", "both")),
)


class World:
    """One app that runs one program."""

    def __init__(self, forest, limit, max_threads):
        self.app = Pynenc(max_concurrency=limit, max_threads=max_threads)
        self.gauge = Gauge()
        self.thread_gauge = Gauge()
        self.table = []
        self.forest = forest
        self.cancelled = set()
        for root in forest:
            self._enter(root)
        self.in_loop = self.app.task(self._in_loop)
        self.in_thread = self.app.task(self._in_thread)

    def _enter(self, node):
        node.number = len(self.table)
        self.table.append(node)
        for child in node.children:
            self._enter(child)

    def submit(self, node):
        task = self.in_thread if node.in_thread else self.in_loop
        options = {name: getattr(node, name) for name in ("max_retries", "priority", "detached")}
        return task.with_options(**options)(node.number)

    # -- bodies --------------------------------------------------------------------------------------------------------

    async def _in_loop(self, number):
        node = self.table[number]
        with self.gauge:
            try:
                self.check()
                await (turns(round(node.pause * 10)) if node.pause < 1 else asyncio.sleep(node.pause))
                total = 1 + await getattr(self, f"_by_{node.way}")(node.children)
                self.check()
                await turns(1)
            except asyncio.CancelledError:
                if not node.stubborn:
                    raise
                return -1
            return self._end(node, total)

    def _in_thread(self, number):
        node = self.table[number]
        with self.gauge, self.thread_gauge:
            total = 1
            for handle in [self.submit(child) for child in node.children]:
                if node.way in ("await", "later", "gather", "group"):
                    with self.gauge.away(), self.thread_gauge.away():
                        total += value_of(lambda handle=handle: handle.result)
            return self._end(node, total)

    def _end(self, node, total):
        if current_invocation().num_retries < node.failures:
            raise RetryError(after=node.delay)
        return total

    # -- ways to deal with children ------------------------------------------------------------------------------------

    async def _value(self, handle):
        try:
            return await handle
        except (RetryError, InvocationCancelledError):
            return 0

    async def _by_await(self, children):
        total = 0
        for child in children:
            handle = self.submit(child)
            with self.gauge.away():
                total += await self._value(handle)
        return total

    async def _by_later(self, children):
        handles = [self.submit(child) for child in children]
        total = 0
        for handle in reversed(handles):
            with self.gauge.away():
                total += await self._value(handle)
        return total

    async def _by_gather(self, children):
        handles = [self.submit(child) for child in children]
        with self.gauge.away():
            return sum(await asyncio.gather(*map(self._value, handles)))

    async def _by_group(self, children):
        with self.gauge.away():
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._value(self.submit(child))) for child in children]
        return sum(task.result() for task in tasks)

    async def _by_spawn(self, children):
        for child in children:
            self.submit(child)
        return 0

    async def _by_impatient(self, children):
        for child in children:
            handle = self.submit(child)
            with self.gauge.away():
                try:
                    async with asyncio.timeout(0.7):
                        await self._value(handle)
                except TimeoutError:
                    pass
        return 0

    async def _by_cancel(self, children):
        for child in children:
            handle = self.submit(child)
            await turns(1)
            with self.gauge.away():
                await self.cancel(handle)
        return 0

    # -- judging -------------------------------------------------------------------------------------------------------

    async def cancel(self, handle):
        if not handle.status.is_final():
            self.cancelled.add(handle.invocation_id)
        outcome = await handle.cancel("by the program")
        assert handle.status.is_final()
        assert (outcome is CancelOutcome.FINISHED) == (handle.status is not S.CANCELLED)

    def check(self):
        """Hold at every moment: the slots in use are those of the bodies that have one, and there are enough."""
        scheduler = self.app._dispatcher.scheduler
        holders = [record for record in self.app._dispatcher.store if record._status in HOLDS_SLOT]
        threads = sum(record._task.in_thread for record in holders)
        assert (scheduler.in_use, scheduler.threads_in_use) == (len(holders), threads)
        assert scheduler.in_use <= scheduler.limit
        assert scheduler.threads_in_use <= scheduler.max_threads

    def touched(self, invocation):
        """Whether it, or an ancestor from which a cancellation reaches it, was cancelled."""
        by_id = {one.invocation_id: one for one in self.app.invocations()}
        while invocation is not None:
            if invocation.invocation_id in self.cancelled:
                return True
            invocation = by_id.get(invocation.parent_invocation_id)
        return False

    def judge(self):
        for invocation in self.app.invocations():
            assert_lawful(invocation)
            if not self.touched(invocation):
                node = self.table[invocation.arguments.values[0]]
                assert invocation.status is node.ends_in
                assert invocation.num_retries == node.attempts - 1
        assert self.gauge.inside == 0
        assert self.gauge.peak <= self.app._dispatcher.scheduler.limit
        assert self.thread_gauge.peak <= self.app._dispatcher.scheduler.max_threads

    def judge_undisturbed(self):
        expected = Counter()

        def count(node, times):
            expected[node.number] += times
            for child in node.children:
                count(child, times * node.attempts)

        for root in self.forest:
            count(root, 1)
        assert Counter(one.arguments.values[0] for one in self.app.invocations()) == expected


def value_of(read):
    try:
        return read()
    except (RetryError, InvocationCancelledError):
        return 0


async def execute(world, disturbances):
    roots = [world.submit(root) for root in world.forest]
    waiters = [asyncio.ensure_future(one) for one in roots for _ in range(2)]

    async def disturb(disturbance):
        await asyncio.sleep(disturbance.at)
        everything = world.app.invocations()
        if disturbance.whom != "waiter":
            await world.cancel(everything[disturbance.target % len(everything)])
        if disturbance.whom != "invocation":
            waiters[disturbance.target % len(waiters)].cancel()

    async with asyncio.timeout(LONG):
        await asyncio.gather(*map(disturb, disturbances))
        await asyncio.gather(*waiters, return_exceptions=True)
        while living := world.app._dispatcher.living():
            await living[0].wait()
    await turns(3)
    world.check()
    await assert_at_rest(world.app)
    return roots


PROGRAMS = given(
    forest=st.lists(TREES, min_size=1, max_size=4),
    limit=st.sampled_from((1, 1, 2, 3, None)),
    max_threads=st.sampled_from((1, 2, 5)),
    disturbances=st.lists(DISTURBANCES, max_size=6),
    seed=st.integers(0, 1_000),
)


def run_program(forest, limit, max_threads, disturbances, seed):
    world = World(forest, limit, max_threads)
    roots = run(execute(world, disturbances), seed=seed)
    world.judge()
    if not disturbances and all(node.way not in ("cancel", "impatient") for node in world.table):
        world.judge_undisturbed()
        for root, node in zip(roots, forest, strict=True):
            if node.ends_in is S.SUCCESS:
                assert root.result == node.value


@settings(deadline=None, max_examples=150)
@PROGRAMS
def test_random_programs_end_as_the_model_says_and_leave_nothing(forest, limit, max_threads, disturbances, seed):
    run_program(forest, limit, max_threads, disturbances, seed)


@pytest.mark.soak
@pytest.mark.timeout(3_600)
@settings(deadline=None, max_examples=6_000)
@PROGRAMS
def test_soak_of_random_programs(forest, limit, max_threads, disturbances, seed):
    run_program(forest, limit, max_threads, disturbances, seed)
