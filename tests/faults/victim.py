"""The program that the fault suite kills: it works on a file, and writes what it does into a ledger outside of it.

    python victim.py DATABASE LEDGER [--submit N] [--slow SECONDS] [--die POINT:COUNT]

Each line of the ledger is on the disk before the program goes on. It is the judge: it knows what was promised.
"""

import argparse
import asyncio
import os
import signal
import threading
import time
from pathlib import Path

from pynenc_async import InvocationStatus, Pynenc, StoreError, current_invocation
from pynenc_async.store.sqlite import SqliteOptions, SqliteStore
from pynenc_async.store.values import NewInvocation, Transition


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("database")
    parser.add_argument("ledger")
    parser.add_argument("--submit", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0.01, help="how long a body takes")
    parser.add_argument("--lease", type=float, default=2.0)
    parser.add_argument("--busy-timeout", type=float, default=30.0)
    parser.add_argument("--die", default="", help="POINT:COUNT, see `DyingStore`")
    parser.add_argument("--poison", default="", choices=("", "exit", "segv"))
    parser.add_argument("--block", default="", help="one body blocks the loop until this file is there")
    parser.add_argument("--stay", action="store_true", help="wait to be told to stop, when all is done")
    parser.add_argument("--insist", action="store_true", help="submit again what the store refuses")
    parser.add_argument("--limit", type=int, default=2)
    return parser.parse_args()


class Ledger:
    def __init__(self, path):
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def write(self, *words):
        line = f"{' '.join(map(str, words))} pid={os.getpid()} at={time.monotonic():.6f}\n"
        os.write(self._file, line.encode())
        os.fsync(self._file)


class DyingStore(SqliteStore):
    """Dies by its own hand at a point: before or after the COUNT-th commit that claims, starts, ends, or registers."""

    point, left = "", 0

    async def commit(self, changes):
        named = self.point.partition("-")[2]
        hit = named and any(_name(change) == named for change in changes)
        if hit:
            type(self).left -= 1
        if hit and self.left == 0 and self.point.startswith("before-"):
            os.kill(os.getpid(), signal.SIGKILL)
        refusals = await super().commit(changes)
        if hit and self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return refusals

    async def claim(self, *given, **named):
        claimed = await super().claim(*given, **named)
        if self.point == "after-claim" and claimed:
            type(self).left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return claimed


def _name(change):
    if isinstance(change, NewInvocation):
        return "register"
    if isinstance(change, Transition):
        return "end" if change.steps[-1][0].is_final() else "start"
    return "other"


def block_until_there(path):
    while not path.exists():
        threading.Event().wait(0.01)


def main():
    given = arguments()
    ledger = Ledger(given.ledger)
    options = SqliteOptions(path=given.database, lease_seconds=given.lease, busy_timeout=given.busy_timeout)
    if given.die:
        DyingStore.point, _, count = given.die.partition(":")
        DyingStore.left = int(count)
    app = Pynenc(store=lambda: DyingStore(options), lease_seconds=given.lease, max_concurrency=8, store_window=50,
                 drain_seconds=0.2)  # fmt: skip

    def begin():
        invocation = current_invocation()
        ledger.write("began", invocation.invocation_id, invocation.num_retries + 1)
        return invocation.invocation_id

    @app.task
    async def work(x: int) -> int:
        begun = begin()
        await asyncio.sleep(given.seconds)
        ledger.write("ended", begun)
        return x

    @app.task(running_concurrency="task", running_limit=given.limit)
    async def limited(x: int) -> int:
        begun = begin()
        ledger.write("enter", begun)
        await asyncio.sleep(given.seconds)
        ledger.write("leave", begun)
        return x

    @app.task(max_retries=1)
    async def flaky(x: int) -> int:
        begin()
        if current_invocation().num_retries == 0:
            raise ValueError("once")
        return x

    @app.task
    def threaded(x: int) -> int:
        begin()
        return x

    @app.task
    async def parent(x: int) -> int:
        begin()
        return await work(x) + await work(x)

    @app.task
    async def poison() -> None:
        begin()
        if given.poison == "segv":
            os.kill(os.getpid(), signal.SIGSEGV)
        os._exit(3)

    @app.task
    async def blocker() -> None:
        begun = begin()
        block_until_there(Path(given.block))
        ledger.write("ended", begun)

    async def submit(task, *args):
        try:
            handle = task(*args)
            await handle.accepted()
        except StoreError:
            if not given.insist:
                raise
            ledger.write("refused")
            await asyncio.sleep(0.1)
            await submit(task, *args)
        else:
            ledger.write("accepted", handle.invocation_id)

    async def program():
        ledger.write("started", app._dispatcher.runner_id)
        tasks = (work, limited, flaky, threaded, parent)
        if given.poison and given.submit:
            await submit(poison)
        if given.block:
            await submit(blocker)
        for number in range(given.submit):
            await submit(tasks[number % len(tasks)], number)
        while True:
            page = await app.find(status=[status for status in InvocationStatus if not status.is_final()], limit=1_000)
            if not page.invocations:
                break
            for handle in page.invocations:
                await handle.wait()
        ledger.write("all-done")
        if given.stay:
            await asyncio.Event().wait()

    app.run(program)


if __name__ == "__main__":
    main()
