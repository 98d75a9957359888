"""An app with a store is used in another event loop than its own: an error names that loop, and its own goes on."""

import asyncio
import threading
from contextlib import contextmanager

import pytest
from durable_world import World

from pynenc_async import AppNotStartedError, Pynenc, emitted

PATIENCE = 30


class Site:
    """An app and what may be done with it, in a loop of its own where one invocation runs until it is told to end."""

    def __init__(self, app):
        self.app = app
        self.ran, self.gates = [], []
        self.loop = asyncio.new_event_loop()

        @app.task
        async def job(number):
            self.ran.append(number)
            return number

        @app.task
        async def later(number):
            self.ran.append(number)

        @app.task
        async def held():
            self.gates.append(asyncio.Event())
            await self.gates[-1].wait()
            return "told"

        @app.task
        async def items():
            yield 1
            await asyncio.Event().wait()

        @app.direct_task
        async def direct(number):
            self.ran.append(number)

        app.on(emitted("event"), arguments=lambda event: (event.payload,))(later)
        self.job, self.held, self.items, self.direct = job, held, items, direct

    async def begin(self):
        await self.app.start()
        self.handle = await self.held.submit()
        self.stream = self.items().stream()
        assert await anext(self.stream) == 1
        self.group = self.job.parallelize(((number,) for number in range(9)), window=2)
        self.whole = self.held.parallelize([(), ()])

    async def end(self):
        """Everything works in the loop of the app, and nothing else has been run."""
        assert await self.job(8) == 8
        for gate in self.gates:
            gate.set()
        assert await self.handle == "told"
        assert await anext(aiter(self.group)) in range(9)
        await self.app.shutdown(0)
        assert set(self.ran) <= set(range(9))
        assert self.ran.count(8) <= 2

    def run_here(self, main):
        return self.loop.run_until_complete(asyncio.wait_for(main(), PATIENCE))

    def close_loop(self):
        """Do as `asyncio.run` does at its end."""
        if not self.loop.is_closed():
            with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
                runner.get_loop()


async def parallelize(site):
    site.job.parallelize([(99,)])


async def call(site):
    site.job(99)


async def call_with_options(site):
    site.job.with_options(priority=3)(99)


async def emit(site):
    site.app.emit("event", 99)


async def block(site):
    async with site.handle:
        pass


async def group_block(site):
    async with site.whole:
        pass


async def window(site):
    await site.job.parallelize(((number,) for number in range(100, 103)), window=1)


CALLS = {
    "call": call,
    "with options": call_with_options,
    "parallelize": parallelize,
    "emit": emit,
}
"""Those may be made in another thread while the loop of the app runs."""
AWAITS = {
    "submit": lambda site: site.job.submit(99),
    "direct call": lambda site: site.direct(99),
    "windowed group": window,
    "await": lambda site: site.handle.wait(),
    "wait with a timeout": lambda site: site.handle.wait(PATIENCE),
    "accepted": lambda site: site.handle.accepted(),
    "cancel": lambda site: site.handle.cancel(),
    "leave its block": block,
    "stream": lambda site: anext(site.stream),
    "updates": lambda site: anext(aiter(site.handle.updates())),
    "await a group": lambda site: asyncio.gather(*site.whole.invocations),
    "iterate a group": lambda site: anext(aiter(site.whole)),
    "read a group in order": lambda site: anext(site.whole.in_order()),
    "iterate a windowed group": lambda site: anext(aiter(site.group)),
    "read a windowed group in order": lambda site: anext(site.group.in_order()),
    "cancel a group": lambda site: site.whole.cancel(),
    "leave the block of a group": group_block,
    "find": lambda site: site.app.find(),
    "backup": lambda site: site.app.backup("never-written.db"),
}
LIFE = {
    "start": lambda site: site.app.start(),
    "enter": lambda site: site.app.__aenter__(),
    "drain": lambda site: site.app.drain(1),
    "shutdown": lambda site: site.app.shutdown(0),
}


def use_elsewhere(site, use):
    """Do it in a loop of this thread, and return the message of the error that it is answered with."""

    async def main():
        await asyncio.wait_for(use(site), PATIENCE)

    with pytest.raises(AppNotStartedError) as caught:
        asyncio.run(main())
    return str(caught.value)


@pytest.fixture
def site():
    site = Site(World().app(drain_seconds=0))
    yield site
    site.close_loop()


@pytest.mark.parametrize("use", [*CALLS.values(), *AWAITS.values(), *LIFE.values()], ids=[*CALLS, *AWAITS, *LIFE])
def test_while_its_loop_waits_a_use_in_another_is_refused_and_its_own_goes_on(site, use):
    site.run_here(site.begin)
    message = use_elsewhere(site, use)
    assert f"{id(site.loop):#x}" in message
    assert "does not run now" in message
    site.run_here(site.end)


@contextmanager
def running(loop):
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE)


@pytest.mark.parametrize("use", [*AWAITS.values(), *LIFE.values()], ids=[*AWAITS, *LIFE])
def test_while_its_loop_runs_in_another_thread_what_cannot_be_awaited_here_does_nothing(site, use):
    site.run_here(site.begin)
    with running(site.loop):
        message = use_elsewhere(site, use)
    assert f"{id(site.loop):#x}" in message
    assert "event loop of another thread" in message
    site.run_here(site.end)


@pytest.mark.parametrize("use", CALLS.values(), ids=CALLS)
def test_while_its_loop_runs_in_another_thread_calls_are_run_there(site, use):
    site.run_here(site.begin)
    with running(site.loop):
        asyncio.run(use(site))

    async def until_run():
        while 99 not in site.ran:
            await asyncio.sleep(0)

    site.run_here(until_run)
    site.run_here(lambda: site.app.shutdown(0))


@pytest.mark.parametrize("use", [*CALLS.values(), *AWAITS.values()], ids=[*CALLS, *AWAITS])
def test_after_its_loop_was_closed_a_use_is_refused_until_the_app_is_started_anew(site, use):
    site.run_here(site.begin)
    site.close_loop()
    message = use_elsewhere(site, use)
    assert "is closed" in message
    assert "start it again" in message

    async def anew():
        async with site.app:
            return await site.job(7)

    assert asyncio.run(asyncio.wait_for(anew(), PATIENCE)) == 7
    assert not {99, 100} & set(site.ran)


def test_after_its_loop_was_closed_it_may_be_shut_down_and_lets_its_store_go(site):
    site.run_here(site.begin)
    site.close_loop()
    asyncio.run(asyncio.wait_for(site.app.shutdown(), PATIENCE))
    message = use_elsewhere(site, call)
    assert "has to be started" in message


def test_a_call_from_a_thread_that_the_loop_did_not_live_to_see_is_told_that_it_was_lost(site):
    calls = []

    def call_in_thread():
        caller = threading.Thread(target=lambda: calls.append(site.job(99)))
        caller.start()
        caller.join()

    async def begin():
        await site.app.start()
        site.loop.call_soon(call_in_thread)  # in the last turn of the loop

    site.loop.run_until_complete(begin())
    site.close_loop()

    async def anew():
        async with site.app:
            await calls[0].wait()
            assert await site.job(7) == 7
        return calls[0].exception()

    assert "submit it again" in str(asyncio.run(asyncio.wait_for(anew(), PATIENCE)))
    assert site.ran == [7]


def test_a_file_is_let_go_with_the_loop_that_was_closed(tmp_path):
    site = Site(Pynenc(f"sqlite:///{tmp_path}/a.db", drain_seconds=0))
    site.run_here(site.begin)
    for use in (call, AWAITS["submit"], AWAITS["find"], LIFE["start"], LIFE["shutdown"]):
        assert "does not run now" in use_elsewhere(site, use)
    site.close_loop()
    assert "is closed" in use_elsewhere(site, AWAITS["submit"])

    async def anew():
        async with site.app:
            return await site.job(7)

    assert asyncio.run(asyncio.wait_for(anew(), PATIENCE)) == 7
    assert not list(tmp_path.glob("*runner*"))
