"""What waits no more makes room at once: with a store too, where its end is not told before that is stored."""

import asyncio

import pytest
from durable_world import World
from helpers import S

from pynenc_async import InvocationCancelledError, Pynenc

pytestmark = pytest.mark.virtual


@pytest.fixture(params=["memory", "store that answers at once", "store", "slow store"])
def new_app(request):
    latency = {"store that answers at once": None, "store": 0.0, "slow store": 3.0}
    if request.param == "memory":
        return Pynenc
    return lambda **options: World().app(latency=lambda: latency[request.param], **options)


async def some(count):
    for _ in range(count):
        await asyncio.sleep(0)
        yield ()


@pytest.mark.parametrize("in_its_way", [1, 2, 3])
async def test_a_body_in_whose_way_is_what_waits_for_its_own_permit_finds_room(new_app, in_its_way):
    async with new_app(max_queued=in_its_way) as app:
        children = []

        @app.task
        async def other() -> int:
            return 1

        @app.task(running_concurrency="task", running_limit=1)
        async def limited(i: int) -> int:
            if i:
                return i
            children.extend(limited(1) for _ in range(in_its_way))  # they wait for this body, and fill the queue
            return len([one async for one in other.parallelize(some(3))])

        first = limited(0)
        assert await asyncio.wait_for(first, 1_000) == 3
        for child in children:
            await child.wait()
        withdrawn = [child.status for child in children]
        assert withdrawn.count(S.CANCELLED) == 1  # no more than it took
        assert withdrawn.count(S.SUCCESS) == in_its_way - 1


@pytest.mark.parametrize("rest", [0, 1, 2])
async def test_a_call_that_replaces_one_that_waits_finds_its_room(new_app, rest):
    async with new_app(max_queued=1 + rest, max_concurrency=1) as app:
        gate = asyncio.Event()

        @app.task
        async def holder() -> None:
            await gate.wait()

        @app.task(registration_concurrency="arguments", on_duplicate="replace")
        async def work(i: int) -> int:
            return i

        held = holder()
        while held.status is not S.RUNNING:
            await asyncio.sleep(1)
        others = [work(i) for i in range(1, 1 + rest)]
        handles = [work(0) for _ in range(4)]
        gate.set()
        for handle in (*handles, *others):
            await handle.wait()
        assert [handle.status for handle in handles] == [*3 * [S.CANCELLED], S.SUCCESS]


async def test_what_is_withdrawn_makes_room_for_a_call(new_app):
    async with new_app(max_queued=1, max_concurrency=1) as app:
        gate = asyncio.Event()

        @app.task
        async def work(i: int) -> int:
            await gate.wait()
            return i

        first = work(0)
        while first.status is not S.RUNNING:
            await asyncio.sleep(1)
        handles = []
        for i in range(1, 4):
            handles.append(work(i))
            cancelling = asyncio.ensure_future(handles[-1].cancel())
            await asyncio.sleep(0)
            if i < 3:
                continue
            await cancelling
        gate.set()
        assert [await work(4), await first] == [4, 0]


async def test_to_await_a_child_that_was_withdrawn_from_the_line_of_its_parent_is_no_ring(new_app):
    async with new_app() as app:

        @app.task(running_concurrency="task", running_limit=1)
        async def limited(i: int) -> str:
            if i:
                return "ran"
            child = limited(1)
            await asyncio.sleep(1)
            cancelling = asyncio.ensure_future(child.cancel("enough"))
            await asyncio.sleep(0)
            try:
                await child
            except InvocationCancelledError as error:
                return str(error)
            finally:
                await cancelling

        assert "enough" in await asyncio.wait_for(limited(0), 1_000)
