"""A failure that no awaiter takes is logged once, with the id, when the last handle goes or a second after its end."""

import asyncio
import gc
import logging
import weakref

import pytest
from helpers import Gate, S, turns

from pynenc_async import CycleDetectedError, Pynenc, current_invocation


@pytest.fixture(autouse=True, scope="module")
def no_help_from_the_collector():
    """Prompt means by reference counting: a log entry that waits for the collector comes hours late."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def logged(caplog, app):
    """What was logged about invocations of this app: what other tests left for the collector does not count."""
    return [
        record
        for record in caplog.records
        if record.levelno == logging.ERROR and record.invocation_id.startswith(app._dispatcher.runner_id)
    ]


async def at_once():
    raise LookupError("lost")


async def later():
    await asyncio.sleep(0)
    raise LookupError("lost")


def in_thread():
    raise LookupError("lost")


async def through_a_child():
    app = Pynenc()
    await app.task(later)()


BODIES = (at_once, later, in_thread, through_a_child)


async def until_failed(app, invocation_id):
    while app.get_invocation(invocation_id).status is not S.FAILED:
        await asyncio.sleep(0)


@pytest.mark.parametrize("body", BODIES)
async def test_logged_once_with_the_id_and_the_traceback_when_the_handle_is_dropped(body, caplog):
    app = Pynenc()
    invocation = app.task(body)()
    invocation_id = invocation.invocation_id
    await until_failed(app, invocation_id)
    await turns(3)
    assert not logged(caplog, app), "the handle may still be asked"
    del invocation
    await turns(1)
    [entry] = logged(caplog, app)
    assert invocation_id in entry.getMessage()
    assert body.__name__ in entry.getMessage()
    assert entry.exc_info[0] is LookupError
    gc.collect()
    assert len(logged(caplog, app)) == 1


@pytest.mark.parametrize("body", BODIES)
async def test_logged_at_its_end_when_the_handle_was_dropped_before(body, caplog):
    app = Pynenc()
    invocation_id = app.task(body)().invocation_id
    await until_failed(app, invocation_id)
    await turns(3)
    [entry] = logged(caplog, app)
    assert invocation_id in entry.getMessage()


async def test_it_can_still_be_found_after_it_was_logged(caplog):
    app = Pynenc()
    invocation_id = app.task(at_once)().invocation_id
    await until_failed(app, invocation_id)
    await turns(3)
    assert len(logged(caplog, app)) == 1
    assert isinstance(app.get_invocation(invocation_id).exception(), LookupError)
    assert len(logged(caplog, app)) == 1


async def by_await(invocation):
    with pytest.raises(LookupError):
        await invocation


async def by_await_after_the_end(invocation):
    await turns(5)
    await by_await(invocation)


async def by_exception(invocation):
    await invocation.wait()
    assert invocation.exception()


async def by_result(invocation):
    await invocation.wait()
    with pytest.raises(LookupError):
        invocation.result  # noqa: B018


async def by_thread(invocation):
    def read():
        with pytest.raises(LookupError):
            invocation.result  # noqa: B018

    await asyncio.to_thread(read)


async def by_gather(invocation):
    await asyncio.gather(invocation, return_exceptions=True)


@pytest.mark.parametrize("observe", [by_await, by_await_after_the_end, by_exception, by_result, by_thread, by_gather])
@pytest.mark.parametrize("body", [at_once, later])
async def test_not_logged_when_somebody_looked(body, observe, caplog):
    app = Pynenc()
    invocation = app.task(body)()
    await observe(invocation)
    del invocation
    gc.collect()
    await turns(2)
    assert not logged(caplog, app)


@pytest.mark.parametrize("look", [lambda handle: handle.exception(), lambda handle: handle.to_json()])
async def test_a_mere_look_at_it_takes_nothing(look, caplog):
    app = Pynenc()
    invocation = app.task(at_once)()
    await turns(4)
    assert look(app.get_invocation(invocation.invocation_id))
    del invocation
    gc.collect()
    assert len(logged(caplog, app)) == 1


def knows_itself():
    me = current_invocation()
    raise LookupError(me.invocation_id)


async def knows_itself_later():
    me = current_invocation()
    await asyncio.sleep(0)
    raise LookupError(me.invocation_id)


@pytest.mark.virtual
@pytest.mark.parametrize("url", ["memory://", "sqlite:///{}/jobs.db"])
@pytest.mark.parametrize("body", [at_once, later, in_thread, knows_itself, knows_itself_later])
async def test_logged_within_two_seconds_though_the_app_is_idle_and_somebody_keeps_the_handle(
    body, url, tmp_path, caplog
):
    app = Pynenc(url.format(tmp_path))
    async with app:
        kept = app.task(body)()
        await asyncio.sleep(2)
        assert [entry.invocation_id for entry in logged(caplog, app)] == [kept.invocation_id]
        assert isinstance(kept.exception(), LookupError)
        await asyncio.sleep(10)
        assert len(logged(caplog, app)) == 1


@pytest.mark.virtual
@pytest.mark.parametrize("observe", ["await", "exception", "gather", "group"])
async def test_not_logged_later_though_the_handle_is_kept_when_an_awaiter_took_it(observe, caplog):
    app = Pynenc()
    task = app.task(later)
    handles = [task()]
    if observe == "await":
        await by_await(handles[0])
    elif observe == "exception":
        await by_exception(handles[0])
    elif observe == "gather":
        await by_gather(handles[0])
    else:
        group = task.parallelize([(), ()])
        with pytest.raises(LookupError):
            async for _ in group:
                pass
        handles += group.invocations
        for handle in handles:
            await by_exception(handle)
    await asyncio.sleep(10)
    assert not logged(caplog, app)


async def test_the_shutdown_logs_what_nobody_has_waited_for(caplog):
    app = Pynenc()
    async with app:
        kept = app.task(at_once)()
    assert [entry.invocation_id for entry in logged(caplog, app)] == [kept.invocation_id]


async def test_all_failures_are_logged_where_the_app_says_so(caplog):
    app = Pynenc(log_failures="all")
    invocation = app.task(at_once)()
    await by_await(invocation)
    assert len(logged(caplog, app)) == 1


async def test_none_is_logged_where_the_app_says_so(caplog):
    caplog.set_level(logging.INFO, "pynenc_async")
    async with Pynenc(log_failures="none") as app:
        app.task(max_retries=1)(at_once)()
    assert not logged(caplog, app)
    assert not caplog.records


async def test_retries_are_logged_at_info_with_their_delay(caplog):
    caplog.set_level(logging.INFO, "pynenc_async")
    app = Pynenc()
    invocation = app.task(max_retries=1, retry_delay=0.001)(at_once)()
    await by_await(invocation)
    [entry] = [entry for entry in caplog.records if entry.levelno == logging.INFO]
    assert entry.invocation_id == invocation.invocation_id
    assert "attempt 1 of" in entry.getMessage()
    assert "LookupError: lost; the next one begins in 0.001 s" in entry.getMessage()


async def test_not_logged_when_a_group_has_shown_it(caplog):
    app = Pynenc()

    @app.task
    async def fail(n):
        raise LookupError

    group = fail.parallelize([(1,)])
    async for member in group.as_completed():
        assert member.exception()
    del group, member
    gc.collect()
    assert not logged(caplog, app)


async def test_waiting_for_the_end_is_not_looking_at_the_error(caplog):
    app = Pynenc()
    invocation = app.task(later)()
    await invocation.wait()
    del invocation
    await turns(2)
    assert len(logged(caplog, app)) == 1


async def test_a_failure_while_the_app_drains_is_not_lost(caplog):
    app = Pynenc()
    async with app:
        app.task(later)()
    await turns(2)
    assert len(logged(caplog, app)) == 1


async def test_a_waiter_that_was_cancelled_has_seen_nothing(caplog):
    app = Pynenc()
    gate = Gate()

    @app.task
    async def fail():
        await gate.wait()
        raise LookupError

    invocation = fail()
    waiter = asyncio.ensure_future(invocation)
    await turns(3)
    waiter.cancel()
    await turns(2)
    gate.open()
    await until_failed(app, invocation.invocation_id)
    del invocation, waiter
    await turns(2)
    assert len(logged(caplog, app)) == 1


async def test_a_cancellation_is_no_failure(caplog):
    app = Pynenc()

    @app.task
    async def work():
        await asyncio.Event().wait()

    invocation = work()
    await turns(3)
    await invocation.cancel()
    del invocation
    gc.collect()
    assert not logged(caplog, app)


@pytest.mark.parametrize("kind", ["call", "wait"])
async def test_a_cycle_is_logged_as_promptly_as_any_failure(kind, caplog):
    app = Pynenc()
    handles = []

    @app.task
    async def again():
        await (again() if kind == "call" else handles.pop())

    handles.append(again())
    invocation_id = handles[0].invocation_id
    if kind == "call":
        handles.clear()
    await until_failed(app, invocation_id)
    await turns(3)
    [entry] = logged(caplog, app)
    assert entry.exc_info[0] is CycleDetectedError


async def test_what_failed_once_and_then_succeeded_is_not_logged(caplog):
    app = Pynenc()
    runs = []

    @app.task(max_retries=1)
    async def flaky():
        runs.append(1)
        if len(runs) == 1:
            raise LookupError

    await flaky()
    gc.collect()
    assert not logged(caplog, app)


async def test_a_failed_invocation_keeps_nothing_alive_but_its_error():
    app = Pynenc(retain_count=0)

    class Thing:
        pass

    @app.task
    async def fail(thing):
        raise LookupError

    thing = Thing()
    invocation, seen = fail(thing), weakref.ref(thing)
    with pytest.raises(LookupError):
        await invocation
    del invocation, thing
    await turns(3)
    gc.collect()  # an error that was raised refers to the frame that awaited, and so to its own invocation
    assert seen() is None
