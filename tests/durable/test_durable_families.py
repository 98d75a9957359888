"""What a body has submitted ends with it, by deadline or cancellation, wherever it lies, whoever runs it, and whoever dies."""

import asyncio

import pytest

from pynenc_async import CancelOutcome, InvocationExpiredError, RetryError
from pynenc_async import InvocationStatus as S

pytestmark = pytest.mark.virtual


def with_tasks(app):
    @app.task
    async def child(number: int, seconds: float) -> int:
        await asyncio.sleep(seconds)
        return number

    @app.task(detached=True)
    async def free() -> None: ...

    @app.task(deadline=20)
    async def parent(count: int) -> list[str]:
        children = [child(number, 15) for number in range(count)] + [free()]
        return [one.invocation_id for one in children]

    app.parent = parent
    return app


@pytest.mark.parametrize("window", [1, 10_000])
async def test_the_deadline_of_a_parent_is_stored_with_its_children_and_ends_them(world, window):
    app = with_tasks(world.app(store_window=window, max_concurrency=1, drain_seconds=0))
    async with app:
        parent = app.parent(4)
        *tied, free = await parent
        await asyncio.sleep(1)
        deadline = world.row(parent.invocation_id).deadline_at
        assert {world.row(one).deadline_at for one in tied} == {deadline}
        assert world.row(free).deadline_at is None
        await asyncio.sleep(100)
        assert world.row(tied[0]).status is S.SUCCESS
        assert not [one for one in tied[2:] if world.row(one).status is S.SUCCESS]
        assert world.row(free).status is S.SUCCESS


async def test_a_child_that_another_process_takes_over_ends_at_the_deadline_of_its_parent(world):
    one = with_tasks(world.app(max_concurrency=1, drain_seconds=0))
    async with one:
        *tied, _ = await one.parent(3)
        await asyncio.sleep(1)
    other = with_tasks(world.app(max_concurrency=1, drain_seconds=0))
    async with other:
        await asyncio.sleep(100)
        last = other.get_invocation(tied[-1])
        with pytest.raises(InvocationExpiredError, match="deadline"):
            await last


async def test_a_child_comes_back_from_the_store_after_its_parent_was_forgotten(world):
    app = with_tasks(world.app(store_window=1, max_concurrency=1, retain_count=0, drain_seconds=0))
    async with app:
        *tied, free = await app.parent(2)
        handles = [app.get_invocation(one) for one in (*tied, free)]
        await asyncio.gather(*(one.wait() for one in handles))
        assert handles[-1].status is S.SUCCESS


def with_family(app, without="", tidies=0, **options):
    app.ran, define = [], app.task

    async def child(number: int) -> None:
        app.ran.append(number)
        try:
            await asyncio.sleep(1_000)
        finally:
            await asyncio.sleep(tidies)

    async def free() -> None: ...

    async def parent(count: int) -> None:
        if not app.stored():
            for number in range(count):
                child(number)
            free()
        await asyncio.sleep(10_000)

    if without != "child":
        child, free = define(child), define(detached=True)(free)
    if without != "parent":
        app.parent = define(**options)(parent)
    return app


def of_task(world, name):
    return [row for row in world.rows() if row.task_id.endswith(name)]


async def test_children_that_lie_in_the_store_alone_are_cancelled_with_their_parent(world):
    app = with_family(world.app(store_window=1, max_concurrency=2, drain_seconds=0))
    app.stored = lambda: False
    async with app:
        parent = await app.parent.submit(20)
        await asyncio.sleep(5)
        await parent.cancel()
        await asyncio.sleep(5)
        assert {row.status for row in of_task(world, ".child")} == {S.CANCELLED}
        assert [row.status for row in of_task(world, ".free")] == [S.SUCCESS]
        assert len(app.ran) == 1


async def test_cancelling_a_recovered_parent_cancels_the_children_of_its_interrupted_attempt(world):
    one, other = (with_family(world.app(drain_seconds=0)) for _ in range(2))
    one.stored = other.stored = lambda: bool(of_task(world, ".child"))
    await one.start()
    parent = await one.parent.submit(3)
    await asyncio.sleep(5)
    async with other:
        world.stores[0].kill(is_noticed=True)
        await asyncio.sleep(5)
        recovered = other.get_invocation(parent.invocation_id)
        assert recovered.status is S.RUNNING
        assert sorted(other.ran) == [0, 1, 2]
        await recovered.cancel()
        await asyncio.sleep(5)
        assert {row.status for row in of_task(world, ".child")} == {S.CANCELLED}
        assert [row.status for row in of_task(world, ".free")] == [S.SUCCESS]
    await one.shutdown(0)


class Watched:
    """Kills a process of `world` as soon as the store has the end of its parent, and before it does anything more."""

    def __init__(self, world):
        self.world = world
        self.is_armed = False
        self.kills = 0

    def after(self, name, changes):
        if self.is_armed and any(row.status.is_final() for row in of_task(self.world, ".parent")):
            self.is_armed = False
            self.world.stores[self.kills].kill(is_noticed=True)


async def stop_parent(parent, how):
    if how == "cancelled":
        parent.cancel()
    await asyncio.sleep(30)


FATES = {"cancelled": {}, "timed out": {"timeout": 10}}


@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize(("window", "slots"), [(1, 2), (10_000, 20)])
async def test_children_are_cancelled_where_their_process_dies_when_their_parent_has_ended(world, window, slots, fate):
    watched = Watched(world)
    options = {"store_window": window, "max_concurrency": slots, "drain_seconds": 0}
    one = with_family(world.app(after=watched.after, **options), tidies=3, **FATES[fate])
    one.stored = lambda: False
    await one.start()
    parent = await one.parent.submit(10)
    await asyncio.sleep(5)
    watched.is_armed = True
    await stop_parent(parent, fate)
    await one.shutdown(0)
    assert {row.status for row in of_task(world, ".child")} & {S.RUNNING, S.REGISTERED}
    other = with_family(world.app(**options))
    async with other:
        await asyncio.sleep(30)
        assert {row.status for row in of_task(world, ".child")} == {S.CANCELLED}
        assert [row.status for row in of_task(world, ".free")] == [S.SUCCESS]


async def test_children_that_another_process_runs_are_cancelled_where_that_of_their_parent_dies_at_its_end(world):
    watched = Watched(world)
    first = with_family(world.app(drain_seconds=0))
    first.stored = lambda: False
    await first.start()
    parent = await first.parent.submit(3)
    await asyncio.sleep(5)
    second, third = world.app(drain_seconds=0, after=watched.after), world.app(drain_seconds=0)
    with_family(second, without="child").stored = lambda: True
    with_family(third, without="parent")
    await second.start()
    await third.start()
    world.stores[0].kill(is_noticed=True)
    await asyncio.sleep(5)
    assert sorted(third.ran) == [0, 1, 2]
    watched.kills, watched.is_armed = 1, True
    second.get_invocation(parent.invocation_id).cancel()
    await asyncio.sleep(30)
    assert {row.status for row in of_task(world, ".child")} == {S.CANCELLED}
    assert not watched.is_armed
    for app in (first, second, third):
        await app.shutdown(0)


@pytest.mark.parametrize("fate", ["succeeded", "failed", "raised CancelledError"])
async def test_children_of_a_parent_that_has_ended_by_itself_live_on_through_a_death(world, fate):
    def define(app):
        @app.task
        async def child() -> None:
            await asyncio.sleep(100)

        @app.task
        async def parent() -> None:
            child()
            if fate == "failed":
                raise ValueError
            if fate != "succeeded":
                raise asyncio.CancelledError

        return parent

    app = world.app(drain_seconds=0)
    parent = define(app)
    await app.start()
    handle = await parent.submit()
    await handle.wait()
    handle.exception()
    await handle.cancel()  # which comes too late
    await asyncio.sleep(5)
    world.stores[0].kill(is_noticed=True)
    await app.shutdown(0)
    app = world.app()
    define(app)
    async with app:
        await asyncio.sleep(200)
    assert [row.status for row in of_task(world, ".child")] == [S.SUCCESS]


@pytest.mark.parametrize("window", [1, 10_000])
async def test_what_a_cancelled_body_submits_to_clean_up_is_run_where_its_process_dies(world, window):
    def define(app):
        @app.task
        async def tidy(number: int) -> None:
            await asyncio.sleep(100)

        @app.task
        async def parent() -> None:
            try:
                await asyncio.sleep(1_000)
            finally:
                for number in range(3):
                    tidy(number)

        return parent

    app = world.app(drain_seconds=0, store_window=window)
    parent = define(app)
    await app.start()
    handle = await parent.submit()
    await asyncio.sleep(5)
    await handle.cancel()
    await asyncio.sleep(5)
    world.stores[0].kill(is_noticed=True)
    await app.shutdown(0)
    app = world.app()
    define(app)
    async with app:
        await asyncio.sleep(300)
    assert {row.status for row in of_task(world, ".tidy")} == {S.SUCCESS}


@pytest.mark.parametrize("window", [1, 10_000])
async def test_cancel_returns_when_children_that_lie_in_the_store_have_ended_too(world, window):
    app = with_family(world.app(store_window=window, max_concurrency=2, drain_seconds=0, latency=lambda: 0.5))
    app.stored = lambda: False
    async with app:
        parent = await app.parent.submit(20)
        await asyncio.sleep(20)
        await parent.cancel()
        assert {row.status for row in of_task(world, ".child")} == {S.CANCELLED}


async def test_a_clock_that_is_set_back_hides_no_child_from_its_cancellation(world):
    loop, skew = asyncio.get_running_loop(), 0.0
    true = loop.wall_time
    loop.wall_time = lambda: true() + skew
    app = with_family(world.app(store_window=1, max_concurrency=2, drain_seconds=0))
    app.stored = lambda: False
    async with app:
        parent = await app.parent.submit(20)
        await asyncio.sleep(5)
        skew = -3_600.0
        await parent.cancel()
        assert {row.status for row in of_task(world, ".child")} == {S.CANCELLED}


@pytest.mark.parametrize("waits", ["delay", "retry"])
async def test_what_waits_in_the_store_is_cancelled_at_once(world, waits):
    def define(app):
        @app.task(max_retries=1)
        async def work() -> None:
            raise RetryError(after=86_400)

        return work

    app = world.app()
    work = define(app)
    await app.start()
    submitted = await work.with_options(**({"delay": 86_400} if waits == "delay" else {})).submit()
    await asyncio.sleep(5)
    await app.shutdown()
    app, peer = world.app(), world.app()
    define(app)
    define(peer)
    async with app, peer:
        await asyncio.sleep(5)
        for one in (peer, app):
            found = one.get_invocation(submitted.invocation_id)
            assert await asyncio.wait_for(found.cancel(), 60) in (
                (CancelOutcome.NEVER_STARTED,) if waits == "delay" else (CancelOutcome.STOPPED,)
            )
    assert world.row(submitted.invocation_id).status is S.CANCELLED
