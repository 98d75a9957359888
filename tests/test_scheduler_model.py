"""Random programs against a model: whatever trees of invocations do, they all end as the model says, and leave nothing.

A program is a forest of nodes. Each node is one call: its body takes turns, sleeps, submits and awaits its children in
many ways, then returns or raises. The model computes how each node must end. From outside, waiters come and go, and
invocations are cancelled at any time; then the model still binds all that was not cancelled with them.
"""

import asyncio

import pytest
import uvloop
from helpers import S, assert_at_rest, examples, turns
from hypothesis import given, settings
from hypothesis import strategies as st
from scheduler_model import WAYS, Disturbance, Node, World

from pynenc_async.telemetry import logger
from pynenc_async.testing import run

LONG = 100_000.0


logger.addFilter(lambda entry: "scheduler_model" not in getattr(entry, "task_id", ""))  # nobody looks at failures here


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


async def execute(world, disturbances):
    roots = [world.submit(root) for root in world.forest]
    waiters = [asyncio.ensure_future(one) for one in roots for _ in range(2)]

    async def disturb(disturbance):
        await asyncio.sleep(disturbance.at * world.second)
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
    judge(world, disturbances, roots)


def judge(world, disturbances, roots):
    world.judge()
    if not disturbances and all(node.way not in ("cancel", "impatient") for node in world.table):
        world.judge_undisturbed()
        for root, node in zip(roots, world.forest, strict=True):
            if node.ends_in is S.SUCCESS:
                assert root.result == node.value


@pytest.mark.slow
@settings(deadline=None, max_examples=examples(150))
@PROGRAMS
def test_random_programs_end_as_the_model_says_and_leave_nothing(forest, limit, max_threads, disturbances, seed):
    run_program(forest, limit, max_threads, disturbances, seed)


@pytest.mark.slow
@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@settings(deadline=None, max_examples=examples(30))
@PROGRAMS
def test_random_programs_end_as_the_model_says_in_real_time_and_real_threads(
    new_loop, forest, limit, max_threads, disturbances, seed
):
    del seed
    world = World(forest, limit, max_threads, second=0.002)
    with asyncio.Runner(loop_factory=new_loop) as runner:
        roots = runner.run(execute(world, disturbances))
    judge(world, disturbances, roots)


@pytest.mark.soak
@pytest.mark.timeout(3_600)
@settings(deadline=None, max_examples=6_000)
@PROGRAMS
def test_soak_of_random_programs(forest, limit, max_threads, disturbances, seed):
    run_program(forest, limit, max_threads, disturbances, seed)
