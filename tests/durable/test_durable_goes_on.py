"""Whatever happens in one decision, the ledger settles in the order of its commits and commits what comes next."""

import asyncio
import itertools
import logging

import pytest
from durable_world import World
from helpers import S, turns

from pynenc_async import InvocationCancelledError, InvocationNotFinalError, StoreError
from pynenc_async.store.memory import MemoryStore
from pynenc_async.store.values import CancelRequest, NewInvocation, Refusal, RefusalKind, Transition

pytestmark = pytest.mark.virtual


def complaints(caplog):
    return [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR]


def now_and_then(*latencies):
    """Let one question of the store take its time, and the next be answered before the loop turns."""
    following = itertools.cycle(latencies)
    return lambda: next(following)


async def ends(handle):
    """Wait for the end of an invocation, for a minute at most."""
    assert await handle.wait(60)
    return handle.status


# -- the order of commits ----------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("retained", [1, 10_000])
@pytest.mark.parametrize("latencies", [(None,), (0.0, None), (0.0, 0.0, None, None), (0.01, None, None)])
async def test_what_is_cancelled_while_it_is_registered_beyond_the_window_ends_once(latencies, retained, caplog):
    app = World().app(
        store_window=3, max_concurrency=1, retain_count=retained, latency=now_and_then(*latencies), drain_seconds=1
    )
    gate = asyncio.Event()

    @app.task
    async def block():
        await gate.wait()

    @app.task
    async def job(i: int) -> int:
        return i

    async with app:
        block()
        fill = [job(i) for i in range(10)]
        await fill[-1].accepted()
        for turn in range(12):
            some = [job(i) for i in range(10)]  # these lie in the store alone
            await turns(turn % 4)
            await asyncio.gather(*(one.cancel() for one in some[-3:]))
        gate.set()
        for one in fill:
            assert await ends(one) is S.SUCCESS
        assert await job(7) == 7
        assert app._dispatcher.scheduler.waiting >= 0
    assert not complaints(caplog)


# -- a decision that raises --------------------------------------------------------------------------------------------


class Confused(MemoryStore):
    """Refuses the start of some invocations for a reason that cannot be."""

    confuses = ()

    async def commit(self, changes):
        answers = await super().commit(changes)
        return [
            Refusal(RefusalKind.LIMIT, "nothing")
            if type(change) is not CancelRequest and change.invocation_id in self.confuses
            else answer
            for change, answer in zip(changes, answers, strict=True)
        ]


async def test_a_settlement_that_raises_is_logged_with_its_invocation_and_hurts_no_other(caplog):
    world = World()
    app = world.app_on(Confused)

    @app.task
    async def job(i: int) -> int:
        return i

    async with app:
        handles = [job(i) for i in range(6)]
        await handles[-1].accepted()
        world.stores[-1].confuses = {handles[2].invocation_id}
        assert [await ends(one) for one in handles] == [S.SUCCESS, S.SUCCESS, S.FAILED, *3 * [S.SUCCESS]]
        assert await job(7) == 7
        assert isinstance(handles[2].exception(), Exception)
    assert [one.invocation_id for one in caplog.records if one.levelno >= logging.ERROR] == [handles[2].invocation_id]


@pytest.mark.parametrize("error", [ValueError("no text"), OverflowError("too large"), RuntimeError("a bug")])
@pytest.mark.parametrize("kind", [NewInvocation, Transition])
async def test_a_change_that_no_store_can_take_is_refused_alone(kind, error, caplog):
    world, bad = World(), set()

    def before(name, changes):
        if any(type(change) is kind and change.invocation_id in bad for change in changes):
            raise error

    app = world.app(before=before)

    @app.task
    async def job(i: int) -> int:
        await asyncio.sleep(1)
        return i

    async with app:
        handles = [job(i) for i in range(6)]
        if kind is Transition:
            await handles[-1].accepted()
        bad.add(handles[2].invocation_id)
        assert [await ends(one) is S.SUCCESS for one in handles] == [i != 2 for i in range(6)]
        with pytest.raises((StoreError, InvocationCancelledError)):
            await handles[2]
        assert await job(7) == 7
        bad.clear()
    assert str(error) in caplog.text


async def test_a_store_that_fails_while_the_change_at_fault_is_looked_for_loses_nothing(caplog):
    world, bad, fails = World(), set(), iter([False, False, False, True, True, False])

    def before(name, changes):
        if name != "commit" or not bad:
            return
        if next(fails, False):
            raise StoreError("full")
        if any(change.invocation_id in bad for change in changes):
            raise ValueError("no text")

    app = world.app(before=before)

    @app.task
    async def job(i: int) -> int:
        await gate.wait()
        return i

    async with app:
        gate = asyncio.Event()
        handles = [job(i) for i in range(6)]
        await asyncio.sleep(1)
        bad.add(handles[2].invocation_id)
        gate.set()
        assert [await ends(one) for one in handles] == [S.SUCCESS, S.SUCCESS, S.FAILED, *3 * [S.SUCCESS]]
        bad.clear()
    assert "can be written again" in caplog.text


# -- the end of the Task that commits ----------------------------------------------------------------------------------


def waiters_of(running, fresh, group, streaming):
    """Wait in every way for what is running, is not stored yet, is read as a group, and is read as a stream."""

    async def read():
        return [item async for item in streaming.stream()]

    ways = (running.wait(), fresh.accepted(), anext(aiter(group)), group, read(), running)
    return [asyncio.ensure_future(way) for way in ways]


async def test_who_waits_is_told_when_the_task_that_commits_was_cancelled_by_others():
    latency = [0.0]
    app = World().app(latency=lambda: latency[0])

    @app.task
    async def job(i: int) -> int:
        await asyncio.sleep(i)
        return i

    @app.task
    async def ticks():
        yield 1
        await asyncio.sleep(1_000)

    async with app:
        running, group, streaming = job(500), job.parallelize([(600,), (700,)]), ticks()
        await asyncio.sleep(1)
        latency[0] = 5.0
        fresh = job(1)
        waiting = waiters_of(running, fresh, group, streaming)
        await turns(3)
        for task in asyncio.all_tasks() - {asyncio.current_task(), *waiting}:
            task.cancel()
        waiting += waiters_of(running, fresh, group, streaming)
        told = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 60)
        expected = [StoreError, *4 * [InvocationNotFinalError]]
        assert [type(one) for one in told] == [bool, *expected, InvocationNotFinalError, *expected]
        with pytest.raises(StoreError, match="cancelled from outside"):
            job(2)
        await asyncio.wait_for(app.drain(100), 10)
        latency[0] = 0.0
    async with app:
        assert await asyncio.wait_for(running, 1_000) == 500
