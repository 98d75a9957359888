"""Storms: crowds of invocations under all policies at once, cancelled, drained, shut down and moved to other loops at any
moment. `storm_model` says what must hold after every step."""

import asyncio
import inspect

import pytest
from helpers import assert_at_rest, examples, turns
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from storm_model import LONG, WAYS, Call, Rules, World

from pynenc_async import AppNotStartedError, ConcurrencyLimitError, QueueFullError
from pynenc_async.telemetry import logger
from pynenc_async.testing import VirtualLoop, describe_tasks, wait_all_tasks_blocked

logger.addFilter(lambda entry: "storm_model" not in getattr(entry, "task_id", ""))  # nobody looks at failures here

RULES = st.builds(
    Rules,
    scope=st.sampled_from(("disabled", "task", "keys", "keys")),
    limit=st.integers(1, 3),
    total=st.sampled_from((None, None, 1, 3)),
    rate=st.sampled_from((None, None, None, 2)),
    rate_scope=st.sampled_from(("task", "keys")),
    drop=st.sampled_from((False, False, False, True)),
    timeout=st.sampled_from((None, None, 1.5)),
    deadline=st.sampled_from((None, None, 4)),
    expires_in=st.sampled_from((None, None, 3)),
    grace=st.sampled_from((0.5, 10)),
    retries=st.integers(0, 2),
    retry_delay=st.sampled_from((0, 0, 1.5)),
    unique=st.sampled_from((None, None, None, "reuse", "raise", "replace", "skip")),
    in_thread=st.sampled_from((False, False, False, True)),
)


def calls(children):
    return st.builds(
        Call,
        task=st.integers(0, 2),
        key=st.sampled_from("ab"),
        priority=st.integers(-1, 1),
        delay=st.sampled_from((0, 0, 0, 1)),
        detached=st.sampled_from((False, False, True)),
        narrow=st.sampled_from((False, False, False, True)),
        gate=st.sampled_from((False, False, True)),
        sleeps=st.sampled_from((0, 0, 0.1, 1, 3)),
        cleans_up=st.sampled_from((0, 0.1, 2)),
        fails=st.sampled_from((0, 0, 1, 3)),
        way=st.sampled_from(WAYS),
        children=children,
    )


TREES = st.recursive(calls(st.just(())), lambda below: calls(st.lists(below, max_size=3).map(tuple)), max_leaves=6)


class Storm(RuleBasedStateMachine):
    """One app, in one loop after another."""

    @initialize(
        rules=st.tuples(RULES, RULES, RULES),
        slots=st.sampled_from((1, 2, 3, None)),
        threads=st.integers(1, 2),
        room=st.sampled_from((None, None, 4)),
        seed=st.integers(0, 1_000),
    )
    def begin(self, rules, slots, threads, room, seed):
        self.seed, self.waiters, self.now = seed, [], 0.0
        self.is_open = True
        self.new_loop()
        self.world = World(rules, slots=slots, threads=threads, room=room)
        self.run(self.world.app.start())

    def new_loop(self):
        def make():
            loop = VirtualLoop(seed=self.seed, patience=5)
            loop._autojump.now = self.now
            return loop

        self.runner = asyncio.Runner(loop_factory=make)

    def run(self, main):
        self.runner.run(self.watched(main))

    async def watched(self, main):
        await main
        self.world.check()
        self.now = asyncio.get_running_loop().time()

    @rule(trees=st.lists(TREES, min_size=1, max_size=4))
    def submit(self, trees):
        async def main():
            for tree in trees:
                try:
                    handle = self.world.call(tree)
                except (QueueFullError, ConcurrencyLimitError, AppNotStartedError):
                    continue
                self.waiters.append(asyncio.ensure_future(self.wait_for(handle)))

        self.run(main())

    async def wait_for(self, handle):
        await handle.wait()
        handle.exception()

    @rule(trees=st.lists(TREES, min_size=1, max_size=5), window=st.sampled_from((None, 1, 3)))
    def submit_group(self, trees, window):
        async def main():
            params = [(tree.key, self.world.enter(tree)) for tree in trees]
            try:
                group = self.world.task_of(trees[0]).parallelize(iter(params) if window else params, window=window)
            except (QueueFullError, ConcurrencyLimitError, AppNotStartedError):
                return
            self.waiters.append(asyncio.ensure_future(self.read(group)))

        self.run(main())

    async def read(self, group):
        try:
            async for one in group.as_completed():
                one.exception()
        except (QueueFullError, ConcurrencyLimitError, AppNotStartedError):
            pass

    @rule(count=st.integers(1, 5))
    def some_turns(self, count):
        self.run(turns(count))

    @rule(seconds=st.sampled_from((0.5, 1, 1.5, 7)))
    def time_passes(self, seconds):
        self.run(asyncio.sleep(seconds))

    @rule()
    def all_is_quiet(self):
        async def main():
            await self.world.check_idle()

        self.run(main())

    @rule()
    def gate_opens(self):
        async def main():
            self.world.gate.set()
            await turns(1)
            self.world.gate.clear()

        self.run(main())

    @rule(chosen=st.lists(st.integers(0, 100), min_size=1, max_size=6), wait=st.booleans(), gate=st.booleans())
    def storm_of_cancellations(self, chosen, wait, gate):
        """Cancel many in the very turn in which some of them may end."""

        async def main():
            if gate:
                self.world.gate.set()
            living = self.world.app._dispatcher.living()
            cancelling = [asyncio.ensure_future(living[n % len(living)].cancel("storm")) for n in chosen if living]
            if gate:
                await turns(1)
                self.world.gate.clear()
            if wait:
                await asyncio.gather(*cancelling, return_exceptions=True)
            else:
                await turns(1)
                self.waiters += cancelling

        self.run(main())

    @rule(chosen=st.lists(st.integers(0, 100), min_size=1, max_size=4))
    def waiters_go(self, chosen):
        async def main():
            for number in chosen:
                if self.waiters:
                    self.waiters[number % len(self.waiters)].cancel()
            await turns(1)

        self.run(main())

    @precondition(lambda self: self.is_open)
    @rule(seconds=st.sampled_from((0, 0.5, 2)))
    def drain(self, seconds):
        async def main():
            ended = await self.world.app.drain(seconds)
            assert ended == (not self.world.app._dispatcher.living())

        self.run(main())
        self.is_open = False

    @rule(seconds=st.sampled_from((0, 1)), twice=st.booleans())
    def shut_down(self, seconds, twice):
        async def main():
            loop = asyncio.get_running_loop()
            before = loop.time()
            await asyncio.gather(*[self.world.app.shutdown(seconds) for _ in range(1 + twice)])
            assert loop.time() - before <= seconds + 5.1
            await assert_at_rest(self.world.app)

        self.run(main())
        self.is_open = False

    @precondition(lambda self: not self.is_open)
    @rule()
    def start(self):
        self.run(self.world.app.start())
        self.is_open = True

    @precondition(lambda self: self.is_open)
    @rule(in_order=st.booleans())
    def next_loop(self, in_order):
        loop = self.runner.get_loop()
        if in_order:
            self.runner.close()
        else:
            self.vanish()
        self.now = loop.time()
        self.waiters.clear()
        self.new_loop()
        self.world.gate = asyncio.Event()
        self.run(self.world.app.start())

    def vanish(self):
        """Close the loop with everything that is under way in it."""
        loop = self.runner.get_loop()
        for task in asyncio.all_tasks(loop):
            task._log_destroy_pending = False
            coroutine = task.get_coro()
            if inspect.iscoroutine(coroutine) and inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED:
                coroutine.close()  # else Python complains that nobody has awaited it
        loop.close()
        self.runner._state = asyncio.runners._State.CLOSED

    @invariant()
    def nothing_is_broken(self):
        if hasattr(self, "world"):
            assert not self.world.broken, self.world.broken

    def teardown(self):
        if not hasattr(self, "world"):
            return
        try:
            self.run(self.until_the_end())
            self.world.check_ended()
        finally:
            self.runner.close()

    async def until_the_end(self):
        """Whatever is under way comes to its end by itself."""
        world = self.world
        world.gate.set()
        try:
            async with asyncio.timeout(LONG):
                await wait_all_tasks_blocked()
                while living := world.app._dispatcher.living():
                    await living[0].wait()
                    await wait_all_tasks_blocked()  # whoever reads a group may submit more
        except TimeoutError:
            raise AssertionError(f"these never end: {world.describe_living()}") from None
        assert all(one.done() for one in self.waiters), describe_tasks({one for one in self.waiters if not one.done()})
        await turns(5)
        await assert_at_rest(world.app)


def storm(count, steps, *, without=frozenset()):
    run_state_machine_as_test(
        Storm,
        settings=settings(
            deadline=None,
            max_examples=count,
            stateful_step_count=steps,
            phases=set(settings.default.phases) - without,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
        ),
    )


def test_storms():
    storm(examples(60), 25, without={Phase.shrink})  # which takes minutes, and looks like a test that hangs


@pytest.mark.soak
@pytest.mark.timeout(3_600)
def test_soak_of_storms():
    storm(3_000, 50)
