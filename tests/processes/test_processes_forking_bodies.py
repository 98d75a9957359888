"""A body that forks in a worker, or in a thread: the child tells the app nothing, and does nothing of the parent's."""

import subprocess
import sys
import textwrap

import process_bodies as bodies
import pytest
from helpers import S, assert_at_rest, assert_lawful
from process_helpers import in_process, new_gate, open_gate

from pynenc_async import Pynenc

CHILDREN = {"exit at once": 7, "exit": 7, "raise": 1, "return": 0, "report": 7}


def forking(app, where, **options):
    return in_process(app, bodies.fork_and if where == "def" else bodies.fork_in_the_loop_and, **options)


@pytest.mark.slow
@pytest.mark.parametrize("where", ["def", "async def"])
async def test_no_message_is_lost_or_told_twice_however_the_child_ends(where):
    async with Pynenc(max_processes=1) as app:
        add, pid, fork = in_process(app, bodies.add), in_process(app, bodies.pid), forking(app, where)
        first = await pid()
        await add.parallelize([(n,) for n in range(50)])  # so that bodies are held to be short, and sent ahead
        children = [fork(how, "") for how in CHILDREN]
        others = [add(n) for n in range(30)]
        assert [await one for one in children] == list(CHILDREN.values())
        assert [await one for one in others] == [n + 1 for n in range(30)]
        assert await pid() == first, "the worker had no reason to end"
        for one in (*children, *others):
            assert one.status is S.SUCCESS
            assert one.progress is None
            assert_lawful(one)
        await assert_at_rest(app)


@pytest.mark.slow
@pytest.mark.parametrize("how", CHILDREN)
async def test_a_generator_that_forks_gives_its_own_items_once(how):
    async with Pynenc(max_processes=1) as app:
        invocation = in_process(app, bodies.fork_in_a_generator_and)(how, "")
        assert [item async for item in invocation.stream()] == [1, CHILDREN[how]]
        assert await in_process(app, bodies.add)(1) == 2
        await assert_at_rest(app)


@pytest.mark.slow
@pytest.mark.parametrize("where", ["def", "async def"])
async def test_a_child_that_lives_on_is_no_matter_of_the_app(where, tmp_path):
    gate = new_gate(tmp_path / "gate")
    async with Pynenc(max_processes=1) as app:
        assert await forking(app, where)("live on", str(gate)) == 0
        assert await in_process(app, bodies.add)(1) == 2
        await assert_at_rest(app)
    open_gate(gate)


PROGRAM = """
    import os, sys
    from pynenc_async import Pynenc

    app = Pynenc(max_threads=1)

    @app.task
    def fork(how: str) -> int:
        child = os.fork()
        if child:
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print("child", flush=False, end=" ")
        if how == "raise":
            raise LookupError("in the child")
        return sys.exit(7) if how == "exit" else 5

    @app.task
    def work(n: int) -> int:
        os.write(1, b"work ")
        return n

    async def main():
        children = [fork(how) for how in ("exit", "raise", "return")]
        others = [work(n) for n in range(3)]
        codes, sums = [await one for one in children], [await one for one in others]
        print(codes, sums)

    app.run(main)
"""


@pytest.mark.slow
def test_a_body_in_a_thread_that_forks_runs_nothing_else_in_the_child():
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(PROGRAM)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.split("\n")[0] == "child child child work work work [7, 1, 0] [0, 1, 2]", done.stderr
    assert done.returncode == 0
    assert done.stderr.count("LookupError: in the child") == 1
