"""Bodies in worker processes that are told to stop, or killed: cancellation, timeouts, shutdown, the death of the app."""

import asyncio
import gc
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import process_bodies as bodies
import pytest
from helpers import S, assert_at_rest, assert_lawful, slow
from process_helpers import (
    PATIENCE_SECONDS,
    in_process,
    is_alive,
    needs_real_time,
    new_gate,
    open_gate,
    run_jumping,
    running,
    workers_of,
    written,
)

from pynenc_async import (
    CancelOutcome,
    InvocationCancelledError,
    InvocationTimeoutError,
    Pynenc,
    WorkerCrashedError,
)
from pynenc_async.execution.processes import staff

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("func", [bodies.wait_for_ever, bodies.wait_for_ever_in_loop])
async def test_cancelling_a_body_ends_its_process_and_waits_for_that(func, tmp_path):
    async with Pynenc(max_processes=1) as app:
        invocation = in_process(app, func)(str(tmp_path / "here"))
        pid = await written(tmp_path / "here")
        assert await invocation.cancel("enough") is CancelOutcome.STOPPED
        assert not is_alive(pid)
        with pytest.raises(InvocationCancelledError, match="enough"):
            await invocation
        assert_lawful(invocation)
        assert await in_process(app, bodies.add)(1) == 2
        await assert_at_rest(app)


@pytest.fixture
def _time_for_last_words(monkeypatch):
    """How long a worker takes to do what it is told depends on the machine."""
    monkeypatch.setattr(staff, "LAST_WORDS_SECONDS", PATIENCE_SECONDS)


@pytest.mark.usefixtures("_time_for_last_words")
@pytest.mark.parametrize("func", [bodies.wait_for_ever, slow(bodies.wait_for_ever_in_loop)])
async def test_a_body_that_is_told_to_stop_may_clean_up(func, tmp_path):
    needs_real_time()
    async with Pynenc(max_processes=1) as app:
        invocation = in_process(app, func, cancel_grace=PATIENCE_SECONDS)(str(tmp_path / "here"))
        pid = await written(tmp_path / "here")
        await invocation.cancel()
        assert (tmp_path / "here").read_text() == f"{pid} cleaned up"


@pytest.mark.slow
@pytest.mark.usefixtures("_time_for_last_words")
async def test_a_body_that_swallows_its_cancellation_has_finished(tmp_path):
    needs_real_time()
    async with Pynenc(max_processes=1) as app:
        invocation = in_process(app, bodies.swallow, cancel_grace=PATIENCE_SECONDS)(str(tmp_path / "here"))
        pid = await written(tmp_path / "here")
        assert await invocation.cancel() is CancelOutcome.FINISHED
        assert await invocation == "finished"
        assert not is_alive(pid)


@pytest.mark.slow
@pytest.mark.parametrize("grace", [0.0, 0.05, 100.0])
async def test_a_body_that_ignores_the_request_is_killed(grace, tmp_path):
    needs_real_time()
    async with Pynenc(max_processes=1) as app:
        invocation = in_process(app, bodies.wait_for_ever, cancel_grace=grace)(str(tmp_path / "here"), ignore=True)
        pid = await written(tmp_path / "here")
        began = time.monotonic()
        assert await invocation.cancel() is CancelOutcome.STOPPED
        assert not is_alive(pid)
        assert time.monotonic() - began < 100
        await assert_at_rest(app)


async def test_a_timeout_kills_the_process_and_may_be_retried(tmp_path):
    needs_real_time()
    async with Pynenc(max_processes=1) as app:
        first = await in_process(app, bodies.pid)()
        wait = in_process(app, bodies.wait_for_ever, timeout=0.05, max_retries=1)
        invocation = wait(str(tmp_path / "here"))
        with pytest.raises(InvocationTimeoutError, match=r"timeout=0\.05"):
            await invocation
        assert invocation.num_retries == 1
        assert not is_alive(first), "it was at hand for the first attempt"
        assert_lawful(invocation)
        await assert_at_rest(app)


@pytest.mark.slow
def test_the_start_of_a_worker_does_not_count_against_the_timeout(monkeypatch):
    async def main(loop):
        async with Pynenc(max_processes=1) as app:
            invocation = in_process(app, bodies.add, timeout=PATIENCE_SECONDS)(1)
            while not workers_of(app):
                await asyncio.sleep(0)
            assert invocation.status is S.PENDING
            loop.added += 2 * PATIENCE_SECONDS
            assert await invocation == 2

    run_jumping(main, monkeypatch)


@pytest.mark.slow
def test_a_deadline_ends_what_has_not_begun_and_what_has(tmp_path, monkeypatch):
    async def main(loop):
        async with Pynenc(max_processes=1) as app:
            holder = in_process(app, bodies.wait_for_ever, deadline=2 * PATIENCE_SECONDS)(str(tmp_path / "here"))
            await running(holder)
            waiting = in_process(app, bodies.add, deadline=PATIENCE_SECONDS)(1)
            loop.added += PATIENCE_SECONDS
            assert await waiting.wait()
            assert waiting.status is S.CANCELLED
            assert holder.status is S.RUNNING
            loop.added += PATIENCE_SECONDS
            assert await holder.wait()
            assert isinstance(holder.exception(), InvocationTimeoutError)
            for invocation in (waiting, holder):
                assert_lawful(invocation)
            await assert_at_rest(app)

    run_jumping(main, monkeypatch)


@pytest.mark.slow
async def test_what_has_not_begun_is_cancelled_at_once(tmp_path):
    gate = new_gate(tmp_path / "gate")
    async with Pynenc(max_processes=1) as app:
        add = in_process(app, bodies.add)
        await add.parallelize([(n,) for n in range(50)])  # so that bodies are sent ahead
        holder = in_process(app, bodies.meet)(str(gate), str(tmp_path / "here"))
        crowd = [add(n) for n in range(10)]
        await written(tmp_path / "here")
        for invocation in crowd[::2]:
            assert await invocation.cancel() is CancelOutcome.NEVER_STARTED
        open_gate(gate)
        await holder
        assert [await invocation for invocation in crowd[1::2]] == [n + 1 for n in range(1, 10, 2)]
        await assert_at_rest(app)


@pytest.mark.slow
async def test_the_shutdown_kills_what_is_left(tmp_path):
    app = Pynenc(max_processes=2)
    await app.start()
    left = [in_process(app, bodies.wait_for_ever)(str(tmp_path / name)) for name in "ab"]
    pids = [await written(tmp_path / name) for name in "ab"]
    assert sorted(pids) == sorted(workers_of(app))
    await app.shutdown(0)
    assert not any(map(is_alive, pids))
    assert [invocation.status for invocation in left] == [S.CANCELLED] * 2
    await assert_at_rest(app)


@pytest.mark.slow
def test_no_worker_survives_an_app_that_is_forgotten(tmp_path):
    async def main():
        app = Pynenc(max_processes=1)
        in_process(app, bodies.wait_for_ever)(str(tmp_path / "here"))
        return await written(tmp_path / "here")

    pid = asyncio.run(main())
    deadline = time.monotonic() + PATIENCE_SECONDS
    while is_alive(pid):  # a thread that watched the loop may hold the app for a moment more
        gc.collect()
        assert time.monotonic() < deadline


@pytest.mark.slow
@pytest.mark.parametrize("end", ["killed", "exit"])
def test_no_worker_survives_the_process_of_the_app(end, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(f"""
import asyncio, pathlib, signal, sys, time
from pynenc_async import Pynenc
app = Pynenc(max_processes=1)

@app.task(runs_in="process")
def hang(path):
    pathlib.Path(path).write_text(str(__import__("os").getpid()))
    signal.pthread_sigmask(signal.SIG_BLOCK, {{signal.SIGTERM}})
    while True:
        pass

async def main():
    hang(sys.argv[1])
    path = pathlib.Path(sys.argv[1])
    while not path.exists() or not path.read_text():
        await asyncio.sleep(0)
    if {end == "killed"}:
        await asyncio.sleep(3_600)

if __name__ == "__main__":
    asyncio.run(main())
""")
    here = tmp_path / "here"
    with subprocess.Popen([sys.executable, str(script), str(here)], cwd=tmp_path, env=environment()) as process:
        if end == "killed":
            while not here.exists() or not here.read_text():
                assert process.poll() is None
            process.kill()
    pid = int(here.read_text())
    deadline = time.monotonic() + PATIENCE_SECONDS
    while is_alive(pid) and not is_zombie(pid):
        assert time.monotonic() < deadline


def is_zombie(pid):
    """An orphan is reaped by init, which is not everywhere in a hurry."""
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "State:\tZ" in status.read_text()


def environment():
    return {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}


@pytest.mark.slow
@pytest.mark.parametrize("guarded", [True, False])
def test_tasks_of_a_script_run_in_processes_if_its_start_is_guarded(guarded, tmp_path):
    script = tmp_path / "script.py"
    guard = 'if __name__ == "__main__":' if guarded else "if True:"
    script.write_text(f"""
import asyncio
from pynenc_async import Pynenc
app = Pynenc(max_processes=1)

class Mine(Exception):
    pass

@app.task(runs_in="process")
def double(n: int) -> int:
    if n < 0:
        raise Mine(n)
    return 2 * n

async def main():
    async with app:
        print(await double(21))
        try:
            await double(-1)
        except Mine as error:
            print("mine", error.args)

{guard}
    asyncio.run(main())
""")
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    if guarded:
        assert (done.stdout, done.stderr) == ("42\nmine (-1,)\n", "")
    else:
        assert "start it under `if __name__ == '__main__':`" in done.stderr


@pytest.mark.slow
def test_an_interrupt_from_the_terminal_is_the_business_of_the_app(tmp_path):
    """SIGINT goes to all processes of a terminal: workers leave it to the app to end their bodies in order."""
    script = tmp_path / "script.py"
    script.write_text("""
import asyncio, os, signal, time
from pynenc_async import Pynenc
app = Pynenc(max_processes=1, drain_seconds=5)

@app.task(runs_in="process")
def work():
    os.killpg(0, signal.SIGINT)
    time.sleep(0.05)
    return "drained"

async def main():
    invocation = work()
    try:
        await asyncio.sleep(60)
    finally:
        await invocation
        print(invocation.result)

if __name__ == "__main__":
    app.run(main)
""")
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False,
        start_new_session=True,
    )  # fmt: skip
    assert done.stdout == "drained\n", done.stderr
    assert done.returncode in (-signal.SIGINT, 130), done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
async def test_a_crowd_of_deaths_and_cancellations_leaves_everything_in_order(seed, tmp_path):
    draw = random.Random(seed)
    async with Pynenc(max_processes=2) as app:
        add, die = in_process(app, bodies.add), in_process(app, bodies.die)
        hang, count = in_process(app, bodies.wait_for_ever), in_process(app, bodies.count, stream_buffer=2)
        await add.parallelize([(n,) for n in range(50)])
        crowd = []
        for n in range(60):
            kind = draw.choices(["add", "die", "hang", "count"], weights=[20, 1, 1, 2])[0]
            crowd.append((kind, {"add": lambda n=n: add(n), "die": lambda: die("exit"), "count": lambda: count(9),
                                 "hang": lambda n=n: hang(str(tmp_path / f"{n}"))}[kind]()))  # fmt: skip
        for kind, invocation in draw.sample(crowd, len(crowd)):
            if kind in ("hang", "count") or draw.random() < 0.3:
                for _ in range(draw.randrange(4)):
                    await asyncio.sleep(0)
                await invocation.cancel()
        for kind, invocation in crowd:
            await invocation.wait()
            assert_lawful(invocation)
            if invocation.status is S.FAILED:
                assert kind == "die"
                assert isinstance(invocation.exception(), WorkerCrashedError)
            else:
                assert invocation.status is S.CANCELLED or kind != "hang"
        assert await add(1) == 2
        await assert_at_rest(app)
