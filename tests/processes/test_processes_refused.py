"""The system refuses worker processes, or the threads that watch them."""

import asyncio

import process_bodies as bodies
import pytest
from helpers import S, assert_at_rest
from process_helpers import in_process, is_alive, workers_of
from refusals import REFUSALS, ProcessSystem, System, open_files

from pynenc_async import Pynenc, WorkerCrashedError
from pynenc_async.execution.processes.process import WorkerProcess


@pytest.fixture(params=["process", pytest.param("watching thread", marks=pytest.mark.slow)])
def refuse(request, monkeypatch):
    if request.param == "process":
        return lambda **options: ProcessSystem(monkeypatch, **options)
    return lambda **options: System(monkeypatch, name="pynenc-process.*", **options)


async def test_the_workers_that_live_run_all_that_waits(refuse):
    system = refuse(free=1)
    async with Pynenc(max_processes=4) as app:
        add = in_process(app, bodies.add)
        assert await add.parallelize([(n,) for n in range(20)]) == [n + 1 for n in range(20)]
        assert system.refused
        await assert_at_rest(app)


@pytest.mark.slow
async def test_what_waits_for_the_first_worker_runs_as_soon_as_there_is_one(refuse):
    system = refuse()
    async with Pynenc(max_processes=2) as app:
        invocation = in_process(app, bodies.add)(1)
        while not system.refused:
            await asyncio.sleep(0)
        system.relent()
        assert await invocation == 2
        await assert_at_rest(app)


@pytest.mark.slow
@pytest.mark.parametrize("error", REFUSALS, ids=lambda error: type(error).__name__)
async def test_without_any_worker_it_fails_and_the_error_says_why(refuse, error):
    refuse(error=error)
    async with Pynenc(max_processes=2) as app:
        invocations = [in_process(app, bodies.add)(n) for n in range(2)]
        for invocation in invocations:
            with pytest.raises(WorkerCrashedError, match="no worker process could start") as caught:
                await invocation
            assert caught.value.__cause__ is error
        await assert_at_rest(app)


async def test_the_shutdown_ends(refuse):
    system = refuse()
    async with Pynenc(max_processes=1) as app:
        invocation = in_process(app, bodies.add)(1)
        while not system.refused:
            await asyncio.sleep(0)
        await app.shutdown(drain_seconds=0)
    assert invocation.status is S.CANCELLED


@pytest.mark.slow
async def test_a_generator_that_waits_for_its_reader_goes_on(monkeypatch):
    ProcessSystem(monkeypatch, free=1)
    async with Pynenc(max_processes=1) as app:
        invocation = in_process(app, bodies.count, stream_buffer=1)(5)
        stream = invocation.stream()
        while invocation.status is not S.PAUSED:
            await asyncio.sleep(0)
        other = in_process(app, bodies.add)(1)
        with pytest.raises(WorkerCrashedError, match="no worker process could start"):
            await other
        assert [item async for item in stream] == [0, 1, 2, 3, 4]
        await assert_at_rest(app)


@pytest.mark.slow
async def test_one_that_dies_before_it_is_there_fails_nothing_that_others_run(monkeypatch):
    async with Pynenc(max_processes=3) as app:
        add = in_process(app, bodies.add)
        assert await add(0) == 1
        (pid,) = workers_of(app)
        monkeypatch.setenv("PYTHONHOME", "/nowhere")
        assert await add.parallelize([(n,) for n in range(50)]) == [n + 1 for n in range(50)]
        assert is_alive(pid)
        await assert_at_rest(app)


@pytest.mark.parametrize("kind", [ProcessSystem, System], ids=["process", "watching thread"])
def test_nothing_is_left_of_one_that_could_not_start(kind, monkeypatch):
    died = []
    before = open_files()
    kind(monkeypatch, **({} if kind is ProcessSystem else {"name": "refused.*"}))
    with pytest.raises((OSError, RuntimeError)):
        WorkerProcess("refused", lambda: died.append(1))
    assert open_files() <= before
    assert not died
