"""Bodies that never suspend leave room for everybody else."""

import asyncio

import pytest
from helpers import assert_at_rest, turns

from pynenc_async import (
    Pynenc,
)


@pytest.mark.parametrize("inside", ["test", "body"])
async def test_awaiting_no_ops_for_ever_lets_other_tasks_run(inside):
    app = Pynenc()
    ticks = []

    @app.task
    async def noop():
        pass

    async def tick():
        while len(ticks) < 5:
            ticks.append(1)
            await asyncio.sleep(0)

    async def spin():
        ticking = asyncio.ensure_future(tick())
        for _ in range(5_000):
            await noop()
            if ticking.done():
                return True
        ticking.cancel()
        return False

    assert await (spin() if inside == "test" else app.task(spin)())


@pytest.mark.slow
async def test_bodies_that_submit_themselves_for_ever_let_other_tasks_run():
    app = Pynenc()
    stop = []

    @app.task(detect_cycles=False)
    async def again():
        if not stop:
            again()

    again()
    await turns(20)
    stop.append(1)
    await turns(20)
    await assert_at_rest(app)
