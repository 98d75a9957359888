"""What is given back to the store lets go of everything here: its surroundings are left, its readers and waiters are told."""

import asyncio
import threading

import pytest
from durable_world import World
from helpers import S

from pynenc_async import InvocationNotFinalError, StreamTruncatedError, inject, lifecycle
from pynenc_async.execution.processes.process import missing_processes

PROCESSES = pytest.mark.skipif(missing_processes() is not None, reason="there are no worker processes here")
ON_THE_LOOP = ["loop", "stubborn", "generator"]
ELSEWHERE = ["thread", pytest.param("process", marks=PROCESSES)]


def hold():
    """Keep a worker process busy until somebody ends it."""
    threading.Event().wait()


class Here:
    """A process with one invocation whose body does not end by itself, with middleware and a resource around it."""

    def __init__(self, kind):
        self.world = World()
        self.app = self.world.app(drain_seconds=0, max_threads=1, lease_seconds=10_000)
        self.left, self.begun, self.gate = set(), threading.Event(), threading.Event()
        self.surroundings = {"middleware"} if kind == "process" else {"middleware", "resource"}

        @self.app.middleware
        async def around(invocation, call_next):
            try:
                if kind == "process":
                    self.begun.set()
                return await call_next()
            finally:
                self.left.add("middleware")

        @self.app.resource
        async def opened():
            try:
                yield 1
            finally:
                self.left.add("resource")

        options = {"runs_in": "process"} if kind == "process" else {}
        body = hold if kind == "process" else getattr(self, f"_{kind}")(inject(opened))
        self.task = self.app.task(cancel_grace=0.05, **options)(body)

    def _loop(self, resource):
        async def work(resource: int = resource) -> None:
            self.begun.set()
            await asyncio.Event().wait()

        return work

    def _stubborn(self, resource):
        async def work(resource: int = resource) -> None:
            self.begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                while not self.gate.is_set():
                    await asyncio.sleep(0.01)

        return work

    def _thread(self, resource):
        def work(resource: int = resource) -> None:
            self.begun.set()
            self.gate.wait(60)

        return work

    def _generator(self, resource):
        async def work(resource: int = resource):
            self.begun.set()
            yield 1
            await asyncio.Event().wait()

        return work

    async def until(self, condition):
        async with asyncio.timeout(60):
            while not condition():
                await asyncio.sleep(0.001)

    # -- how it is given back ------------------------------------------------------------------------------------------

    async def at_shutdown(self, handle):
        await self.app.shutdown()

    async def at_a_lost_lease(self, handle):
        self.world.hub.declare_dead(self.app._dispatcher.runner_id)
        self.world.hub.ring("somebody")

    async def by_a_refused_change(self, handle):
        self.world.hub.declare_dead(self.app._dispatcher.runner_id)  # of which it does not hear
        with pytest.raises((InvocationNotFinalError, TimeoutError)):
            await asyncio.wait_for(handle.cancel(), 1)


@pytest.fixture(autouse=True)
def little_patience(monkeypatch):
    monkeypatch.setattr(lifecycle, "CANCEL_GRACE_SECONDS", 0.1)


WAYS = ["at_shutdown", "at_a_lost_lease", "by_a_refused_change"]


async def give_back(kind, how):
    here = Here(kind)
    await here.app.start()
    try:
        handle = here.task()
        await here.until(here.begun.is_set)
        reading = asyncio.ensure_future(anext(handle.stream())) if kind == "generator" else None
        if reading is not None:
            assert await reading == 1
            reading = asyncio.ensure_future(anext(handle.stream(from_start=False)))
            await asyncio.sleep(0)
        await getattr(here, how)(handle)
        await here.until(lambda: handle._more.away)
        if kind == "stubborn":
            here.gate.set()
        await here.until(lambda: here.left == here.surroundings)
        if reading is not None:
            with pytest.raises(StreamTruncatedError):
                await asyncio.wait_for(reading, 60)
        await asyncio.wait_for(here.app.shutdown(), 60)
        assert not handle.status.is_final()
        if how == "at_shutdown":
            assert here.world.row(handle.invocation_id).status is S.REROUTED
    finally:
        here.gate.set()
        await here.app.shutdown()


@pytest.mark.slow
@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("kind", ON_THE_LOOP)
async def test_what_is_given_back_lets_go(kind, how):
    await give_back(kind, how)


@pytest.mark.slow
@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("kind", ELSEWHERE)
def test_what_is_given_back_from_elsewhere_lets_go(kind, how):
    asyncio.run(give_back(kind, how))  # in real time: simulated time stands still while it works


async def test_what_waits_for_a_thread_never_begins_once_its_lease_is_lost():
    world, gate, begun = World(), threading.Event(), []
    app = world.app(max_threads=1, lease_seconds=0.2)

    @app.task
    def work(number: int) -> None:
        begun.append(number)
        gate.wait(60)

    async with app:
        handles = [work(number) for number in range(3)]
        async with asyncio.timeout(60):
            while not begun:
                await asyncio.sleep(0)
            world.hub.declare_dead(app._dispatcher.runner_id)
            world.hub.ring("somebody")
            while not all(handle._more.away for handle in handles):
                await asyncio.sleep(0)
            gate.set()
            for handle in handles:  # what it has lost it finds again, and runs once
                await handle
    assert sorted(begun) == [0, 0, 1, 2]


async def test_what_is_given_back_stands_in_the_way_of_no_call_once_it_has_ended_elsewhere():
    world = World()
    apps = [world.app(lease_seconds=10_000, drain_seconds=0) for _ in range(2)]
    gate = asyncio.Event()

    def define(app):
        @app.task(registration_concurrency="task", unique_until="finished")
        async def work() -> None:
            await gate.wait()

        return work

    here, there = map(define, apps)
    async with apps[0], apps[1], asyncio.timeout(60):
        first = here()
        await first.accepted()
        world.hub.declare_dead(apps[0]._dispatcher.runner_id)
        world.hub.ring("somebody")
        gate.set()
        while not world.row(first.invocation_id).status.is_final():
            await asyncio.sleep(0)
        second = here()
        assert second.invocation_id != first.invocation_id
        await second
        assert there.app.get_invocation(second.invocation_id) is not None
