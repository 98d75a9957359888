"""With `sync://` what is fired runs inline: it has ended when whoever brought it about goes on."""

import asyncio
import threading

import pytest
from helpers import S, assert_lawful
from trigger_world import reporter, task_of, worker

from pynenc_async import Pynenc, emitted, failed, reached, succeeded


@pytest.fixture
def app():
    return Pynenc("sync://")


def thread_worker(app, name="work"):
    def work(n=0):
        if isinstance(n, Exception):
            raise n
        return n

    return task_of(app, work, name)


@pytest.mark.parametrize("make", [worker, thread_worker])
def test_a_call_runs_what_it_fires(app, make):
    work = make(app)
    done, lost = reporter(app, succeeded(work), name="done"), reporter(app, failed(work), name="lost")
    running = reporter(app, reached(work, S.REGISTERED, S.RUNNING), name="running")
    handle = work(3)
    assert [event.result for event in done] == [3]
    assert [event.last.status for event in running] == [S.REGISTERED, S.RUNNING]
    error = LookupError("x")
    assert work(error).exception() is error
    assert [event.error for event in lost] == [error]
    assert handle.result == 3
    assert len(done) == 1, "read again, it does not fire again"


@pytest.mark.parametrize("make", [worker, thread_worker])
async def test_awaiting_a_result_runs_what_it_fires(app, make):
    work = make(app)
    done = reporter(app, succeeded(work))
    assert await work(3) == 3
    assert [event.result for event in done] == [3]
    assert await asyncio.gather(*[work(n) for n in range(5)]) == list(range(5))
    assert sorted(event.result for event in done) == [0, 1, 2, 3, 3, 4]


def test_what_is_fired_names_its_cause(app):
    work = worker(app)
    reporter(app, succeeded(work), name="follow")
    handle = work(1)
    assert handle.result == 1
    [follower] = app.invocations(task=app.get_task("trigger_world.follow"))
    assert follower.status is S.SUCCESS
    assert follower.parent_invocation_id == handle.invocation_id
    assert follower.history[0].reason == "fired by trigger 'follow'"
    assert_lawful(follower)


def test_chains_run_to_their_end_and_endless_ones_are_stopped(app, caplog):
    first, second = worker(app, "first"), thread_worker(app, "second")
    app.on(succeeded(first), name="to second")(second)
    app.on(succeeded(second), name="to first")(first)
    assert first().result == 0
    assert caplog.text.count("chain of triggers") == 1
    assert app.triggers["to second"].fired + app.triggers["to first"].fired == 100


def test_an_emission_runs_what_it_fires_before_it_returns(app):
    seen = reporter(app, emitted("x"))
    [handle] = app.emit("x", 1)
    assert handle.status is S.SUCCESS
    assert [event.payload for event in seen] == [1]


async def test_inside_a_loop_an_emission_starts_what_it_fires_there(app):
    seen = reporter(app, emitted("x"))
    [handle] = app.emit("x", 1)
    await handle
    assert [event.payload for event in seen] == [1]
    app.emit("x", 2)
    while len(seen) < 2:
        await asyncio.sleep(0)


def test_bodies_may_emit(app):
    seen = reporter(app, emitted("x"))

    def body():
        return [handle.status for handle in app.emit("x", "payload")]

    assert task_of(app, body, "body")().result == [S.SUCCESS]
    assert [event.last.invocation_id for event in seen] == [app.invocations()[0].invocation_id]


async def test_a_cancellation_before_the_start_fires(app):
    work = worker(app)
    seen = reporter(app, reached(work, S.CANCELLED))
    await work(1).cancel("not needed")
    assert ["not needed" in event.last.reason for event in seen] == [True]


async def test_streams_and_groups_fire(app):
    async def stream():
        yield 1
        yield 2

    source, work = task_of(app, stream, "stream"), worker(app)
    seen = reporter(app, succeeded(source) | succeeded(work))
    assert [item async for item in source().stream()] == [1, 2]
    assert len(seen) == 1
    assert [result async for result in work.parallelize([(1,), (2,)])] == [1, 2]
    assert len(seen) == 3


def test_a_plain_loop_over_a_stream_fires(app):
    async def stream():
        yield 1

    source = task_of(app, stream, "stream")
    seen = reporter(app, succeeded(source))
    assert list(source().stream()) == [1]
    assert len(seen) == 1


def test_parents_and_children_fire(app):
    child = thread_worker(app, "child")

    def body():
        return child(5).result

    parent = task_of(app, body, "parent")
    seen = reporter(app, succeeded(child) | succeeded(parent))
    assert parent().result == 5
    assert [event.last.task_id for event in seen] == [child.task_id, parent.task_id]


def test_a_failure_of_what_is_fired_is_logged_and_does_not_reach_the_reader(app, caplog):
    work = worker(app)

    async def fail():
        raise LookupError("lost")

    app.on(succeeded(work))(task_of(app, fail, "fail"))
    assert work(1).result == 1
    assert "fail failed, and nobody looked at the error" in caplog.text


def test_threads_lose_nothing(app):
    work = thread_worker(app)
    reporter(app, succeeded(work))
    threads = [threading.Thread(target=lambda: [work(n).result for n in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    work().result  # noqa: B018  what was left for the next read
    [trigger] = app.triggers.values()
    assert trigger.fired == 201


def test_the_same_declarations_work_when_an_app_is_forced_to_be_synchronous(monkeypatch):
    monkeypatch.setenv("PYNENC__DEV_MODE_FORCE_SYNC_TASKS", "true")
    app = Pynenc()
    work = worker(app)
    seen = reporter(app, succeeded(work) & emitted("go"))
    app.emit("go")
    assert work(1).result == 1
    assert len(seen) == 1
