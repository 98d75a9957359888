"""Async generator tasks in worker processes."""

import asyncio

import process_bodies as bodies
import pytest
from helpers import S, assert_at_rest, assert_lawful, statuses
from process_helpers import in_process

from pynenc_async import Pynenc


@pytest.mark.slow
async def test_the_generator_waits_for_its_readers_without_a_slot(tmp_path):
    path = tmp_path / "count"
    async with Pynenc(max_processes=1) as app:
        invocation = in_process(app, bodies.count_and_tell, stream_buffer=3)(50, str(path))
        stream = invocation.stream()
        assert await anext(stream) == 1
        while invocation.status is not S.PAUSED:
            await asyncio.sleep(0)
        assert path.stat().st_size < 20
        assert await in_process(app, bodies.add)(1) == 2, "another worker takes its place meanwhile"
        assert [item async for item in stream] == list(range(2, 51))
        assert invocation.status is S.SUCCESS
        assert S.PAUSED in statuses(invocation)
        assert_lawful(invocation)
        await assert_at_rest(app)


@pytest.mark.slow
async def test_a_reader_and_a_generator_share_one_slot():
    async with Pynenc(max_processes=1, max_concurrency=1) as app:
        count = in_process(app, bodies.count, stream_buffer=1)

        @app.task
        async def read():
            return [item async for item in count(20).stream()]

        assert await read() == list(range(20))
        await assert_at_rest(app)


@pytest.mark.slow
async def test_items_that_nobody_reads_are_dropped_when_somebody_waits_for_the_end():
    async with Pynenc(max_processes=1) as app:
        assert await in_process(app, bodies.count, stream_buffer=2)(100) is None
        await assert_at_rest(app)


@pytest.mark.slow
async def test_a_failure_comes_after_the_items():
    async with Pynenc(max_processes=1) as app:
        stream = in_process(app, bodies.count_and_fail, stream_buffer=2)(10).stream()
        assert [await anext(stream) for _ in range(10)] == list(range(10))
        with pytest.raises(bodies.BodyError):
            await anext(stream)
        await assert_at_rest(app)


@pytest.mark.slow
async def test_a_generator_that_waits_for_its_readers_is_cancelled(tmp_path):
    async with Pynenc(max_processes=1) as app:
        invocation = in_process(app, bodies.count_and_tell, stream_buffer=1)(10_000, str(tmp_path / "count"))
        while invocation.status is not S.PAUSED:
            await asyncio.sleep(0)
        assert await invocation.cancel("enough") == "stopped"
        assert invocation.status is S.CANCELLED
        assert_lawful(invocation)
        assert await in_process(app, bodies.add)(1) == 2
        await assert_at_rest(app)


@pytest.mark.slow
@pytest.mark.virtual
async def test_simulated_time_moves_while_a_generator_waits_for_its_readers():
    loop = asyncio.get_running_loop()
    async with Pynenc(max_processes=1) as app:
        began = loop.time()
        seen = 0
        async for _ in in_process(app, bodies.count, stream_buffer=1)(20).stream():
            seen += 1
            await asyncio.sleep(60)
        assert seen == 20
        assert loop.time() - began == 20 * 60
