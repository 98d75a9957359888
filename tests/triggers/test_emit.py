"""`app.emit`: fires at once what waits for an event, from anywhere, and returns it."""

import asyncio
import threading

import pytest
from helpers import S, assert_at_rest, turns
from trigger_world import reporter, settled, task_of, worker

from pynenc_async import AppNotStartedError, Pynenc, current_invocation, emitted, succeeded


async def test_it_returns_what_it_fired():
    app = Pynenc()
    paid = reporter(app, emitted("paid"), name="paid")
    large = reporter(app, emitted("paid", lambda amount: amount > 10), name="large", arguments=lambda e: (e.payload,))
    assert app.emit("sent") == ()
    [small] = app.emit("paid", 5)
    both = app.emit("paid", 50)
    assert [handle.task.task_id for handle in both] == ["trigger_world.paid", "trigger_world.large"]
    assert small.status is S.REGISTERED
    await asyncio.gather(small, *both)
    assert [event.payload for event in paid] == [5, 50]
    assert large == [50]
    assert small.history[0].reason == "fired by trigger 'paid'"
    assert small.parent_invocation_id is None
    await assert_at_rest(app)


async def test_the_payload_is_any_object_and_stays_the_same_one():
    app, payload = Pynenc(), object()
    seen = reporter(app, emitted("x"), arguments=lambda event: (event.payload,))
    [handle] = app.emit("x", payload)
    await handle
    assert seen[0] is payload
    [handle] = app.emit("x")
    await handle
    assert seen[1] is None


async def test_a_body_may_emit_and_is_the_cause_without_being_a_parent():
    app = Pynenc()
    seen = reporter(app, emitted("step"))
    fired = []

    @app.task
    async def in_loop():
        fired.extend(app.emit("step", current_invocation().invocation_id))
        await asyncio.Event().wait()

    @app.task
    def in_thread():
        fired.extend(app.emit("step", current_invocation().invocation_id))

    emitter = in_loop()
    await in_thread()
    await emitter.cancel()
    for handle in fired:
        await handle
        assert handle.parent_invocation_id in {event.payload for event in seen}
    assert {event.last.invocation_id for event in seen} == {event.payload for event in seen}
    assert len(seen) == 2
    await assert_at_rest(app)


async def test_threads_emit_at_once_and_every_emission_counts():
    app = Pynenc()
    seen = reporter(app, emitted("tick"), arguments=lambda event: (event.payload,))

    def emit_some(thread):
        return [len(app.emit("tick", (thread, n))) for n in range(50)]

    await app.start()
    counts = await asyncio.gather(*[asyncio.to_thread(emit_some, thread) for thread in range(4)])
    assert counts == [[1] * 50] * 4
    await settled(app)
    assert sorted(seen) == [(thread, n) for thread in range(4) for n in range(50)]
    for thread in range(4):
        assert [n for one, n in seen if one == thread] == list(range(50))


async def test_threads_and_the_loop_join_together_without_losing_anything():
    app = Pynenc()
    work = worker(app)
    reporter(app, emitted("tick") & succeeded(work), by=lambda one: one.payload if one.event else one.result)
    [trigger] = app.triggers.values()

    def emit_all():
        return sum(len(app.emit("tick", n)) for n in range(200))

    await app.start()
    ticking = asyncio.ensure_future(asyncio.to_thread(emit_all))
    await work.parallelize([(n,) for n in range(200)])
    await ticking
    await settled(app)
    assert (trigger.fired, trigger.pending) == (200, 0)


async def test_in_the_loop_it_comes_after_what_happened_before():
    app = Pynenc()
    work = worker(app)
    seen = reporter(app, succeeded(work) & emitted("go"))
    await work(1)
    [handle] = app.emit("go")
    await handle
    assert seen[0].last is seen[0]["go"]


async def test_an_emission_from_a_predicate_or_an_argument_function_is_one_like_any_other():
    app = Pynenc()
    second = reporter(app, emitted("second"), name="second")

    def arguments(event):
        app.emit("second", event.payload)
        return (event,)

    first = reporter(app, emitted("first"), name="first", arguments=arguments)
    app.emit("first", 1)
    await settled(app)
    assert ([event.payload for event in first], [event.payload for event in second]) == ([1], [1])


async def test_a_trigger_may_remove_itself_while_it_is_asked():
    app = Pynenc()
    seen = reporter(app, emitted("x", lambda _: app.triggers["once"].remove() or True), name="once")
    assert app.emit("x") == ()
    await settled(app)
    assert seen == []


# -- life --------------------------------------------------------------------------------------------------------------


def test_before_the_app_runs_it_says_so():
    app = Pynenc()
    reporter(app, emitted("x"))
    with pytest.raises(AppNotStartedError, match="no event loop"):
        app.emit("x")
    with pytest.raises(AppNotStartedError, match="no event loop"):
        app.emit("nobody waits for this")


async def test_in_memory_the_app_starts_itself_as_with_a_call():
    app = Pynenc()
    seen = reporter(app, emitted("x"))
    [handle] = app.emit("x")
    await handle
    assert len(seen) == 1


async def test_after_the_shutdown_it_says_so_and_after_another_start_it_works():
    app = Pynenc()
    seen = reporter(app, emitted("x"))
    async with app:
        app.emit("x", 1)
    assert [event.payload for event in seen] == [1]
    with pytest.raises(AppNotStartedError, match="shut down"):
        app.emit("x", 2)
    with pytest.raises(AppNotStartedError, match="shut down"):
        await asyncio.to_thread(app.emit, "x", 2)
    async with app:
        app.emit("x", 3)
    assert [event.payload for event in seen] == [1, 3]


async def test_while_the_app_drains_only_bodies_emit():
    app, gate = Pynenc(), asyncio.Event()
    seen = reporter(app, emitted("x"))

    async def body():
        await gate.wait()
        app.emit("x", "body")

    task_of(app, body, "body")()
    await turns(3)
    draining = asyncio.ensure_future(app.drain())
    await turns(3)
    with pytest.raises(AppNotStartedError):
        app.emit("x", "outside")
    gate.set()
    assert await draining
    assert [event.payload for event in seen] == ["body"]


def test_a_thread_of_its_own_may_emit_while_the_loop_runs():
    app = Pynenc()
    seen = reporter(app, emitted("x"), arguments=lambda event: (event.payload,))

    async def main():
        await app.start()
        handles = []
        thread = threading.Thread(target=lambda: handles.extend(app.emit("x", "thread")))
        thread.start()
        while not handles:
            await asyncio.sleep(0)
        await handles[0]
        thread.join()

    app.run(main)
    assert seen == ["thread"]
