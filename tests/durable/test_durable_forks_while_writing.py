"""A process that is forked while its app writes to a SQLite file: the child can use the file, by an app of its own."""

import sqlite3
from contextlib import closing

import pytest
from forking import needs_forks, run_program

pytestmark = needs_forks

PROGRAM = """
import asyncio, os, sys
from pynenc_async import Pynenc

def make():
    app = Pynenc(sys.argv[1])
    @app.task
    async def work(x: int) -> int:
        return x
    return app, work

async def a_few(app, work):
    async with app:
        return [await work(x) for x in range(3)]

def fork():
    child = os.fork()
    if child == 0:
        asyncio._set_running_loop(None)
        os._exit(7 if asyncio.run(a_few(*make())) == [0, 1, 2] else 1)
    return child

async def main(app, work):
    async with app:
        children, done = [], 0
        async for _ in work.parallelize([(x,) for x in range(1_500)]):
            done += 1
            if done % 300 == 0:  # the registrations and the ends of others are being written
                children.append(await asyncio.to_thread(fork) if done % 600 else fork())
        for child in children:
            _, status = await asyncio.to_thread(os.waitpid, child, 0)
            assert os.waitstatus_to_exitcode(status) == 7
        assert done == 1_500

asyncio.run(main(*make()))
"""


@pytest.mark.slow
def test_a_child_that_is_forked_during_a_transaction_can_open_the_file(tmp_path):
    path = tmp_path / "jobs.db"
    run_program(PROGRAM, f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


REFUSED = """
import asyncio, os, sqlite3, sys
from pynenc_async import Pynenc
from pynenc_async.errors import StoreError

async def start():
    async with Pynenc(f"sqlite:///{sys.argv[1]}"):
        pass

async def main():
    app = Pynenc(f"sqlite:///{sys.argv[1]}")
    @app.task
    async def work() -> None:
        pass
    async with app:
        await work()
        other = sqlite3.connect(sys.argv[1], isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        waits = work.submit()  # its registration waits for the lock
        await asyncio.sleep(0.2)
        child = os.fork()
        if child == 0:
            asyncio._set_running_loop(None)
            try:
                asyncio.run(start())
            except StoreError as error:
                os._exit(7 if "fork before the app is started" in str(error) else 1)
            os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        other.execute("ROLLBACK")
        await waits

asyncio.run(main())
"""


@pytest.mark.slow
def test_a_fork_waits_for_a_while_and_then_the_child_is_told_that_it_cannot(tmp_path):
    run_program(REFUSED, str(tmp_path / "jobs.db"))
