"""The store forgets what has ended, but nothing that a workflow which still lives would have to ask for again."""

import asyncio
from collections import Counter

import pytest
from durable_world import World
from helpers import S

from pynenc_async import Pynenc

pytestmark = pytest.mark.virtual
RETENTIONS = [{"store_retain_count": 0}, {"store_retain_seconds": 1.0}, {"store_retain_bytes": 1}]
LONG = 40.0


@pytest.fixture(params=["memory", "sqlite"])
def make_app(request, tmp_path):
    world = World()

    def make(**options):
        if request.param == "memory":
            return world.app(drain_seconds=0, **options)
        return Pynenc(f"sqlite:///{tmp_path / 'jobs.db'}", drain_seconds=0, **options)

    return make


class Shop:
    """Orders that have charged three times, and wait for long before they charge once more."""

    def __init__(self, app):
        self.charged = Counter()

        @app.task(registration_concurrency="arguments", unique_until="finished")
        async def charge(item: str) -> str:
            await asyncio.sleep(1)
            self.charged[item] += 1
            return f"paid {item}"

        @app.task(workflow=True)
        async def pack(item: str) -> str:
            paid = await charge(f"wrapping of {item}")
            await asyncio.sleep(LONG)
            return f"{item}, wrapped ({paid})"

        @app.task(workflow=True, max_retries=1)
        async def order(item: str) -> list[str]:
            return [await charge(f"{item} {number}") for number in range(3)] + [await pack(item)]

        self.charge, self.order = charge, order


@pytest.mark.slow
@pytest.mark.parametrize("retention", RETENTIONS, ids=str)
async def test_a_workflow_that_is_taken_up_later_repeats_no_call_that_had_succeeded(make_app, retention):
    app = make_app(**retention)
    shop = Shop(app)
    async with app:
        reused = shop.charge("book 0")  # what the order asks for is this one
        other = shop.charge("something else")
        order = await shop.order.submit("book")
        await asyncio.gather(reused, other)
        await asyncio.sleep(LONG / 2)
        left = {found.invocation_id for found in (await app.find(status=S.SUCCESS)).invocations}
        assert reused.invocation_id in left
        assert other.invocation_id not in left
    again = make_app(**retention)
    reopened = Shop(again)
    async with again:
        result = await again.get_invocation(order.invocation_id)
        assert result == ["paid book 0", "paid book 1", "paid book 2", "book, wrapped (paid wrapping of book)"]
        assert not reopened.charged
        await asyncio.sleep(LONG)
        assert not (await again.find()).invocations


async def test_what_another_process_works_on_is_spared_by_whoever_forgets(make_app):
    app, other = make_app(), make_app(store_retain_count=0)
    shop = Shop(app)
    Shop(other)
    async with app, other:
        order = await shop.order.submit("book")
        await asyncio.sleep(LONG / 2)
        assert len((await other.find(status=S.SUCCESS)).invocations) == 4
        await order
        await asyncio.sleep(LONG)
        assert not (await other.find()).invocations
