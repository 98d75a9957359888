"""A body that ignores its cancellation is abandoned and named; what it does later changes nothing."""

import asyncio

import pytest
from helpers import S, assert_lawful, turns

from pynenc_async import (
    AppNotStartedError,
    Pynenc,
)
from pynenc_async.testing import wait_all_tasks_blocked


@pytest.mark.virtual
@pytest.mark.parametrize("ending", ["returns", "raises", "awaits", "submits"])
async def test_a_body_that_ignores_its_cancellation_is_abandoned_named_and_its_late_report_refused(ending, caplog):
    app, other = Pynenc(drain_seconds=1), Pynenc()
    late = []

    @other.task
    async def elsewhere():
        await asyncio.sleep(100)

    @app.task(max_retries=3)
    async def stubborn():
        until = asyncio.get_running_loop().time() + 50
        while asyncio.get_running_loop().time() < until:
            try:
                await asyncio.sleep(50)
            except asyncio.CancelledError:
                late.append("swallowed")
        late.append("late")
        if ending == "raises":
            raise LookupError
        if ending == "awaits":
            await elsewhere()
        if ending == "submits":
            with pytest.raises(AppNotStartedError):
                stubborn()

    async with app:
        handle = stubborn()
        await turns(3)
    took = asyncio.get_running_loop().time()
    assert took < 20
    assert handle.status is S.CANCELLED
    assert [handle.invocation_id in record.getMessage() for record in caplog.records] == [True]
    before = handle.history
    assert app.statistics().running == 0
    await asyncio.sleep(300)
    assert late[-1] == "late"
    assert handle.history == before
    assert app.statistics().running == 0
    assert_lawful(handle)


@pytest.mark.virtual
async def test_an_abandoned_body_with_a_subtask_that_waits_elsewhere_changes_nothing():
    app, other = Pynenc(drain_seconds=1), Pynenc()

    @other.task
    async def elsewhere():
        await asyncio.sleep(100)

    async def wait_elsewhere():
        await elsewhere()

    @app.task
    async def stubborn():
        task = asyncio.ensure_future(wait_elsewhere())
        for _ in range(20):
            try:
                await asyncio.sleep(4)
            except asyncio.CancelledError:
                pass
        await task

    async with app:
        handle = stubborn()
        await turns(3)
    before = handle.history
    assert handle.status is S.CANCELLED
    await asyncio.sleep(300)
    assert handle.history == before
    assert app.statistics().running == 0
    assert_lawful(handle)


@pytest.mark.virtual
async def test_an_abandoned_generator_that_goes_on_yielding_changes_nothing():
    app = Pynenc(drain_seconds=1)

    @app.task(stream_buffer=1)
    async def stubborn():
        for n in range(20):
            try:
                await asyncio.sleep(7)
            except asyncio.CancelledError:
                pass
            yield n

    async with app:
        handle = stubborn()
        reader = handle.stream()
        task = asyncio.ensure_future(anext(reader))
        await turns(3)
    before = handle.history
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.sleep(300)
    assert handle.history == before
    assert app.statistics().running == 0


@pytest.mark.virtual
async def test_an_abandoned_thread_that_waits_on_changes_nothing():
    app = Pynenc(drain_seconds=1)
    other, swallowed = Pynenc(), []

    @other.task
    async def elsewhere():
        await asyncio.sleep(100)
        return 1

    @app.task
    def stubborn(handle):
        while True:
            try:
                return handle.result
            except asyncio.CancelledError:
                swallowed.append(1)

    awaited = elsewhere()
    async with app:
        handle = stubborn(awaited)
        while handle.status is not S.PAUSED:
            await asyncio.sleep(0)
    before = handle.history
    assert handle.status is S.CANCELLED
    assert swallowed
    await awaited
    await asyncio.sleep(300)
    await wait_all_tasks_blocked()
    assert handle.history == before
    assert app.statistics().running_in_threads == 0
