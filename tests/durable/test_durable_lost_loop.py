"""A loop that ends without a shutdown: in the next one, whoever waits hears what has become of everything."""

import asyncio

import pytest
from durable_world import World

from pynenc_async import InvocationStatus as S
from pynenc_async import Pynenc, StoreError

PATIENCE = 60


async def end_of(invocation):
    return await asyncio.wait_for(invocation.wait(), PATIENCE)


@pytest.fixture
def app(tmp_path):
    return Pynenc(f"sqlite:///{tmp_path}/jobs.db")


def test_what_was_accepted_is_run_to_its_end(app):
    @app.task
    async def work(number):
        await asyncio.sleep(0)
        return number

    async def lost():
        await app.start()
        invocations = [work(number) for number in range(20)]
        return [await invocation.accepted() for invocation in invocations]

    async def goes_on(invocations):
        async with app:
            for invocation in invocations:
                await end_of(invocation)
            assert [invocation.result for invocation in invocations] == list(range(20))

    asyncio.run(goes_on(asyncio.run(lost())))


def test_what_the_store_did_not_get_fails_and_says_why():
    latency = [0.0]
    app = World().app(latency=lambda: latency[0])

    @app.task
    async def work(number):
        return number

    async def lost():
        await app.start()
        latency[0] = 3_600.0
        return [work(number) for number in range(3)]

    async def goes_on(invocations):
        latency[0] = 0.0
        async with app:
            for invocation in invocations:
                assert await end_of(invocation)
                assert invocation.status is S.CANCELLED
                for ask in (invocation, invocation.accepted()):
                    with pytest.raises(StoreError, match="lost before the store had it; submit it again"):
                        await ask
            assert await work(7) == 7

    asyncio.run(goes_on(asyncio.run(lost())))


@pytest.mark.slow
def test_what_the_store_got_at_the_last_moment_is_run(app):
    @app.task
    async def work(number):
        return number

    async def lost():
        await app.start()
        return [work(number) for number in range(3_000)]

    async def goes_on(invocations):
        async with app:
            assert all([await end_of(invocation) for invocation in invocations])
            for number, invocation in enumerate(invocations):
                if invocation.status is S.SUCCESS:
                    assert await invocation == number
                    assert await invocation.accepted() is invocation
                else:
                    with pytest.raises(StoreError, match="submit it again"):
                        await invocation

    asyncio.run(goes_on(asyncio.run(lost())))
