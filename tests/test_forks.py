"""An app that runs while its process is forked: it runs on in the parent, and says so in the child."""

import pytest
from forking import needs_forks, run_program

PROGRAM = """
import asyncio, os, sys
from pynenc_async import AppNotStartedError, Pynenc

def make():
    app = Pynenc(sys.argv[1])
    @app.task
    async def work(x: int) -> int:
        return x
    return app, work

def refuses(function):
    try:
        function()
    except AppNotStartedError as error:
        return "forked off" in str(error)

async def start_anew(app, work):
    async with app:
        return await work(3)

def as_child(app, work):
    asyncio._set_running_loop(None)
    assert refuses(lambda: work(2))
    assert refuses(lambda: asyncio.run(start_anew(app, work)))
    assert asyncio.run(start_anew(*make())) == 3

def fork(do, *given):
    child = os.fork()
    if child == 0:
        try:
            do(*given)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7

async def main(app, work):
    async with app:
        await work(1)
        fork(as_child, app, work)
        assert await work(4) == 4

app, work = make()
asyncio.run(main(app, work))
fork(lambda: asyncio.run(main(app, work)))
"""


@needs_forks
@pytest.mark.parametrize("url", ["memory://", "sqlite:///{}/jobs.db"])
def test_a_fork_of_a_running_app_refuses_calls_and_starts(tmp_path, url):
    run_program(PROGRAM, url.format(tmp_path))
