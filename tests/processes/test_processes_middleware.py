"""Middleware around bodies in worker processes: it runs here, and what it does and sees is what it is elsewhere."""

import asyncio
import os

import process_bodies as bodies
import pytest
from helpers import USUAL, S, assert_at_rest, assert_lawful, statuses
from process_helpers import in_process, is_alive, needs_real_time, written

from pynenc_async import (
    CancelOutcome,
    InvocationCancelledError,
    InvocationTimeoutError,
    Pynenc,
    RetryError,
    TaskDefinitionError,
    WorkerCrashedError,
    inject,
)


def watched(app):
    log = []

    @app.middleware
    async def watch(invocation, call_next):
        log.append(os.getpid())
        try:
            await call_next()
        except BaseException as error:
            log.append(type(error))
            raise

    return log


@pytest.mark.slow
async def test_it_runs_here_and_the_body_there():
    async with Pynenc(max_processes=1) as app:
        log = watched(app)
        invocation = in_process(app, bodies.pid)()
        assert await invocation != os.getpid()
        assert log == [os.getpid()]
        assert statuses(invocation) == [*USUAL, S.SUCCESS]
        assert_lawful(invocation)
        assert await in_process(app, bodies.add).parallelize([(n,) for n in range(20)]) == list(range(1, 21))
        await assert_at_rest(app)


@pytest.mark.slow
async def test_it_replaces_results_and_asks_for_another_attempt():
    async with Pynenc(max_processes=1) as app:

        @app.middleware
        async def double(invocation, call_next):
            value = await call_next()
            if invocation.num_retries < 1:
                raise RetryError
            return 2 * value

        invocation = in_process(app, bodies.add, max_retries=3)(1)
        assert await invocation == 4
        assert statuses(invocation) == [*USUAL, S.RETRY, S.PENDING, S.RUNNING, S.SUCCESS]
        assert_lawful(invocation)
        await assert_at_rest(app)


@pytest.mark.slow
async def test_a_crash_is_an_error_of_the_body():
    async with Pynenc(max_processes=1) as app:
        log = watched(app)
        with pytest.raises(WorkerCrashedError):
            await in_process(app, bodies.die)("exit")
        assert log[1:] == [WorkerCrashedError]
        await assert_at_rest(app)


@pytest.mark.slow
async def test_cancelling_kills_the_body_and_then_unwinds_the_middleware(tmp_path):
    async with Pynenc(max_processes=1) as app:
        log = watched(app)
        invocation = in_process(app, bodies.wait_for_ever)(str(tmp_path / "here"))
        pid = await written(tmp_path / "here")
        assert await invocation.cancel("enough") is CancelOutcome.STOPPED
        assert not is_alive(pid)
        assert log[1:] == [asyncio.CancelledError]
        with pytest.raises(InvocationCancelledError, match="enough"):
            await invocation
        assert_lawful(invocation)
        await assert_at_rest(app)


@pytest.mark.slow
async def test_timeouts_of_the_task_and_of_the_middleware(tmp_path):
    needs_real_time()
    async with Pynenc(max_processes=1) as app:
        task = in_process(app, bodies.wait_for_ever)
        with pytest.raises(InvocationTimeoutError):
            await task.with_options(timeout=0.05)(str(tmp_path / "a"))

        @app.middleware
        async def limited(invocation, call_next):
            async with asyncio.timeout(0.05):
                return await call_next()

        with pytest.raises(TimeoutError) as caught:
            await task(str(tmp_path / "b"))
        assert not isinstance(caught.value, InvocationTimeoutError)
        await assert_at_rest(app)


@pytest.mark.slow
async def test_streams():
    async with Pynenc(max_processes=1) as app:
        log = watched(app)
        invocation = in_process(app, bodies.count)(5)
        assert [item async for item in invocation.stream()] == list(range(5))
        await invocation
        assert log == [os.getpid()]
        await assert_at_rest(app)


resource_app = Pynenc()


@resource_app.resource
async def resource():
    yield 1


def given(value=inject(resource)):
    return value


def test_resources_do_not_leave_the_process():
    with pytest.raises(TaskDefinitionError, match="do not leave this process"):
        in_process(resource_app, given)
