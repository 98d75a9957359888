"""A call may raise half-way: the stack is full, or the handler of a signal raises. Then it has left nothing behind."""

import asyncio
import sys
import threading

import pytest
from helpers import assert_at_rest, slow
from interruptions import BrokenOffError, broken_off

from pynenc_async import InvocationTimeoutError, Pynenc

POLICIES = ["plain", "limited", "unique", "delayed"]
OTHERS = ["suspending", "total", "rated", "replacing", "deadline"]

each_policy = pytest.mark.parametrize("policy", [*POLICIES, *map(slow, OTHERS)])


async def is_intact(app, task):
    """Nothing of the calls that have raised is left, and others go on."""
    assert await task(77).wait(60)
    for _ in range(1_000):
        if not app.statistics().living:
            break
        await asyncio.sleep(0)
    await assert_at_rest(app)


def breaks_at(place, call):
    """Say whether a call gets as far as a place, where it is broken off."""
    try:
        with broken_off(place):
            call()
    except BrokenOffError:
        return True
    return False


@each_policy
async def test_a_call_that_is_broken_off_anywhere_leaves_nothing_behind(app, tasks, policy):
    task, place = getattr(tasks, policy), 1
    async with app:
        assert await task(0).wait(60)
        while breaks_at(place, lambda: task(0)):
            place += 1
        await is_intact(app, task)
    assert place > 5


def test_the_thread_of_a_body_that_was_left_behind_is_still_counted():
    app, go_on = Pynenc(), threading.Event()

    @app.task(timeout=0.02)
    def hangs():
        go_on.wait(30)

    @app.task
    async def quick():
        pass

    async def main():
        async with app:
            with pytest.raises(InvocationTimeoutError):
                await hangs()
            place = 1
            while breaks_at(place, quick):
                place += 1
            assert place > 5
            assert app.statistics().running_in_threads == 1
            go_on.set()
            while app.statistics().running_in_threads > 0:
                await asyncio.sleep(0)
            assert app.statistics().running_in_threads == 0

    asyncio.run(main())


@each_policy
async def test_so_does_one_of_a_body(app, tasks, policy):
    task = getattr(tasks, policy)

    @app.task
    async def parent():
        place = 1
        while breaks_at(place, lambda: task(0)):
            place += 1
        return place

    async with app:
        assert await parent() > 5
        await is_intact(app, task)


@each_policy
async def test_so_do_the_members_of_a_group(app, tasks, policy):
    task = getattr(tasks, policy)
    async with app:
        for place in range(1, 200, 7):
            breaks_at(place, lambda: task.parallelize([(1,), (2,), (1,)]))
        await is_intact(app, task)


def ignore_half_made_tasks():
    """A Task of asyncio that could not be made, for want of room on the stack, is reported when it is collected."""
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)


def at_depth(depth, call):
    return call() if depth == 0 else at_depth(depth - 1, call)


@pytest.mark.slow
@each_policy
async def test_a_call_on_a_full_stack_leaves_nothing_behind(app, tasks, policy):
    task, raised = getattr(tasks, policy), 0
    limit = sys.getrecursionlimit()
    ignore_half_made_tasks()
    async with app:
        for depth in range(limit - 120, limit, 2):
            try:
                at_depth(depth, lambda: task(0))
            except RecursionError:
                raised += 1
        assert raised
        assert sys.getrecursionlimit() == limit
        await is_intact(app, task)


async def awaiting(depth, task):
    if depth:
        return await awaiting(depth - 1, task)
    return await task(0)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["plain", "failing", "limited"])
async def test_an_await_on_a_full_stack_frees_the_slot(tasks, app, policy):
    task, raised = getattr(tasks, policy), 0
    ignore_half_made_tasks()
    async with app:
        for depth in range(sys.getrecursionlimit() - 150, sys.getrecursionlimit(), 2):
            try:
                await awaiting(depth, task)
            except RecursionError:
                raised += 1
            except ValueError:
                pass
        assert raised
        await is_intact(app, task)


class Unruly:
    """Raises when it is compared, or looked up, a number of times from now on."""

    def __init__(self, times):
        self.times = times

    def __hash__(self):
        if self.times:
            self.times -= 1
            raise BrokenOffError
        return 1

    def __eq__(self, other):
        if self.times:
            self.times -= 1
            raise BrokenOffError
        return isinstance(other, Unruly)


@pytest.mark.parametrize(
    "options",
    [
        {"running_concurrency": "arguments", "running_limit": 1},
        {"running_concurrency": "keys", "key_arguments": ("key",)},
        {"registration_concurrency": "arguments"},
        {"registration_concurrency": "keys", "key_arguments": ("key",)},
    ],
)
async def test_a_key_that_cannot_be_looked_up_leaves_nothing_behind(options):
    app = Pynenc(max_concurrency=1)

    @app.task(**options)
    async def work(key):
        await asyncio.sleep(0)

    async with app:
        kept = []
        for times in range(5):
            for _ in range(2):
                try:
                    kept.append(work(Unruly(times)))
                except BrokenOffError:
                    pass
        for handle in kept:
            assert await handle.wait(60)
        await is_intact(app, work)
