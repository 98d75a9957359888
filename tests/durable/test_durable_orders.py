"""Orders of events between a decision, its commit, and what the store says of it."""

import asyncio
import logging

import pytest
from durable_world import World
from helpers import S, statuses

from pynenc_async import Rate, StoreError

pytestmark = pytest.mark.virtual


def errors(caplog):
    return [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR]


async def test_what_waits_in_the_backlog_can_be_cancelled_at_any_moment(caplog):
    for moment in (0, 0.4, 0.7, 3):
        app = World().app(store_window=2, max_concurrency=1, retain_count=1, latency=lambda: 0.25)

        @app.task
        async def work():
            await asyncio.sleep(1)

        async with app:
            handles = [work() for _ in range(12)]
            await asyncio.sleep(moment)
            for handle in handles[6:]:
                await handle.cancel("no")
            for handle in handles[:6]:
                await handle
            assert app._dispatcher.scheduler.waiting == 0
            assert await work() is None
    assert not errors(caplog)


@pytest.mark.parametrize("expires_in", [0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4])
async def test_what_is_withdrawn_does_not_expire_while_that_is_committed(expires_in, caplog):
    world = World()
    app = world.app(latency=lambda: 1.0, retain_count=1)

    @app.task(expires_in=expires_in)
    async def work():
        await asyncio.sleep(1)

    async with app:
        await asyncio.sleep(10)
        handle = work()
        await asyncio.sleep(0.4)
        await handle.cancel("no")
        assert await handle.wait(60)
        await asyncio.sleep(10)
        assert handle.status is S.CANCELLED
        assert statuses(handle) == world.path(handle.invocation_id)
    assert not errors(caplog)


@pytest.mark.parametrize(
    "options", [{"delay": 3}, {"max_retries": 1, "retry_delay": 3}, {"running_concurrency": "task"}]
)
async def test_what_is_withdrawn_does_not_begin_while_that_is_committed(options, caplog):
    latency = [0.0]
    world = World()
    app = world.app(latency=lambda: latency[0])
    begun = []

    @app.task(**options)
    async def work(name):
        begun.append(name)
        if "max_retries" in options:
            raise ValueError("again")
        await asyncio.sleep(3)

    async with app:
        first, second = work("first"), work("second")
        await asyncio.sleep(2.5)
        before = list(begun)
        latency[0] = 5.0
        await second.cancel("no")
        await first.wait()
        assert begun == before + (["first"] if "running_concurrency" not in options else [])
        assert second.status is S.CANCELLED
        for handle in (first, second):
            assert statuses(handle) == world.path(handle.invocation_id)
    assert not errors(caplog)


@pytest.mark.parametrize("options", [{}, {"delay": 3}, {"running_concurrency": "task", "running_limit": 1}])
async def test_a_refused_duplicate_ends_whatever_it_waits_for(options, caplog):
    world = World()
    apps = [world.app(latency=lambda: 0.1) for _ in range(2)]
    tasks = []
    for app in apps:

        @app.task(registration_concurrency="arguments", unique_until="finished", on_duplicate="raise", **options)
        async def work(x):
            await asyncio.sleep(3)

        tasks.append(work)
    async with apps[0], apps[1]:
        one, other, two = tasks[0](1), tasks[1](2), tasks[1](1)
        for handle in (one, other, two):
            assert await handle.wait(60)
        assert two.status is S.CONCURRENCY_CONTROLLED_FINAL
        assert statuses(two) == [S.REGISTERED, S.CONCURRENCY_CONTROLLED_FINAL]
        assert (one.status, other.status) == (S.SUCCESS, S.SUCCESS)
    assert not errors(caplog)


async def test_delayed_and_left_at_once_is_stored_as_scheduled():
    world = World()
    app = world.app()

    @app.task(delay=5)
    async def later():
        return 1

    async with app:
        handle = later()
    assert world.path(handle.invocation_id) == [S.SCHEDULED]
    assert statuses(handle) == [S.SCHEDULED]
    async with app:
        assert await handle == 1
    assert world.path(handle.invocation_id)[:2] == [S.SCHEDULED, S.REGISTERED]


async def test_delayed_and_restarted(caplog):
    world = World()
    app = world.app()
    runs = []

    @app.task(delay=5)
    async def later():
        runs.append(1)
        await asyncio.sleep(3)
        return 1

    async with app:
        handle = later()
        await handle.accepted()
    async with app:
        await asyncio.sleep(20)
        assert await handle == 1
    assert runs == [1]
    assert not errors(caplog)


@pytest.mark.parametrize("kind", ["delayed", "retried"])
async def test_a_start_that_another_process_prevents(kind, caplog):
    world = World()
    apps = [world.app(), world.app()]
    tasks = []
    for app in apps:
        if kind == "delayed":

            @app.task(delay=1, running_concurrency="task")
            async def work():
                await asyncio.sleep(3)
        else:

            @app.task(max_retries=3, rate_limit=Rate(1, per=5.0))
            async def work():
                if asyncio.get_running_loop().time() % 60 < 12:
                    raise ValueError("again")

        tasks.append(work)
    async with apps[0], apps[1]:
        handles = [task() for task in tasks for _ in range(2)]
        for handle in handles:
            await asyncio.wait_for(handle.wait(), 200)
        for handle in handles:
            assert handle.status is S.SUCCESS
            assert statuses(handle) == world.path(handle.invocation_id)
    assert not errors(caplog)


async def test_cancelled_before_a_start_that_would_be_refused(caplog):
    world = World()
    apps = [world.app(latency=lambda: 0.1), world.app(latency=lambda: 0.1)]
    tasks = []
    for app in apps:

        @app.task(running_concurrency="task")
        async def work():
            await asyncio.sleep(30)

        tasks.append(work)
    async with apps[0], apps[1]:
        first = tasks[0]()
        await asyncio.sleep(1)
        for moment in (None, 0, 0.05, 0.15, 0.25, 0.35):
            second = tasks[1]()
            if moment is not None:
                await asyncio.sleep(moment)
            await asyncio.wait_for(second.cancel("no"), 5)
            assert statuses(second) == world.path(second.invocation_id)
        await first.cancel()
    assert not errors(caplog)


@pytest.mark.parametrize("on_duplicate", ["raise", "reuse"])
@pytest.mark.parametrize("limited", [False, True])
async def test_a_refused_duplicate_that_was_cancelled_meanwhile(on_duplicate, limited, caplog):
    world = World()
    apps = [world.app(latency=lambda: 0.1, retain_count=1) for _ in range(2)]
    tasks = []
    more = {"running_concurrency": "task", "running_limit": 9} if limited else {}
    for app in apps:

        @app.task(registration_concurrency="task", unique_until="finished", on_duplicate=on_duplicate, **more)
        async def work():
            await asyncio.sleep(3)

        @app.task
        async def other():
            pass

        tasks.append((work, other))
    async with apps[0], apps[1]:
        for moment in (0, 0.15):
            one, two = tasks[0][0](), tasks[1][0]()
            await asyncio.sleep(moment)
            await asyncio.wait_for(two.cancel("no"), 20)
            await asyncio.wait_for(one.wait(), 20)
            assert two.status.is_final()
            for _ in range(3):
                await tasks[1][1]()
                await tasks[0][1]()
    assert not errors(caplog)


async def test_a_store_that_fails_while_a_limited_one_is_registered(caplog):
    world = World()
    fails = [False]

    def before(name, changes):
        if name == "commit" and fails[0]:
            raise StoreError("full")

    app = world.app(before=before, retain_count=1)

    @app.task(running_concurrency="task", running_limit=5)
    async def work():
        pass

    async with app:
        fails[0] = True
        handle = work()
        await asyncio.sleep(1)
        fails[0] = False
        await asyncio.sleep(5)
        assert handle.status is S.CANCELLED
        for _ in range(4):
            await work()


async def test_shutdown_while_ends_are_committed_slowly():
    world = World()
    latency = [0.0]
    app = world.app(latency=lambda: latency[0])

    @app.task
    async def work():
        await asyncio.sleep(1)
        return 7

    async with app:
        handle = work()
        await asyncio.sleep(0.5)
        latency[0] = 20.0
        await asyncio.sleep(1)
        async with asyncio.timeout(300):
            await app.shutdown(0)
    assert world.path(handle.invocation_id)[-1] is S.SUCCESS
    assert handle.status is S.SUCCESS
    assert handle.result == 7


async def test_waiter_of_the_backlog_at_shutdown_and_handle_after_restart():
    world = World()
    app = world.app(store_window=2, max_concurrency=1)

    @app.task
    async def work(x: int) -> int:
        await asyncio.sleep(1)
        return x

    async with app:
        handles = [work(x) for x in range(10)]
        await asyncio.sleep(0.5)
        waiter = asyncio.create_task(handles[-1].wait())
        await asyncio.sleep(0)
        await app.shutdown(0)
        async with asyncio.timeout(10):
            await asyncio.wait([waiter])
    async with app:
        async with asyncio.timeout(60):
            assert [await handle for handle in handles] == list(range(10))


async def test_a_pending_one_that_is_cancelled_says_what_the_store_says():
    for moment in (0, 0.5, 1.5, 2.0, 2.1):
        world = World()
        app = world.app(latency=lambda: 1.0)

        @app.task
        async def work():
            await asyncio.sleep(1)

        async with app:
            handle = work()
            await asyncio.sleep(moment)
            await handle.cancel("no")
            told = [(one.status, one.timestamp, one.attempt, one.reason) for one in handle.history]
            kept = world.hub.tables.histories[handle.invocation_id]
            assert told == [(one.status, one.timestamp, one.attempt, one.reason) for one in kept]


async def test_a_body_that_awaits_what_waits_elsewhere_does_not_begin_it_here(caplog):
    world = World()
    apps = [world.app(max_concurrency=1), world.app(max_concurrency=1)]
    tasks = []
    for app in apps:

        @app.task
        async def work(x: int) -> int:
            await asyncio.sleep(3)
            return x

        @app.task
        async def awaits(invocation_id: str) -> int:
            return await apps[1].get_invocation(invocation_id)

        tasks.append((work, awaits))
    async with apps[0], apps[1]:
        first, second = tasks[0][0](1), tasks[0][0](2)
        await asyncio.sleep(1)
        assert world.path(second.invocation_id) == [S.REGISTERED]
        assert await tasks[1][1](second.invocation_id) == 2
        assert await first == 1
        assert statuses(second) == world.path(second.invocation_id) == [S.REGISTERED, S.PENDING, S.RUNNING, S.SUCCESS]
        assert apps[1]._dispatcher.scheduler.in_use == 0
        assert await tasks[1][0](3) == 3
    assert not errors(caplog)


async def test_what_was_queued_before_a_restart_begins_once_after_it(caplog):
    world = World()
    app = world.app(max_concurrency=1, latency=lambda: 0.05)
    begun = []

    @app.task
    async def work(x: int) -> None:
        begun.append(x)

    async with app:
        handles = [work(x) for x in range(4)]
        waiters = [asyncio.create_task(handle.wait()) for handle in handles]
        await asyncio.sleep(0)
        await app.shutdown(0)
        await app.start()
        for handle in handles:
            assert await handle.wait(60)
        await asyncio.gather(*waiters)
        assert app._dispatcher.scheduler.in_use == 0
    assert sorted(begun) == [0, 1, 2, 3]
    assert not errors(caplog)
