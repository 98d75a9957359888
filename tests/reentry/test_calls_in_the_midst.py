"""A finalizer or a signal handler may call a task, or cancel an invocation, while the program is inside of the library."""

import asyncio

import pytest
from helpers import assert_at_rest, slow
from interruptions import collected, interrupted

POLICIES = ["failing", "limited", "rated", "replacing", "delayed"]
OTHERS = ["plain", "suspending", "total", "unique", "deadline"]

both = pytest.mark.parametrize("way", [collected, interrupted])
each_policy = pytest.mark.parametrize("policy", [*POLICIES, *map(slow, OTHERS)])


async def program(task):
    """Call a task, some of them with arguments alike, and wait for all of them."""
    handles = []
    for n in (0, 1, 0):
        handles.append(task(n))
        await asyncio.sleep(0)
    for handle in handles:
        assert await handle.wait(60)


@pytest.mark.slow
@both
@each_policy
async def test_a_task_may_be_called_in_the_midst_of_calls_of_itself(app, tasks, policy, way):
    task, handles = getattr(tasks, policy), []
    async with app:
        with way(lambda: handles.append(task(len(handles) % 3))):
            await program(task)
        assert handles
        for handle in handles:
            assert await handle.wait(60)
            assert handle.status.is_final()
        await assert_at_rest(app)


@pytest.mark.slow
@each_policy
async def test_an_invocation_may_be_cancelled_at_any_moment(app, tasks, policy):
    task = getattr(tasks, policy)
    async with app:
        for place in range(1, 400, 9):
            handle = task(0)
            with interrupted(handle.cancel, every=place, most=1):
                assert await handle.wait(60)
            assert handle.status.is_final()
        assert await task(1).wait(60)
        await assert_at_rest(app)
