"""Worker processes that die: the invocation fails, its neighbours do not notice, the pool goes on."""

import asyncio
import os
import signal
from pathlib import Path

import process_bodies as bodies
import pytest
from helpers import S, assert_at_rest, assert_lawful, statuses
from process_helpers import in_process, new_gate, open_gate, running, workers_of, written

from pynenc_async import Pynenc, WorkerCrashedError

DEATHS = [
    ("exit", 3, None, "exit code 3"),
    ("segv", -signal.SIGSEGV, "SIGSEGV", "killed by SIGSEGV"),
    ("kill", -signal.SIGKILL, "SIGKILL", "killed by SIGKILL"),
]


@pytest.mark.slow
async def test_a_crash_fails_its_own_invocation_alone(tmp_path):
    gate = new_gate(tmp_path / "gate")
    async with Pynenc(max_processes=2) as app:
        neighbour = in_process(app, bodies.meet)(str(gate), str(tmp_path / "here"))
        pid = await written(tmp_path / "here")
        for how, exit_code, signal_name, text in DEATHS:
            invocation = in_process(app, bodies.die)(how)
            with pytest.raises(WorkerCrashedError, match=f"process_bodies.die .*{text}") as caught:
                await invocation
            error = caught.value
            assert (error.task_id, error.exit_code, error.signal_name, error.crashes) == (
                "process_bodies.die",
                exit_code,
                signal_name,
                1,
            )
            assert statuses(invocation) == [S.REGISTERED, S.PENDING, S.RUNNING, S.FAILED]
        assert neighbour.status is S.RUNNING
        assert await in_process(app, bodies.pid)() != pid
        open_gate(gate)
        assert await neighbour == pid
        await assert_at_rest(app)


@pytest.mark.slow
async def test_what_was_sent_ahead_to_a_worker_that_dies_runs_elsewhere(tmp_path):
    async with Pynenc(max_processes=1) as app:
        add = in_process(app, bodies.add)
        await add.parallelize([(n,) for n in range(50)])  # so that bodies are held to be short
        die = in_process(app, bodies.die)
        crowd = [die("exit") if n in (5, 17) else add(n) for n in range(60)]
        for n, invocation in enumerate(crowd):
            await invocation.wait()
            assert invocation.status is (S.FAILED if n in (5, 17) else S.SUCCESS), n
            assert invocation.exception() is None or isinstance(invocation.exception(), WorkerCrashedError)
            assert_lawful(invocation)
        await assert_at_rest(app)


@pytest.mark.slow
async def test_a_crash_is_retried_as_any_failure(tmp_path):
    async with Pynenc(max_processes=1) as app:
        invocation = in_process(app, bodies.die, max_retries=2)("exit", str(tmp_path / "count"), 2)
        assert await invocation == 3
        assert statuses(invocation).count(S.RETRY) == 2
        assert_lawful(invocation)


@pytest.mark.slow
async def test_what_has_crashed_too_often_is_not_tried_again(tmp_path):
    async with Pynenc(max_processes=1) as app:
        path = tmp_path / "count"
        invocation = in_process(app, bodies.die, max_retries=10)("kill", str(path))
        with pytest.raises(WorkerCrashedError, match="crash number 3"):
            await invocation
        assert path.stat().st_size == 3, "the default of max_crashes"
        invocation = in_process(app, bodies.die, max_retries=10, max_crashes=1)("kill", str(path))
        with pytest.raises(WorkerCrashedError) as caught:
            await invocation
        assert caught.value.crashes == 1
        assert path.stat().st_size == 4
        await assert_at_rest(app)


@pytest.mark.slow
async def test_a_body_that_runs_out_of_memory_fails_alone():
    async with Pynenc(max_processes=1) as app:
        with pytest.raises(MemoryError):
            await in_process(app, bodies.eat_memory)(1 << 31)
        assert await in_process(app, bodies.add)(1) == 2


@pytest.mark.slow
async def test_an_idle_worker_that_dies_is_replaced():
    async with Pynenc(max_processes=1) as app:
        pid = in_process(app, bodies.pid)
        first = await pid()
        os.kill(first, signal.SIGKILL)
        assert await pid() != first


@pytest.mark.slow
async def test_a_worker_that_loses_its_channel_is_a_crash_and_no_hang():
    async with Pynenc(max_processes=1) as app:
        with pytest.raises(WorkerCrashedError):
            await in_process(app, bodies.die)("close")


@pytest.mark.slow
async def test_a_crash_is_noticed_though_a_child_of_the_worker_holds_its_channel(tmp_path):
    async with Pynenc(max_processes=1) as app:
        path = tmp_path / "count"
        try:
            with pytest.raises(WorkerCrashedError, match="exit code 4"):
                await in_process(app, bodies.die)("fork", str(path))
        finally:
            os.kill(int(Path(f"{path}.child").read_text()), signal.SIGKILL)


@pytest.mark.slow
async def test_a_module_that_kills_whoever_imports_it_fails_what_needs_it():
    import deadly_module  # noqa: PLC0415  it chooses the process that it spares

    async with Pynenc(max_processes=1) as app:
        invocation = in_process(app, deadly_module.work)()
        with pytest.raises(WorkerCrashedError, match="exit code 9"):
            await invocation
        assert await in_process(app, bodies.add)(1) == 2
        await assert_at_rest(app)


@pytest.mark.slow
async def test_workers_that_cannot_start_fail_what_waits_for_them(monkeypatch):
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    async with Pynenc(max_processes=2) as app:
        invocations = [in_process(app, bodies.add)(n) for n in range(3)]
        for invocation in invocations:
            with pytest.raises(WorkerCrashedError, match=r"no worker process could start.*stderr"):
                await invocation
        monkeypatch.undo()
        assert await in_process(app, bodies.add)(1) == 2
        await assert_at_rest(app)


async def test_a_worker_killed_from_outside_fails_the_body_in_it(tmp_path):
    async with Pynenc(max_processes=1) as app:
        invocation = in_process(app, bodies.wait_for_ever)(str(tmp_path / "here"))
        await running(invocation)
        pid = await written(tmp_path / "here")
        assert workers_of(app) == [pid]
        await asyncio.sleep(0)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(WorkerCrashedError, match="SIGKILL"):
            await invocation
