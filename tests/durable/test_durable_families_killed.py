"""A process that is really killed when its parent has been cancelled and its children have not: the next start ends them."""

import signal
import subprocess
import sys

import pytest

SCRIPT = """
import asyncio, os, signal, sys
from pynenc_async import Pynenc, current_invocation

app = Pynenc(f"sqlite:///{sys.argv[1]}", app_id="family", store_window=2, max_concurrency=3, drain_seconds=0)
parents, begun = [], []

@app.task
async def child(number: int) -> None:
    begun.append(number)
    try:
        await asyncio.Event().wait()
    finally:
        while not parents[0].status.is_final():
            await asyncio.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)

@app.task
async def parent() -> None:
    for number in range(10):
        await child(number).accepted()
    await asyncio.Event().wait()

async def begin():
    parents.append(await parent.submit())
    while not begun or len((await app.find(task=child)).invocations) < 10:
        await asyncio.sleep(0.01)
    await parents[0].cancel()

async def go_on():
    while True:
        found = (await app.find(task=child, limit=100)).invocations
        if found and all(one.status.is_final() for one in found):
            print(len(found), *{str(one.status) for one in found})
            return
        await asyncio.sleep(0.01)

app.run({"begin": begin, "go on": go_on}[sys.argv[2]])
"""


@pytest.mark.slow
def test_children_of_a_parent_that_was_cancelled_are_cancelled_by_the_next_start(tmp_path):
    (tmp_path / "family.py").write_text(SCRIPT)

    def run(what):
        command = [sys.executable, "family.py", "jobs.db", what]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603

    assert run("begin").returncode == -signal.SIGKILL
    done = run("go on")
    assert done.stdout == "10 cancelled\n", done.stderr
