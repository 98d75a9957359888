"""`app.find` with a store: it answers while the app works, with all that was decided before the call."""

import asyncio

import pytest

from pynenc_async import InvocationStatus as S
from pynenc_async import StoreError

pytestmark = pytest.mark.virtual
PATIENCE = 60


async def test_it_answers_under_a_load_that_never_ends(world):
    app = world.app(drain_seconds=0, latency=lambda: 0.01)

    @app.task
    async def job(number):
        return number

    async def load():
        while True:
            await job.submit(1)

    async with app:
        loads = [asyncio.create_task(load()) for _ in range(20)]
        await asyncio.sleep(1)
        for _ in range(3):
            page = await asyncio.wait_for(app.find(limit=5), PATIENCE)
            assert len(page.invocations) == 5
        for one in loads:
            one.cancel()
        await asyncio.wait(loads)


@pytest.mark.slow
@pytest.mark.parametrize("window", [1, 10_000])
async def test_it_tells_of_all_that_was_decided_before_the_call_and_waits_for_nothing_else(world, window):
    app = world.app(drain_seconds=0, store_window=window, max_concurrency=1, latency=lambda: 0.01)

    @app.task
    async def job(number):
        await asyncio.Event().wait()

    async with app:
        first = [job(number) for number in range(2_000)]  # several batches
        asking = asyncio.create_task(app.find(limit=10_000, newest_first=False))
        await asyncio.sleep(0.01)
        later = [job(number) for number in range(2_000)]
        found = (await asyncio.wait_for(asking, PATIENCE)).invocations
        assert set(first) <= set(found)
        assert not later[-1]._more.known
        cancelled = first[0].cancel()
        page = await app.find(status=[S.CANCELLED], limit=10)
        assert list(page.invocations) == [first[0]]
        await cancelled


async def test_while_the_store_cannot_be_written_it_tells_what_the_store_has(world):
    full = []

    def before(name, changes):
        if name == "commit" and full:
            raise StoreError("disk full")

    app = world.app(drain_seconds=0, before=before)

    @app.task
    async def job(number):
        await asyncio.sleep(5)

    async with app:
        stored = await job.submit(1)
        full.append(True)
        await asyncio.sleep(10)
        page = await asyncio.wait_for(app.find(), PATIENCE)
        assert [one.invocation_id for one in page.invocations] == [stored.invocation_id]
        full.clear()
        await asyncio.wait_for(stored.wait(), PATIENCE)
