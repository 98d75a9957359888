"""`runs_in="interpreter"`: refused where Python, or what a worker needs, cannot do it; elsewhere like a process."""

import asyncio
import threading
from importlib.util import find_spec

import process_bodies as bodies
import pytest
from helpers import assert_at_rest

from pynenc_async import CancelOutcome, InvalidTaskOptionsError, Pynenc
from pynenc_async.execution.processes.interpreters import missing_interpreters

HAS_INTERPRETERS = find_spec("concurrent.interpreters") is not None
works = pytest.mark.skipif(missing_interpreters() is not None, reason=f"runs_in {missing_interpreters()}")


@pytest.mark.skipif(HAS_INTERPRETERS, reason="this Python has interpreters")
def test_an_older_python_says_which_one_is_needed():
    with pytest.raises(InvalidTaskOptionsError, match=r"needs CPython 3\.14"):
        Pynenc().task(runs_in="interpreter")(bodies.pid)


@pytest.mark.skipif(not HAS_INTERPRETERS or missing_interpreters() is None, reason="no interpreters, or all is well")
def test_a_library_that_does_not_load_in_an_interpreter_is_named():
    with pytest.raises(InvalidTaskOptionsError, match=r"msgspec .* does not load in one.*'process' works here"):
        Pynenc().task(runs_in="interpreter")(bodies.pid)


def in_interpreter(app, func, **options):
    return app.task(runs_in="interpreter", **options)(func)


@works
async def test_bodies_of_every_kind_run_in_an_interpreter():
    async with Pynenc(max_processes=2) as app:
        assert await in_interpreter(app, bodies.add)(1, b=2) == 3
        assert await in_interpreter(app, bodies.pid_in_loop)() == await in_interpreter(app, bodies.pid)()
        assert await in_interpreter(app, bodies.thread_id)() != threading.get_ident()
        assert [item async for item in in_interpreter(app, bodies.count, stream_buffer=2)(50).stream()] == list(
            range(50)
        )
        with pytest.raises(bodies.BodyError):
            await in_interpreter(app, bodies.fail)("why")
        await in_interpreter(app, bodies.nothing).parallelize([()] * 200)
        await assert_at_rest(app)


@works
async def test_a_body_in_an_interpreter_hears_that_it_is_to_stop(tmp_path):
    async with Pynenc(max_processes=2) as app:
        asleep = in_interpreter(app, bodies.wait_for_ever_in_loop)(str(tmp_path / "here"))
        busy = in_interpreter(app, bodies.wait_for_a_request)()
        for invocation in (asleep, busy):
            while invocation.status != "running":
                await asyncio.sleep(0)
        while not (tmp_path / "here").exists():
            await asyncio.sleep(0)
        assert await asleep.cancel() is CancelOutcome.STOPPED
        assert await busy.cancel() is CancelOutcome.FINISHED
        assert "cleaned up" in (tmp_path / "here").read_text()
        assert await in_interpreter(app, bodies.add)(1) == 2
        await assert_at_rest(app)
