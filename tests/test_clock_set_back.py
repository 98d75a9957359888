"""A clock that is set: histories stay in order, and nothing is held up or hurried by as much as it was set by."""

import asyncio
import threading
import time
from datetime import timedelta

import pytest

from pynenc_async import InvocationTimeoutError, Pynenc, Rate, RetryError
from pynenc_async.testing import VirtualLoop

HOUR = 3600.0
URLS = ["memory://", "sqlite"]


class Clock:
    """The clock on the wall, of real and of simulated loops; it is set by an hour."""

    def __init__(self, monkeypatch):
        self.offset = 0.0
        real, simulated = time.time, VirtualLoop.wall_time
        monkeypatch.setattr(time, "time", lambda: real() + self.offset)
        monkeypatch.setattr(VirtualLoop, "wall_time", lambda loop: simulated(loop) + self.offset)

    def back(self):
        self.offset -= HOUR

    def forward(self):
        self.offset += HOUR


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


@pytest.fixture(params=URLS)
def app(request, clock, tmp_path):
    return Pynenc(f"sqlite:///{tmp_path}/jobs.db" if request.param == "sqlite" else request.param)


def assert_in_order(*invocations):
    for invocation in invocations:
        moments = [entry.timestamp for entry in invocation.history]
        assert moments == sorted(moments)
        assert [entry.order for entry in invocation.history] == list(range(len(moments)))


async def test_whenever_it_is_set_back_a_history_is_in_order(app, clock):
    attempts = []

    @app.task
    async def child(x: int) -> int:
        clock.back()
        return x

    @app.task(max_retries=1)
    async def parent(x: int) -> int:
        clock.back()
        await child(x)
        attempts.append(x)
        if len(attempts) == 1:
            raise RetryError(after=0)
        return x

    @app.task
    def in_thread(x: int) -> int:
        clock.back()
        return x

    @app.task
    async def fail() -> None:
        clock.back()
        raise ValueError

    async with app:
        invocations = parent(1), in_thread(2), fail()
        clock.back()
        await asyncio.gather(*invocations, return_exceptions=True)
        assert_in_order(*invocations, *(await app.find()).invocations)


def test_a_synchronous_history_is_in_order_too(clock):
    app = Pynenc("sync://")

    @app.task(max_retries=1)
    def body(x: int) -> int:
        clock.back()
        if x not in seen:
            seen.append(x)
            raise RetryError(after=0)
        return x

    seen = []
    invocation = body(1)
    clock.back()
    assert invocation.result == 1
    assert_in_order(invocation)


async def test_a_restart_after_it_was_set_back_leaves_the_history_in_order(clock, tmp_path):
    def make():
        app = Pynenc(f"sqlite:///{tmp_path}/jobs.db", drain_seconds=0)

        @app.task
        async def body(x: int) -> int:
            if clock.offset == 0:
                begun.set()
                await asyncio.Event().wait()
            return x

        return app, body

    begun = asyncio.Event()
    app, body = make()
    async with app:
        invocation = await body.submit(1)
        await begun.wait()
    clock.back()
    app, _ = make()
    async with app:
        found = app.get_invocation(invocation.invocation_id)
        assert await found == 1
        assert_in_order(found)
        assert len(found.history) > 4


@pytest.mark.slow
async def test_a_rate_is_not_held_up(app, clock):
    @app.task(rate_limit=Rate(50))
    async def body(x: int) -> int:
        return x

    async with app:
        await body.parallelize([(x,) for x in range(50)])
        clock.back()
        await asyncio.wait_for(asyncio.gather(*(body(x) for x in range(10))), timeout=HOUR / 2)


@pytest.mark.slow
def test_the_timeout_of_a_body_in_a_thread_is_not_held_up(app, clock):
    release = threading.Event()

    @app.task(timeout=0.2, cancel_grace=0.1)
    def body() -> None:
        clock.back()
        release.wait(30)

    async def main() -> None:  # in real time: simulated time stands still while a thread works
        async with app:
            with pytest.raises(InvocationTimeoutError):
                await asyncio.wait_for(body(), timeout=20)
            release.set()

    asyncio.run(main())


@pytest.mark.slow
async def test_delays_and_retries_that_this_process_knows_are_not_held_up(app, clock):
    attempts = []

    @app.task(max_retries=1)
    async def body(x: int) -> int:
        attempts.append(x)
        if len(attempts) == 1:
            raise RetryError(after=0.1)
        return x

    async with app:
        delayed = body.with_options(delay=timedelta(seconds=0.1))(1)
        clock.back()
        assert await asyncio.wait_for(delayed, timeout=20) == 1
        assert_in_order(delayed)


@pytest.mark.slow
def test_the_timeout_of_a_body_that_waits_for_its_thread_counts_from_its_beginning(clock):
    app = Pynenc(max_threads=1)
    held, release = threading.Event(), threading.Event()

    @app.task
    def hold() -> None:
        held.set()
        release.wait(30)

    @app.task(timeout=1, cancel_grace=0.1)
    def late() -> str:
        clock.forward()
        time.sleep(0.3)
        return "in time"

    async def main() -> str:  # in real time
        async with app:
            holding, waiting = hold(), late()
            await asyncio.to_thread(held.wait)
            asyncio.get_running_loop().call_later(0.8, release.set)
            await holding
            return await waiting

    assert asyncio.run(main()) == "in time"


@pytest.mark.virtual
@pytest.mark.parametrize("way", ["back", "forward"])
async def test_what_has_ended_is_kept_as_long_as_was_asked_for(clock, way):
    app = Pynenc(retain_seconds=60)

    @app.task
    async def body(x: int) -> int:
        return x

    def kept():
        return sorted(found.arguments.kwargs["x"] for found in app.invocations())

    async with app:
        await body(1)
        await asyncio.sleep(20)
        await body(2)
        getattr(clock, way)()
        await body(3)
        await asyncio.sleep(39)
        assert kept() == [1, 2, 3]
        await asyncio.sleep(2)
        assert kept() == [2, 3]
        await asyncio.sleep(20)
        assert kept() == []
