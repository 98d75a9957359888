"""Triggers of an app with a store: they fire for what is stored, and what they fire is stored."""

import asyncio

import pytest
from helpers import S
from trigger_world import ended, reporter, settled, task_of, worker

from pynenc_async import AppNotStartedError, Pynenc, emitted, reached, succeeded
from pynenc_async.store.memory import MemoryHub, MemoryStore

pytestmark = pytest.mark.virtual


def app_on(hub, **options):
    return Pynenc(store=lambda: MemoryStore(hub), **options)


def noter(app, name="note"):
    """Return a task whose arguments can be stored, and what it was given."""
    seen = []

    async def note(value: int | str | None = None) -> None:
        seen.append(value)

    return task_of(app, note, name), seen


async def test_an_end_fires_once_it_is_stored_and_the_call_is_stored_with_its_cause():
    hub = MemoryHub()
    app = app_on(hub)
    work = worker(app)
    note, seen = noter(app)
    stored = []

    def arguments(event):
        stored.append(hub.tables.invocations[event.last.invocation_id].status)
        return (event.result,)

    app.on(succeeded(work), name="follow", arguments=arguments)(note)
    async with app:
        handle = work(5)
        await handle
    assert seen == [5]
    assert stored == [S.SUCCESS]
    [fired] = [row for row in hub.tables.invocations.values() if row.task_id == note.task_id]
    assert fired.parent_invocation_id == handle.invocation_id
    assert fired.status is S.SUCCESS
    assert hub.tables.histories[fired.invocation_id][0].reason == "fired by trigger 'follow'"


async def test_every_status_fires_as_the_history_has_it():
    app = app_on(MemoryHub())
    work, delayed = worker(app), worker(app, "delayed", delay=5, max_retries=1)
    told = {}

    def tell(event):
        told.setdefault(event.last.invocation_id, []).append(event.last.status)
        return ()

    note, _ = noter(app)
    app.on(reached(work, *S) | reached(delayed, *S), arguments=tell, max_chain=None)(note)
    async with app:
        handles = [work(1), delayed(2), delayed(3)]
        await handles[2].cancel()
        for handle in handles:
            await ended(handle)
        await settled(app)
        assert {one.invocation_id: [entry.status for entry in one.history] for one in handles} == told


async def test_what_waits_in_the_store_alone_fires_when_it_is_run():
    app = app_on(MemoryHub(), store_window=2, max_concurrency=1)
    work = worker(app)
    note, seen = noter(app)
    app.on(succeeded(work), arguments=lambda event: (event.result,))(note)
    async with app:
        handles = [work(n) for n in range(20)]
        for handle in handles:
            await handle
        await asyncio.sleep(60)
        await settled(app)
    assert sorted(seen) == list(range(20))


async def test_what_another_start_takes_over_fires_there_and_is_named_as_the_cause():
    hub, seen = MemoryHub(), []

    def start(*, hangs):
        app = app_on(hub)
        child = worker(app, "child")

        async def body() -> int:
            await (asyncio.Event().wait() if hangs else child(1))
            return 1

        work = task_of(app, body, "body")
        note, seen_here = noter(app)
        app.on(succeeded(work), arguments=lambda event: (event.result,))(note)
        seen.append(seen_here)
        return app, work

    app, work = start(hangs=True)
    async with app:
        taken_over = work()
        await asyncio.sleep(1)
        await app.shutdown(drain_seconds=0)
    app, _ = start(hangs=False)
    async with app:
        await asyncio.sleep(60)
    assert seen == [[], [1]]
    parents = {row.task_id: row.parent_invocation_id for row in hub.tables.invocations.values()}
    cause = taken_over.invocation_id
    assert {task_id.rpartition(".")[2]: parent for task_id, parent in parents.items()} == {
        "body": None, "child": cause, "note": cause,
    }  # fmt: skip


async def test_an_emission_needs_a_started_app_and_its_call_survives():
    hub = MemoryHub()
    app = app_on(hub)
    note, seen = noter(app)
    app.on(emitted("x"), arguments=lambda event: (event.payload,))(note)
    with pytest.raises(AppNotStartedError):
        app.emit("x", "early")
    async with app:
        [handle] = app.emit("x", "stored")
        await handle.accepted()
        assert hub.tables.invocations[handle.invocation_id].task_id == note.task_id
        await handle
    assert seen == ["stored"]


async def test_arguments_that_cannot_be_stored_are_logged(caplog):
    app = app_on(MemoryHub())
    work = worker(app)
    seen = reporter(app, succeeded(work), name="no text", arguments=lambda _: (object(),))
    async with app:
        await work(1)
        await settled(app)
    assert seen == []
    assert "trigger 'no text' could not call" in caplog.text
