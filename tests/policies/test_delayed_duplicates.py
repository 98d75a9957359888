"""A duplicate that is skipped ends at once, though its task is delayed: whoever looks on, and wherever it is called."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from helpers import S, assert_lawful, statuses

from pynenc_async import ConcurrencyLimitError, Pynenc, emitted, succeeded
from pynenc_async.store.memory import MemoryHub, MemoryStore

HOUR = 3_600
WAYS = pytest.mark.parametrize("way", ["plain", "observed", "watched", "stored", "stored and observed"])
STARTS = pytest.mark.parametrize("start", [{"delay": HOUR}, {"at": datetime.now(UTC) + timedelta(days=1)}])


def build(way, start):
    """Return an app, a delayed task of which one invocation may stand, and what was observed."""
    hub = MemoryHub()
    store = {"store": lambda: MemoryStore(hub)} if "stored" in way else {}
    app, seen = Pynenc(drain_seconds=0, **store), []

    @app.task(registration_concurrency="task", unique_until="finished", on_duplicate="skip", **start)
    async def later(i: int) -> int:
        return i

    if way == "watched":

        @app.task
        async def after() -> None: ...

        app.on(succeeded(later), arguments=lambda event: ())(after)
    if "observed" in way:
        app.observe(lambda event: seen.append((event.previous, event.status)))
    return app, later, seen


async def assert_skipped(handle):
    assert await handle.wait(60)
    assert statuses(handle) == [S.REGISTERED, S.CONCURRENCY_CONTROLLED_FINAL]
    assert isinstance(handle.exception(), ConcurrencyLimitError)
    assert_lawful(handle)


@WAYS
@STARTS
async def test_called_in_the_loop(way, start):
    app, later, seen = build(way, start)
    async with app:
        first = later(1)
        await assert_skipped(later(2))
        assert first.status is S.SCHEDULED
        if seen:
            app._dispatcher.observers.tell()
            assert (S.REGISTERED, S.CONCURRENCY_CONTROLLED_FINAL) in seen


@WAYS
@STARTS
async def test_called_in_a_thread_which_keeps_nothing_from_other_calls(way, start):
    app, later, _ = build(way, start)

    @app.task
    async def other() -> int:
        return 1

    def call():
        return [later(2), other(), later(3), other()]

    async with app:
        later(1)
        skipped, one, skipped_too, another = await asyncio.to_thread(call)
        await assert_skipped(skipped)
        await assert_skipped(skipped_too)
        assert (await one, await another) == (1, 1)


@WAYS
@STARTS
async def test_called_for_a_group(way, start):
    app, later, _ = build(way, start)
    async with app:
        group = later.parallelize([(i,) for i in range(3)])
        first, *others = group
        for member in others:
            await assert_skipped(member)
        assert first.status is S.SCHEDULED


@WAYS
@STARTS
async def test_fired_by_a_trigger(way, start):
    app, later, _ = build(way, start)
    app.on(emitted("it"), arguments=lambda event: (event.payload,))(later)
    async with app:
        (first,), (second,) = app.emit("it", 1), app.emit("it", 2)
        assert await second.wait(60)
        assert second.status is S.CONCURRENCY_CONTROLLED_FINAL
        assert first.status is S.SCHEDULED
