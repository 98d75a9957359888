"""Stored work of a task that was renamed, and of one that is not known here: the first is run, the second can be seen."""

import asyncio
import logging

import pytest
from helpers import turns

from pynenc_async import InvocationStatus as S
from pynenc_async import SerializationError
from pynenc_async.store.values import Retention

pytestmark = pytest.mark.virtual
DAY = 86_400


async def bill(number: int) -> str:
    return f"billed {number}"


async def leave_behind(world, *, name="shop.bill", count=1, delay=5, **options):
    """Let a process submit work for later, and end."""
    app = world.app(drain_seconds=0)
    for known in ("shop.bill", "shop.pay"):
        app.task(name=known, **options)(bill)
    task = app.get_task(name)
    async with app:
        handles = [await task.with_options(delay=delay).submit(number) for number in range(count)]
    return [handle.invocation_id for handle in handles]


async def test_work_under_an_alias_is_run_and_found_by_the_task(world):
    [known_id] = await leave_behind(world)
    app = world.app()
    task = app.task(name="shop.invoice", aliases=("shop.bill", "shop.pay"))(bill)
    async with app:
        handle = app.get_invocation(known_id)
        assert await handle == "billed 0"
        assert handle.task.task_id == "shop.invoice"
        assert handle.arguments.values == (0,)
        new = await task.submit(1)
        await new
        for wanted in (task, "shop.invoice", "shop.bill"):
            page = await app.find(task=wanted)
            assert {one.invocation_id for one in page.invocations} == {known_id, new.invocation_id}
        assert app.statistics().unknown_tasks == {}


async def test_a_duplicate_of_what_stands_under_an_alias_is_none_of_its_own(world):
    options = {"registration_concurrency": "arguments", "unique_until": "finished"}
    [known_id] = await leave_behind(world, **options)
    app = world.app()
    task = app.task(name="shop.invoice", aliases="shop.bill", **options)(bill)
    async with app:
        assert task(0).invocation_id == known_id
        assert task(1).invocation_id != known_id


async def test_a_call_that_replaces_what_stands_under_an_alias_cancels_it(world):
    options = {"registration_concurrency": "task", "unique_until": "finished", "on_duplicate": "replace"}
    [known_id] = await leave_behind(world, **options)
    app = world.app()
    task = app.task(name="shop.invoice", aliases="shop.bill", **options)(bill)
    async with app:
        assert await task(1) == "billed 1"
        known = app.get_invocation(known_id)
        await known.wait()
        assert known.status is S.CANCELLED


async def test_a_workflow_goes_on_after_its_child_was_renamed(world):
    begun = []

    def define(app, child_name, **naming):
        child = app.task(name=child_name, **naming)(bill)

        @app.task(name="flow", workflow=True)
        async def flow():
            result = await child(1)
            begun.append(result)
            await asyncio.sleep(100 if len(begun) == 1 else 0)
            return result

        return flow

    app = world.app(drain_seconds=0)
    flow = define(app, "child")
    async with app:
        handle = await flow.submit()
        while not begun:
            await asyncio.sleep(1)
    app = world.app()
    define(app, "renamed", aliases="child")
    async with app:
        assert await app.get_invocation(handle.invocation_id) == "billed 1"


@pytest.mark.slow
async def test_a_schedule_remembers_when_it_fired_under_the_earlier_name_of_its_task(world):
    async def fires(**naming):
        app, seen = world.app(), []

        @app.every(3_600, misfire="all", **naming)
        async def report():
            seen.append(1)

        async with app:
            await asyncio.sleep(3_700)
        return len(seen)

    assert await fires(task_name="report") == 1
    await asyncio.sleep(3 * 3_600)
    assert await fires(task_name="renamed", aliases="report") == 4


async def test_unknown_work_is_found_and_described_and_whatever_needs_its_task_says_why_not(world, caplog):
    [known_id] = await leave_behind(world)
    app = world.app()
    async with app:
        await turns(3)
        [handle] = (await app.find()).invocations
        assert (await app.find(task="shop.bill")).invocations == (handle,)
        assert app.find_invocation(known_id) is handle
        assert (handle.invocation_id, handle.status, handle.num_retries) == (known_id, S.SCHEDULED, 0)
        assert [entry.status for entry in handle.history] == [S.SCHEDULED]
        assert handle.task.task_id == "shop.bill"
        assert handle.app is app
        assert "shop.bill" in str(handle)
        assert "shop.bill" in repr(handle.task)
        for ask in (
            lambda: handle.arguments,
            lambda: handle.call,
            lambda: handle.call_id,
            handle.to_json,
            handle.stream,
            lambda: handle.task(1),
            lambda: handle.task.with_options(priority=1),
        ):
            with pytest.raises(SerializationError, match=r"'shop\.bill' is no task.*aliases=\('shop\.bill',\)"):
                ask()
        assert app.statistics().unknown_tasks == {"shop.bill": 1}


async def test_what_has_ended_of_an_unknown_task_shows_its_end(world):
    app = world.app()
    task = app.task(name="shop.bill", max_retries=0)(bill)

    @app.task(name="shop.fail")
    async def fail():
        raise LookupError("nothing there")

    async with app:
        await task(1)
        await fail().wait()
    other = world.app()
    async with other:
        done, failed = sorted((await other.find()).invocations, key=lambda one: one.status, reverse=True)
        assert (done.status, failed.status) == (S.SUCCESS, S.FAILED)
        assert await done == "billed 1"
        with pytest.raises(LookupError, match="nothing there"):
            await failed
        assert other.statistics().unknown_tasks == {}


async def test_who_waits_for_unknown_work_is_told_when_a_process_has_run_it(world):
    [known_id] = await leave_behind(world)
    async with world.app() as app:
        waiting = asyncio.ensure_future(app.get_invocation(known_id).wait())
        await asyncio.sleep(60)
        assert not waiting.done()
        knows = world.app()
        knows.task(name="shop.bill")(bill)
        async with knows:
            assert await waiting


async def test_the_log_warns_with_counts_at_the_start_and_when_more_comes_and_is_no_flood(world, caplog):
    caplog.set_level(logging.WARNING, "pynenc_async")

    def warnings():
        found = [record.getMessage() for record in caplog.records if "does not know" in record.getMessage()]
        caplog.clear()
        return found

    await leave_behind(world, count=3, delay=DAY)
    warnings()
    async with world.app() as app:
        [warning] = warnings()
        assert "'shop.bill' (3)" in warning
        assert "aliases=('shop.bill',)" in warning
        await asyncio.sleep(1_000)
        assert warnings() == []
        await leave_behind(world, name="shop.pay", delay=DAY)
        await asyncio.sleep(60)
        [warning] = warnings()
        assert "'shop.pay' (1)" in warning
        assert "shop.bill" not in warning
        await leave_behind(world, count=4, delay=DAY)
        await asyncio.sleep(60)
        assert [("'shop.bill' (7)" in warning) for warning in warnings()] == [True]
        assert app.statistics().unknown_tasks == {"shop.bill": 7, "shop.pay": 1}


async def test_a_task_that_is_defined_after_the_start_takes_up_its_work(world):
    [known_id] = await leave_behind(world)
    async with world.app() as app:
        await asyncio.sleep(60)
        app.task(name="shop.bill")(bill)
        await asyncio.sleep(60)
        assert app.get_invocation(known_id).status is S.SUCCESS
        assert app.statistics().unknown_tasks == {}


async def test_what_was_purged_of_an_unknown_task_is_not_found(world):
    app = world.app()
    async with app:
        await world.stores[-1].purge(Retention(count=0), now=0.0)
        assert (await app.find(task="shop.bill")).invocations == ()
