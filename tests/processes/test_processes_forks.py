"""Worker processes belong to the process that has started them, and not to what that forks off."""

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PROGRAM = """
import asyncio, os, sys
from pynenc_async import Pynenc

app = Pynenc(max_processes=1)

@app.task(runs_in="process")
def worker() -> int:
    return os.getpid()

async def main():
    found = await worker()
    if os.fork() == 0:
        sys.stdin.read()  # until the test has seen enough
        os._exit(0)
    print(found, await worker(), flush=True)
    os.kill(os.getpid(), 9)

if __name__ == "__main__":
    asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs a way to wait for a process that is no child")
def test_a_worker_ends_with_its_process_though_a_child_of_that_lives(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    with subprocess.Popen(
        [sys.executable, str(program)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    ) as process:
        before, after = process.stdout.readline().split()
        assert before == after
        try:
            end = os.pidfd_open(int(before))
        except ProcessLookupError:
            return  # it has ended already
        try:
            ended = select.poll()
            ended.register(end, select.POLLIN)
            assert ended.poll(20_000), "the worker lives on"
        finally:
            os.close(end)
