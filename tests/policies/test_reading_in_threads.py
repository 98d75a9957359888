"""A body in a thread that reads a group gives its slot away while it waits: for a member, and for room for one."""

import asyncio

import pytest
from helpers import assert_at_rest

from pynenc_async import CycleDetectedError, Pynenc
from pynenc_async.store.memory import MemoryHub, MemoryStore

SOURCES = ["iterator", "async iterator"]


@pytest.fixture(params=["memory", "store", "slow store"])
def new_app(request):
    def build(**options):
        if request.param == "memory":
            return Pynenc(**options)
        hub = MemoryHub()
        latency = (lambda: 0.002) if request.param == "slow store" else None
        return Pynenc(store=lambda: MemoryStore(hub, latency=latency), **options)

    return build


def source_of(kind, count):
    async def source():
        for i in range(count):
            await asyncio.sleep(0)
            yield (i,)

    return source() if kind == "async iterator" else ((i,) for i in range(count))


@pytest.mark.slow
@pytest.mark.parametrize("where", ["thread", "thread that a body in the loop has started"])
@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("window", [1, 2, 100])
async def test_a_full_queue_is_no_deadlock(request, new_app, kind, window, where):
    if where != "thread" and "slow store" in request.node.name and hasattr(asyncio.get_running_loop(), "wall_time"):
        pytest.skip("simulated time stands still while a thread waits that is none of the app's")
    async with new_app(max_concurrency=1, max_queued=2) as app:
        gate = asyncio.Event()

        @app.task
        async def member(i: int) -> int:
            await asyncio.sleep(0)
            return i

        @app.task
        async def opened() -> None:
            await gate.wait()

        def read():
            return list(member.parallelize(source_of(kind, 6), window=window).results)

        @app.task
        def in_a_thread() -> list[int]:
            opened().exception()
            return read()

        @app.task
        async def in_the_loop() -> list[int]:
            await opened()
            return await asyncio.to_thread(read)

        body = in_a_thread() if where == "thread" else in_the_loop()
        while not any(one.task is opened and one.status == "running" for one in app.invocations()):
            await asyncio.sleep(0.001)
        waiting = [member(100 + i) for i in range(2)]  # the queue is full
        gate.set()
        async with asyncio.timeout(60):
            assert await body == list(range(6))
            assert [await one for one in waiting] == [100, 101]
        await assert_at_rest(app)


@pytest.mark.slow
@pytest.mark.parametrize("kind", SOURCES)
async def test_a_reader_on_whom_all_depend_that_could_make_room_is_told(new_app, kind):
    async with new_app(max_concurrency=2, max_queued=1) as app:

        @app.task
        async def member(i: int) -> int:
            return i

        @app.task(running_concurrency="task", running_limit=1)
        def limited(i: int) -> str:
            if i:
                return "ran"
            limited(1)  # it waits for this body, and fills the queue
            try:
                return str(len(list(member.parallelize(source_of(kind, 3)).results)))
            except CycleDetectedError:
                return "told"

        async with asyncio.timeout(60):
            assert await limited(0) in ("told", "3")


@pytest.mark.slow
@pytest.mark.parametrize("kind", SOURCES)
async def test_a_reader_that_is_cancelled_stops_to_wait_and_leaves_the_rest_to_others(new_app, kind):
    async with new_app() as app:
        groups = []

        @app.task
        async def member(i: int) -> None:
            await asyncio.Event().wait()

        @app.task
        def reader() -> list[int]:
            groups.append(member.parallelize(source_of(kind, 4), window=2))
            return list(groups[0].results)

        body = reader()
        while body.status != "paused":
            await asyncio.sleep(0.001)
        await asyncio.wait_for(body.cancel(), 60)
        assert body.status == "cancelled"
        async with asyncio.timeout(60):
            await groups[0].cancel()
        await assert_at_rest(app)


@pytest.mark.slow
@pytest.mark.parametrize("kind", SOURCES)
async def test_a_failure_is_raised_where_it_comes_up_and_the_next_step_goes_on(new_app, kind):
    async with new_app(max_concurrency=1) as app:

        @app.task
        async def member(i: int) -> int:
            if i % 2:
                raise ValueError(i)
            return i

        @app.task
        def reader() -> list[str]:
            results, seen = iter(member.parallelize(source_of(kind, 4), window=2).results), []
            while True:
                try:
                    seen.append(str(next(results)))
                except ValueError as error:
                    seen.append(f"failed {error}")
                except StopIteration:
                    return seen

        async with asyncio.timeout(60):
            assert await reader() == ["0", "failed 1", "2", "failed 3"]


@pytest.mark.slow
async def test_what_the_source_raises_comes_after_the_members_before_it(new_app):
    async with new_app(max_concurrency=1) as app:

        @app.task
        async def member(i: int) -> int:
            return i

        def source():
            yield (1,)
            yield (2,)
            raise LookupError("no more")

        @app.task
        def reader() -> list[str]:
            seen = []
            try:
                seen.extend(map(str, member.parallelize(source(), window=1).results))
            except LookupError as error:
                seen.append(str(error))
            return seen

        assert await asyncio.wait_for(reader(), 60) == ["1", "2", "no more"]
