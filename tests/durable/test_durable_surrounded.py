"""A `def` with middleware or resources around it is stopped on a store as in memory: by whatever stops an invocation."""

import asyncio

import pytest
from durable_world import World
from helpers import S, assert_lawful, statuses

from pynenc_async import InvocationExpiredError, InvocationTimeoutError, Pynenc, inject

pytestmark = pytest.mark.virtual

SURROUNDED = pytest.mark.parametrize("how", ["middleware", "resource"])


@pytest.fixture(params=["memory", "store"])
def new_app(request):
    return Pynenc if request.param == "memory" else World().app


def surrounded(app, how, **options):
    """Return a `def` around which something takes ten seconds before it begins, and what was left of it."""
    left = []

    async def takes_long():
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            left.append("broken off")
            raise

    if how == "middleware":

        @app.middleware
        async def slow(invocation, call_next):
            await takes_long()
            return await call_next()

        @app.task(**options)
        def work() -> int:
            return 1

    else:

        @app.resource
        async def opened():
            await takes_long()
            yield 1

        @app.task(**options)
        def work(resource: int = inject(opened)) -> int:
            return resource

    return work, left


@SURROUNDED
async def test_it_runs(new_app, how):
    async with new_app() as app:
        work, left = surrounded(app, how)
        handle = work()
        await asyncio.sleep(5)
        assert handle.status is S.RUNNING
        assert await handle == 1
        assert_lawful(handle)
    assert not left


@SURROUNDED
async def test_it_is_cancelled(new_app, how):
    async with new_app(drain_seconds=0) as app:
        work, left = surrounded(app, how)
        handle = work()
        await asyncio.sleep(5)
        await asyncio.wait_for(handle.cancel("enough"), 1)
        assert (handle.status, left) == (S.CANCELLED, ["broken off"])
        assert_lawful(handle)


@SURROUNDED
async def test_it_is_over_at_its_deadline(new_app, how):
    async with new_app(drain_seconds=0) as app:
        work, left = surrounded(app, how, deadline=5)
        handle = work()
        assert await handle.wait(6)
        assert (handle.status, left) == (S.FAILED, ["broken off"])
        assert isinstance(handle.exception(), InvocationTimeoutError | InvocationExpiredError)


@SURROUNDED
async def test_its_attempt_times_out_and_is_tried_again(new_app, how):
    async with new_app(drain_seconds=0) as app:
        work, left = surrounded(app, how, timeout=5, max_retries=1, retry_for=[InvocationTimeoutError])
        handle = work()
        assert await handle.wait(30)
        assert (handle.status, handle.num_retries, left) == (S.FAILED, 1, 2 * ["broken off"])
        assert isinstance(handle.exception(), InvocationTimeoutError)


@SURROUNDED
@pytest.mark.parametrize("ends_by", ["timeout", "cancel"])
async def test_it_is_stopped_with_its_parent(new_app, how, ends_by):
    async with new_app(drain_seconds=0) as app:
        work, left = surrounded(app, how)

        @app.task(timeout=5)
        async def parent() -> None:
            await work()

        handle = parent()
        if ends_by == "cancel":
            await asyncio.sleep(3)
            await handle.cancel()
        assert await handle.wait(10)
        assert (handle.status, left) == (S.FAILED if ends_by == "timeout" else S.CANCELLED, ["broken off"])
        assert handle.exception() is not None


@SURROUNDED
async def test_the_app_is_shut_down_around_it(new_app, how):
    app = new_app(drain_seconds=0)
    async with app:
        work, left = surrounded(app, how)
        handle = work()
        await asyncio.sleep(5)
    assert left == ["broken off"]
    assert statuses(handle)[-1] in (S.CANCELLED, S.REROUTED)
