"""Handing over: who asks a free worker for much lets it begin first, and waits for nothing else."""

import asyncio
import threading
from queue import SimpleQueue

import pytest

from pynenc_async.store.sqlite import worker
from pynenc_async.store.sqlite.worker import Worker

HEAVY = worker._HEAVY


@pytest.fixture(autouse=True)
def _patient(monkeypatch):
    """Who waits for the wrong thing waits until the test has failed."""
    monkeypatch.setattr(worker, "_LONGEST_HANDOVER", 60.0)


@pytest.fixture
def make_worker():
    made = []

    def make(serve):
        made.append(Worker("test", lambda jobs: [(job, serve(job), None) for job in jobs], most=1))
        made[-1].start()
        return made[-1]

    yield make
    for one in made:
        one.stop()


async def asked_while_the_loop_goes_on(make_worker, weight, serve):
    """Whether the loop went on before the worker had begun."""
    went_on = threading.Event()
    one = make_worker(lambda job: serve(job, went_on))
    asyncio.get_running_loop().call_soon(went_on.set)
    return await one.ask(None, weight=weight)


async def test_the_loop_waits_until_much_has_begun(make_worker):
    def serve(job, went_on):
        before = went_on.wait(0.02)
        job.begin()
        return before, went_on.wait(10)  # if it waited for the end, too, this would not come

    assert await asked_while_the_loop_goes_on(make_worker, HEAVY, serve) == (False, True)


async def test_the_loop_waits_for_no_little_work(make_worker):
    assert await asked_while_the_loop_goes_on(make_worker, HEAVY - 1, lambda _, went_on: went_on.wait(10))


async def test_work_that_never_says_that_it_has_begun_has_begun_when_it_is_done(make_worker):
    assert await make_worker(lambda _: "done").ask(None, weight=HEAVY) == "done"


async def test_the_loop_does_not_wait_for_a_worker_that_is_busy(make_worker):
    busy, go_on = threading.Event(), threading.Event()

    def serve(job):
        busy.set()
        return go_on.wait(30)

    one = make_worker(serve)
    first = asyncio.ensure_future(one.ask(None))
    while not busy.is_set():
        await asyncio.sleep(0)
    second = asyncio.ensure_future(one.ask(None, weight=HEAVY))
    await asyncio.sleep(0)  # it asks
    third = asyncio.ensure_future(one.ask(None, weight=HEAVY))
    await asyncio.sleep(0)
    go_on.set()
    assert await asyncio.gather(first, second, third) == [True, True, True]


async def test_nobody_overtakes_what_the_worker_has_taken_and_not_begun():
    taken, go_on = threading.Event(), threading.Event()

    class Held(SimpleQueue):
        def get(self):
            job = super().get()
            taken.set()
            go_on.wait(30)
            return job

    one = Worker("test", lambda jobs: [(job, "done", None) for job in jobs], most=1)
    one._queue = Held()
    one.start()
    first = asyncio.ensure_future(one.ask(None))
    while not taken.is_set():
        await asyncio.sleep(0)
    assert not one.borrow()
    go_on.set()
    assert await first == "done"
    assert one.borrow()
    one.give_back()
    one.stop()
