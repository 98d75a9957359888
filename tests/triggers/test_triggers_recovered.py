"""Triggers on work that another process takes over: they fire there."""

import asyncio

import pytest

from pynenc_async import Pynenc, failed, succeeded
from pynenc_async.store.memory import MemoryHub, MemoryStore

pytestmark = pytest.mark.virtual


@pytest.mark.parametrize(("max_crashes", "told"), [(3, ["succeeded"]), (1, ["failed"])], ids=["runs again", "poison"])
async def test_what_a_dead_process_has_left_fires_where_it_is_taken_over(max_crashes, told):
    hub, stores, seen = MemoryHub(), [], []

    def new_store():
        stores.append(MemoryStore(hub))
        return stores[-1]

    def app_with_triggers():
        app = Pynenc(store=new_store, drain_seconds=0)

        @app.task(max_crashes=max_crashes)
        async def work() -> None:
            await asyncio.sleep(20)

        @app.task
        async def note(what: str) -> None:
            seen.append(what)

        app.on(succeeded(work), name="one", arguments=lambda _: ("succeeded",))(note)
        app.on(failed(work), name="two", arguments=lambda _: ("failed",))(note)
        return app, work

    (one, work), (other, _) = app_with_triggers(), app_with_triggers()
    await one.start()
    await work.submit()
    await asyncio.sleep(5)
    async with other:
        stores[0].kill(is_noticed=True)
        await asyncio.sleep(100)
        assert seen == told
    await one.shutdown(0)
