"""What the tests of the SQLite store share: changes, opened stores, and processes that are real."""

import asyncio
import os
import subprocess
import sys
import tempfile
import textwrap
from contextlib import asynccontextmanager
from pathlib import Path

from pynenc_async.status import InvocationStatus
from pynenc_async.store.sqlite import SqliteStore
from pynenc_async.store.values import NewInvocation, Transition

S = InvocationStatus
NOW = 1_700_000_000.0
TASK = "tests.work"
ROOT = Path(__file__).parents[2]
SHM = Path("/dev/shm")  # noqa: S108
IN_MEMORY = SHM if SHM.is_dir() else None  # what is asked is not whether disks are quick
PATIENCE = 50.0
"""Seconds, for what must come: whether it does depends on no machine, and how soon is not asked."""


def new(invocation_id, at=NOW, **fields):
    fields.setdefault("arguments", b"{}")
    fields.setdefault("task_id", TASK)
    return NewInvocation(invocation_id=invocation_id, steps=((S.REGISTERED, at, 0, ""),), **fields)


def start(invocation_id, revision=1, attempt=1, **fields):
    steps = ((S.PENDING, NOW, attempt, ""), (S.RUNNING, NOW, attempt, ""))
    return Transition(invocation_id=invocation_id, revision=revision, steps=steps, **fields)


def end(invocation_id, revision=3, attempt=1, at=NOW, result=b"null"):
    steps = ((S.SUCCESS, at, attempt, ""),)
    return Transition(invocation_id=invocation_id, revision=revision, steps=steps, result=result)


def whole_life(invocation_id, **fields):
    return [new(invocation_id, **fields), start(invocation_id), end(invocation_id)]


@asynccontextmanager
async def opened(path, runner_id="ada", **options):
    store = SqliteStore(path)
    await store.open(runner_id, **options)
    try:
        yield store
    finally:
        await store.close()


async def asked(store, changes):
    """Return the commit when it has been asked for, in whichever order the loop does what is ready."""
    begun = asyncio.Event()

    async def commit():
        begun.set()
        return await store.commit(changes)

    task = asyncio.ensure_future(commit())
    await begun.wait()
    return task


def temporary_directory():
    return tempfile.TemporaryDirectory(dir=IN_MEMORY)


def run_python(code, *arguments, **options):
    """Run code in a process of its own, to its end; return what it printed."""
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", PRELUDE + textwrap.dedent(code), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests' / 'store'}"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        **options,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class Process:
    """A process that runs code and talks in lines."""

    def __init__(self, code, *arguments):
        self.popen = subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", PRELUDE + textwrap.dedent(code), *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests' / 'store'}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def read(self):
        return self.popen.stdout.readline().strip()

    def say(self, line):
        self.popen.stdin.write(f"{line}\n")
        self.popen.stdin.flush()

    def signal(self, number):
        self.popen.send_signal(number)

    def kill(self):
        self.popen.kill()
        self.popen.wait(PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.popen.kill()
        self.popen.wait(PATIENCE)
        self.popen.stdin.close()
        self.popen.stdout.close()


PRELUDE = """
import asyncio, os, sys, time
from sqlite_tools import *
from pynenc_async.store.values import CancelRequest, Query
def say(*words):
    print(*words, flush=True)
"""
