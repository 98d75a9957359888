"""Triggers that fire one another: what feeds itself is stopped, and the log names the way."""

import asyncio

import pytest
from helpers import S, assert_at_rest
from trigger_world import settled, task_of, worker

from pynenc_async import Pynenc, emitted, reached, succeeded


def logged(caplog):
    return [record.getMessage() for record in caplog.records if "chain of triggers" in record.getMessage()]


async def test_a_ring_of_triggers_is_stopped_and_named(caplog):
    app = Pynenc()
    ping, pong = worker(app, "ping"), worker(app, "pong")
    app.on(succeeded(ping), name="to pong", max_chain=20)(pong)
    app.on(succeeded(pong), name="to ping", max_chain=20)(ping)
    await ping()
    await settled(app)
    [message] = logged(caplog)
    assert "'to pong' would be number 21" in message
    assert "max_chain=20" in message
    assert message.endswith(": ... -> " + " -> ".join(["to ping", "to pong"] * 5))
    assert [len(app.invocations(task=task)) for task in (ping, pong)] == [11, 10]
    await assert_at_rest(app)


async def test_a_trigger_on_its_own_task_is_stopped_after_a_hundred(caplog):
    app = Pynenc()
    work = worker(app)
    app.on(succeeded(work), name="again")(work)
    await work()
    await settled(app)
    assert len(app.invocations(task=work)) == 101
    assert len(logged(caplog)) == 1
    await work()
    await settled(app)
    assert len(app.invocations(task=work)) == 202, "a new call begins a new chain"


@pytest.mark.parametrize("way", ["child", "emission", "thread", "start", "spawned"])
async def test_the_chain_is_followed_through_what_bodies_do(way, caplog):
    app = Pynenc()
    work = worker(app)

    async def follow():
        if way == "child":
            await work()
        elif way == "emission":
            app.emit("again")
        elif way == "spawned":
            await asyncio.ensure_future(work())
        elif way == "thread":
            await asyncio.to_thread(app.emit, "again")

    task = task_of(app, follow, "follow")
    condition = reached(task, S.RUNNING) if way == "start" else succeeded(work) | emitted("again")
    app.on(condition, name="again", max_chain=10)(task)
    if way == "start":
        task()
    elif way in {"emission", "thread"}:
        app.emit("again")
    else:
        work()
    await settled(app)
    assert len(logged(caplog)) == 1
    assert "'again' would be number 11" in logged(caplog)[0]
    await assert_at_rest(app)


async def test_an_and_continues_the_longest_of_its_chains():
    app = Pynenc()
    work, second = worker(app, "work"), worker(app, "second")
    chains = []
    app.on(succeeded(work), name="one")(second)

    async def note(length, path):
        chains.append((length, path))

    app.on(
        succeeded(second) & emitted("go"), name="two", arguments=lambda event: (event.chain.length, event.chain.path)
    )(task_of(app, note, "note"))
    await work()
    await settled(app)
    app.emit("go")
    await settled(app)
    assert chains == [(2, ("one", "two"))]


@pytest.mark.virtual
async def test_without_a_bound_what_feeds_itself_goes_on_and_needs_no_more_memory(caplog):
    app = Pynenc()
    work = worker(app)
    lengths = []

    async def note(length, path):
        lengths.append((length, len(path)))

    app.on(succeeded(work), name="again", max_chain=None)(work.with_options(delay=60))
    app.on(succeeded(work), name="note", max_chain=None, arguments=lambda e: (e.chain.length, e.chain.path))(
        task_of(app, note, "note")
    )
    work()
    await asyncio.sleep(60 * 250 + 1)
    assert app.triggers["again"].fired == 251
    assert lengths[-1] == (251, 100)
    assert not logged(caplog)
    app.triggers["again"].remove()
    for handle in app.invocations():
        await handle.cancel()
