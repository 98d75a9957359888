"""A handler or a filter of the log may raise, or call tasks: no decision depends on it, and nobody who waits notices."""

import asyncio
import gc
import logging

import pytest

from pynenc_async import Pynenc, StoreError, emitted, inject, succeeded
from pynenc_async.status import InvocationStatus
from pynenc_async.store.memory import MemoryHub, MemoryStore

S = InvocationStatus


class RaisingHandler(logging.Handler):
    def __init__(self, error):
        super().__init__()
        self.error, self.said = error, []

    def emit(self, record):
        self.said.append(record.getMessage())
        raise self.error


class RaisingFilter(RaisingHandler):
    """Raises before any handler is asked."""

    def filter(self, record):
        self.emit(record)


@pytest.fixture(
    params=[RaisingHandler(OSError("no space")), RaisingHandler(SystemExit()), RaisingFilter(asyncio.CancelledError())],
    ids=["handler", "handler that exits", "filter"],
)
def said(request, monkeypatch):
    """What was logged through a handler that raises."""
    log, handler = logging.getLogger("pynenc_async"), request.param
    monkeypatch.setattr(log, "propagate", False)
    monkeypatch.setattr(logging, "raiseExceptions", False)
    handler.said.clear()
    log.addHandler(handler)
    yield handler.said
    log.removeHandler(handler)


async def swallow_cancellations(gate):
    while not gate.is_set():
        try:
            await gate.wait()
        except asyncio.CancelledError:
            pass


async def error_of(invocation):
    await invocation.wait()
    return invocation.exception()


@pytest.mark.virtual
async def test_a_body_that_ignores_its_cancellation_is_abandoned(new_app, said):
    app, gate = new_app(max_concurrency=1), asyncio.Event()

    @app.task(cancel_grace=1)
    async def deaf():
        await swallow_cancellations(gate)

    @app.task
    async def other():
        return 1

    async with app:
        invocation = deaf()
        while invocation.status is not S.RUNNING:
            await asyncio.sleep(0)
        await invocation.cancel()
        assert invocation.status is S.CANCELLED
        assert await other() == 1
        gate.set()
    assert "is abandoned" in said[0]


@pytest.mark.virtual
async def test_a_shutdown_abandons_what_ignores_it(said):
    app, gate = Pynenc(drain_seconds=0), asyncio.Event()

    @app.task(cancel_grace=1_000)
    async def deaf():
        await swallow_cancellations(gate)

    async with app:
        invocations = [deaf(), deaf()]
        await asyncio.sleep(0)
    assert [one.status for one in invocations] == [S.CANCELLED, S.CANCELLED]
    assert len(said) == 2
    gate.set()


@pytest.mark.parametrize("in_thread", [False, True])
async def test_a_retry_if_that_raises_ends_the_invocation(new_app, said, in_thread):
    app = new_app()

    def refuse(error):
        raise asyncio.CancelledError

    def in_a_thread():
        raise LookupError

    async def in_the_loop():
        raise LookupError

    task = app.task(max_retries=1, retry_if=refuse)(in_a_thread if in_thread else in_the_loop)
    async with app:
        assert [type(await error_of(task())) for _ in range(3)] == [LookupError] * 3
    assert len(said) == 3


async def test_other_triggers_fire_where_one_fails(new_app, said):
    app, fired = new_app(), []

    @app.task
    async def first():
        pass

    @app.task
    async def second(name):
        fired.append(name)

    def fail(_):
        raise SystemExit

    app.on(succeeded(first).where(fail), arguments=("predicate",))(second)
    app.on(succeeded(first) & emitted("never"), by=fail, arguments=("key",), name="key")(second)
    app.on(succeeded(first), arguments=fail, name="arguments")(second)
    app.on(succeeded(first), arguments=("fine",), name="fine")(second)
    async with app:
        await first()
    assert fired == ["fine"]
    assert len(said) == 3


@pytest.mark.parametrize("kind", [LookupError, asyncio.CancelledError, SystemExit, GeneratorExit])
async def test_other_observers_are_told_where_one_raises(new_app, said, kind):
    app, told = new_app(), []

    def fail(event):
        told.append("once")
        raise kind

    app.observe(fail)
    app.observe(lambda event: told.append(event.status))

    @app.task
    async def task():
        pass

    async with app:
        await task()
        await task()
    assert told.count("once") == 1
    assert told.count(S.SUCCESS) == 2
    assert len(said) == 1


async def test_a_middleware_that_breaks_is_disabled_and_its_invocation_goes_on(new_app, said):
    app = new_app()

    @app.middleware
    async def broken(invocation, call_next):
        raise LookupError

    @app.task
    async def task():
        return 1

    async with app:
        assert [await task(), await task()] == [1, 1]
    assert len(said) == 1


@pytest.mark.parametrize("scope", ["app", "invocation"])
async def test_a_resource_that_fails_to_close_keeps_no_other_open(said, scope):
    app, closed = Pynenc(), []

    @app.resource(scope=scope)
    async def first():
        try:
            yield 1
        finally:
            closed.append("first")

    @app.resource(scope=scope)
    async def second():
        yield 2
        raise LookupError

    @app.task
    async def task(one: int = inject(first), two: int = inject(second)):
        pass

    async with app:
        await task().wait()
    assert closed == ["first"]


async def test_a_failure_that_nobody_looks_at_is_no_more_than_that(new_app, said):
    app = new_app()

    @app.task
    async def fail():
        raise LookupError

    async with app:
        for _ in range(3):
            fail()
        while app.statistics().living:
            await asyncio.sleep(0)
    gc.collect()
    assert len(said) >= 2


@pytest.mark.virtual
async def test_a_store_that_can_be_written_again_is_written(said):
    hub, refuses = MemoryHub(), []

    def before(name, changes):
        if refuses and name == "commit":
            raise StoreError("full")

    app = Pynenc(store=lambda: MemoryStore(hub, before=before))

    @app.task
    async def task():
        return 1

    async with app:
        assert await task() == 1
        refuses.append(1)
        assert isinstance((await error_of(task())), StoreError)
        refuses.clear()
        await asyncio.sleep(10)
        assert await task() == 1
    assert len(said) == 2, "that it failed, and that it works again"


def refuse_to_say(error):
    raise ValueError


async def test_a_handler_may_call_tasks(new_app):
    app, shipped = new_app(max_concurrency=1), []

    @app.task
    async def ship(text):
        shipped.append(text)

    @app.task
    async def fail():
        raise LookupError

    retried = fail.with_options(max_retries=1, retry_if=refuse_to_say)

    class Shipping(logging.Handler):
        def emit(self, record):
            ship(record.getMessage())
            ship.with_options(priority=1)(record.getMessage())
            app.emit("logged", record.getMessage())

    app.on(emitted("logged"), arguments=lambda event: (event.payload,))(ship)
    log, handler = logging.getLogger("pynenc_async"), Shipping()
    log.addHandler(handler)
    try:
        async with app:
            for _ in range(3):
                await retried().wait()
            await asyncio.sleep(0)
    finally:
        log.removeHandler(handler)
    assert len(shipped) >= 9, "each of the failures, in three ways"
