"""A body may run the event loop itself, further up the stack (nest_asyncio, a debugger): everything in the loop goes on."""

import asyncio

import pytest
from helpers import assert_at_rest, assert_lawful, slow
from nesting import run_nested

from pynenc_async import CycleDetectedError, InvocationCancelledError, InvocationError, InvocationStatus, Pynenc
from pynenc_async.store.memory import MemoryHub, MemoryStore

SECONDS = 20


def in_memory(**options):
    return Pynenc(**options)


def stored(**options):
    hub = MemoryHub()
    return Pynenc(store=lambda: MemoryStore(hub), **options)


def run(scenario, new_app=in_memory, **options):
    """Run a scenario with an app in a loop of its own: uvloop cannot be nested."""

    async def main():
        async with new_app(**options) as app:
            async with asyncio.timeout(SECONDS):
                found = await scenario(app)
            await assert_at_rest(app)
            return found

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        return runner.run(main())


# -- what a nested loop may wait for -----------------------------------------------------------------------------------


def tasks_of(app):
    class Tasks:
        @app.task
        async def at_once():
            return 1

        @app.task
        async def suspends():
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            return 1

        @app.task
        def in_thread():
            return 1

        @app.task
        async def nests():
            return run_nested(Tasks.suspends())

        @app.task
        async def items():
            for _ in range(5):
                yield 1

    return Tasks


async def nothing_of_ours(tasks):
    await asyncio.sleep(0)
    return 1


async def one_that_does_not_suspend(tasks):
    return await tasks.at_once()


async def one_that_suspends(tasks):
    return await tasks.suspends()


async def one_in_a_thread(tasks):
    return await tasks.in_thread()


async def one_that_nests_itself(tasks):
    return await tasks.nests()


async def many_at_once(tasks):
    return min(await asyncio.gather(*[tasks.suspends() for _ in range(5)]))


async def a_group(tasks):
    return min(await tasks.suspends.parallelize([()] * 5))


async def the_members_of_a_group(tasks):
    return min([result async for result in tasks.suspends.parallelize([()] * 5)])


async def a_stream(tasks):
    return min([item async for item in tasks.items().stream()])


WAITS = [
    nothing_of_ours, one_that_does_not_suspend, one_that_suspends, one_in_a_thread, one_that_nests_itself, many_at_once,
    a_group, the_members_of_a_group, a_stream,
]  # fmt: skip


# -- how a body may have begun -----------------------------------------------------------------------------------------


def at_once(app, tasks, wait):
    @app.task
    async def body():
        return run_nested(wait(tasks))

    return body


def after_it_has_suspended(app, tasks, wait):
    @app.task
    async def body():
        await asyncio.sleep(0)
        return run_nested(wait(tasks))

    return body


def before_it_suspends(app, tasks, wait):
    @app.task
    async def body():
        found = run_nested(wait(tasks))
        await asyncio.sleep(0)
        return found

    return body


def twice(app, tasks, wait):
    @app.task
    async def body():
        found = run_nested(wait(tasks))
        await tasks.at_once()
        return min(found, run_nested(wait(tasks)))

    return body


def then_awaits_others(app, tasks, wait):
    @app.task
    async def body():
        found = run_nested(wait(tasks))
        return min(found, await tasks.suspends(), await tasks.at_once())

    return body


BODIES = [at_once, after_it_has_suspended, slow(before_it_suspends), slow(twice), then_awaits_others]


async def one(body):
    handle = body()
    assert await handle == 1
    assert_lawful(handle)


async def several(body):
    handles = [body() for _ in range(6)]
    for handle in handles:
        assert await handle == 1
        assert_lawful(handle)


@pytest.mark.parametrize("new_app", [in_memory, stored])
@pytest.mark.parametrize("slots", [1, slow(3), slow(None)])
@pytest.mark.parametrize("call", [slow(one), several])
@pytest.mark.parametrize("define", BODIES)
@pytest.mark.parametrize("wait", WAITS)
def test_a_body_that_runs_the_loop_waits_for_what_it_likes(new_app, slots, call, define, wait):
    async def scenario(app):
        await call(define(app, tasks_of(app), wait))

    run(scenario, new_app, max_concurrency=slots)


# -- others in the loop ------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("new_app", [in_memory, stored])
@pytest.mark.parametrize("slots", [2, None])
@pytest.mark.parametrize("first_suspends", [False, True])
def test_what_was_queued_before_goes_on_while_a_body_runs_the_loop(new_app, slots, first_suspends):
    async def scenario(app):
        come = asyncio.Event()

        @app.task
        async def body(i):
            if i == 0:
                if first_suspends:
                    await asyncio.sleep(0)
                run_nested(come.wait())
            elif i == 299:
                come.set()
            elif i % 3 == 0:
                await asyncio.sleep(0)
            return i

        handles = [body(i) for i in range(300)]
        assert [await handle for handle in handles] == list(range(300))

    run(scenario, new_app, max_concurrency=slots)


def test_a_task_that_a_body_awaits_in_place_may_run_the_loop():
    async def scenario(app):
        tasks = tasks_of(app)

        @app.task
        async def parent():
            return [await tasks.nests(), await tasks.at_once(), await tasks.nests()]

        assert await parent() == [1, 1, 1]
        handles = [parent() for _ in range(5)]
        assert [await handle for handle in handles] == 5 * [[1, 1, 1]]

    run(scenario)


def test_a_nested_loop_may_run_another_and_so_on():
    async def scenario(app):
        @app.task
        async def body(depth):
            return run_nested(body(depth - 1)) + 1 if depth else 0

        assert await body(20) == 20
        assert await body(20) == 20

    run(scenario, max_concurrency=1)


def test_a_body_fails_and_is_tried_again_after_it_has_run_the_loop():
    async def scenario(app):
        tasks, tried = tasks_of(app), []

        @app.task(max_retries=1, retry_for=ValueError)
        async def body(i):
            run_nested(tasks.suspends())
            tried.append(i)
            if tried.count(i) == 1:
                raise ValueError("once")
            return 1

        handles = [body(i) for i in range(2)]
        assert [await handle for handle in handles] == [1, 1]
        for handle in handles:
            assert_lawful(handle)

        @app.task
        async def fails():
            run_nested(tasks.suspends())
            raise ValueError("always")

        handle = fails()
        with pytest.raises(ValueError, match="always"):
            await handle
        assert_lawful(handle)

    run(scenario, max_concurrency=1)


# -- cancelled meanwhile -----------------------------------------------------------------------------------------------


class Scene:
    """A body that runs the loop until somebody who cancels it lets it go on."""

    def __init__(self, app, *, after_a_pause, suspends):
        self.inside, self.go_on, self.after = asyncio.Event(), asyncio.Event(), []

        async def nested():
            self.inside.set()
            await self.go_on.wait()

        @app.task
        async def body():
            if after_a_pause:
                await asyncio.sleep(0)
            run_nested(nested())
            self.after.append("came back")
            if suspends:
                await asyncio.Event().wait()

        self.body = body

    async def cancel(self):
        await self.inside.wait()
        cancellation = asyncio.ensure_future(self.handle.cancel())
        for _ in range(5):
            await asyncio.sleep(0)
        self.go_on.set()
        return await cancellation

    async def begun_in_place(self, _tasks):
        self.handle = self.body()
        with pytest.raises(InvocationCancelledError):
            await self.handle

    async def begun_alone(self, _tasks):
        self.handle = self.body()

    async def begun_with_others(self, tasks):
        await tasks.suspends.parallelize([()] * 2)
        others = [tasks.suspends(), self.body(), tasks.suspends()]
        self.handle = others[1]
        for handle in others:
            await handle.wait()


@pytest.mark.parametrize("new_app", [in_memory, stored])
@pytest.mark.parametrize("begin", [Scene.begun_in_place, Scene.begun_alone, Scene.begun_with_others])
@pytest.mark.parametrize("after_a_pause", [False, True])
@pytest.mark.parametrize("suspends", [False, True])
def test_a_body_that_runs_the_loop_is_cancelled_where_it_comes_back(new_app, begin, after_a_pause, suspends):
    async def scenario(app):
        tasks, scene = tasks_of(app), Scene(app, after_a_pause=after_a_pause, suspends=suspends)
        cancelling = asyncio.create_task(scene.cancel())
        await begin(scene, tasks)
        assert await cancelling == "stopped"
        assert scene.handle.status is InvocationStatus.CANCELLED
        assert scene.after == ["came back"]
        assert_lawful(scene.handle)
        assert await tasks.suspends() == 1

    run(scenario, new_app)


def test_a_body_cancels_another_in_its_nested_loop():
    async def scenario(app):
        @app.task
        async def for_ever():
            await asyncio.Event().wait()

        @app.task
        async def body():
            handle = for_ever()
            while handle.status is not InvocationStatus.RUNNING:
                run_nested(asyncio.sleep(0))
            return run_nested(handle.cancel()), handle.status

        assert await body() == ("stopped", InvocationStatus.CANCELLED)

    run(scenario)


# -- what cannot be ----------------------------------------------------------------------------------------------------


def test_a_nested_loop_that_would_wait_for_its_own_body_is_refused():
    async def scenario(app):
        @app.task
        async def waits_for_itself():
            return run_nested(handles[-1])

        @app.task
        async def waits_for_its_parent():
            run_nested(handles[-1])

        @app.task
        async def parent():
            return await waits_for_its_parent()

        @app.task
        async def shuts_down():
            run_nested(app.shutdown())

        handles = []
        for task, error in [
            (waits_for_itself, CycleDetectedError),
            (parent, CycleDetectedError),
            (shuts_down, InvocationError),
        ]:
            handles.append(task())
            with pytest.raises(error):
                await handles[-1]

    run(scenario)


@pytest.mark.parametrize("new_app", [in_memory, stored])
@pytest.mark.parametrize("through_another", [False, True])
@pytest.mark.parametrize("nested", [False, True])
def test_a_nested_loop_that_would_wait_for_a_body_further_down_the_stack_is_refused(new_app, through_another, nested):
    async def scenario(app):
        ended = asyncio.Event()

        @app.task
        async def lower():
            run_nested(asyncio.wait_for(ended.wait(), SECONDS / 10) if nested else asyncio.sleep(0))
            return 1

        @app.task
        async def between():
            return await handles[0]

        @app.task
        async def upper():
            try:
                handles.append(between() if through_another else handles[0])
                return run_nested(handles[2]) if nested else await handles[2]
            finally:
                ended.set()

        handles = [lower(), upper()]
        if nested:
            with pytest.raises(CycleDetectedError, match=r"upper.*lower"):
                await handles[1]
        else:
            assert await handles[1] == 1
        assert await handles[0] == 1
        assert await handles[2] == 1

    run(scenario, new_app)
