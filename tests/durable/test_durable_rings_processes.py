"""A ring through two real processes on one file is broken: a coroutine that awaits, and a thread that reads a result."""

import subprocess
import sys

import pytest

SCRIPT = """
import asyncio, sys
from pynenc_async import Pynenc

app = Pynenc("sqlite:///jobs.db")
told = asyncio.Event()
others = []

@app.task
async def in_loop() -> None:
    await told.wait()
    await app.get_invocation(others[0])

@app.task
def in_thread() -> None:
    asyncio.run_coroutine_threadsafe(told.wait(), loops[0]).result()
    app.get_invocation(others[0]).result

loops = []

async def main():
    loops.append(asyncio.get_running_loop())
    mine = await {"in_loop": in_loop, "in_thread": in_thread}[sys.argv[1]].submit()
    print(mine.invocation_id, flush=True)
    others.append((await asyncio.to_thread(sys.stdin.readline)).strip())
    told.set()
    await mine.wait()
    print(type(mine.exception()).__name__, *mine.exception().path, flush=True)

app.run(main)
"""


@pytest.mark.slow
def test_two_processes_that_wait_for_one_another(tmp_path):
    kinds = "in_thread", "in_loop"
    (tmp_path / "ring.py").write_text(SCRIPT)
    processes = [
        subprocess.Popen(  # noqa: S603
            [sys.executable, "ring.py", kind], cwd=tmp_path, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for kind in kinds
    ]
    try:
        ids = [process.stdout.readline() for process in processes]
        for process, other in zip(processes, reversed(ids), strict=True):
            process.stdin.write(other)
            process.stdin.flush()
        said = [process.communicate(timeout=60)[0].split() for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert said[0] == said[1], "one was refused, and the other has its failure"
    assert said[0][0] == "CycleDetectedError"
    assert sorted(said[0][2:]) == sorted(f"ring.{kind}()" for kind in kinds)
