"""Who waits for work of another process hears of its end, or that the store has forgotten it: nobody waits for ever."""

import asyncio

import pytest
from helpers import turns

from pynenc_async import DistributedInvocation, InvocationNotFoundError, RetryError, StoreError
from pynenc_async import InvocationStatus as S
from pynenc_async.store.values import Retention

PATIENCE = 600


def with_tasks(app):
    app.gate = asyncio.Event()

    @app.task
    async def held(x: int) -> int:
        await app.gate.wait()
        return x

    @app.task(max_retries=2, retry_delay=5)
    async def flaky() -> None:
        await asyncio.sleep(1)
        raise RetryError

    app.held, app.flaky = held, flaky
    return app


async def purge(world):
    await world.stores[0].purge(Retention(count=0), now=0.0)


async def in_thread(handle):
    return await asyncio.to_thread(handle.blocking_result)


async def exception_in_thread(handle):
    return await asyncio.to_thread(handle.exception)


WAITS = {
    "await": lambda handle: asyncio.wait_for(handle, PATIENCE),
    "wait": lambda handle: handle.wait(),
    "wait with a timeout": lambda handle: handle.wait(PATIENCE),
    "cancel": lambda handle: handle.cancel(),
    "updates": lambda handle: anext(aiter(handle.updates())),
    "result in a thread": in_thread,
    "exception in a thread": exception_in_thread,
    "accepted": lambda handle: handle.accepted(),
}
LASTING = [WAITS[name] for name in ("await", "wait", "wait with a timeout", "updates")]


async def assert_not_found(wait, handle):
    with pytest.raises(InvocationNotFoundError, match=handle.invocation_id):
        await wait(handle)


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
async def test_who_begins_to_wait_after_the_store_has_forgotten_it_is_told(world, wait):
    async with with_tasks(world.app()) as one, with_tasks(world.app()) as other:
        theirs = await one.held.submit(1)
        handle = other.get_invocation(theirs.invocation_id)
        one.gate.set()
        await theirs
        await purge(world)
        for _ in range(2):  # and is told so again
            await assert_not_found(wait, handle)
        for ask in (lambda: handle.status, lambda: handle.num_retries, handle.to_json):
            with pytest.raises(InvocationNotFoundError):
                ask()


@pytest.mark.slow
@pytest.mark.parametrize("waits", [LASTING, LASTING[:1] * 5], ids=["all ways", "several"])
async def test_who_waits_while_the_store_forgets_it_is_told(world, waits):
    out_of_reach, asked = [], asyncio.Event()

    def before(name, changes):
        if name == "load" and out_of_reach:
            asked.set()
            raise StoreError("away")

    async with with_tasks(world.app()) as one, with_tasks(world.app(before=before)) as other:
        theirs = await one.held.submit(1)
        handle = other.get_invocation(theirs.invocation_id)
        out_of_reach.append(True)
        waiting = [asyncio.create_task(assert_not_found(wait, handle)) for wait in waits]
        await asked.wait()
        await turns(10)
        one.gate.set()
        await theirs
        await purge(world)
        out_of_reach.clear()
        await asyncio.gather(*waiting)


async def test_a_restored_handle_to_what_the_store_does_not_have_is_told_so_until_the_store_has_it(world):
    async with with_tasks(world.app()) as one, with_tasks(world.app()) as other:
        theirs = one.held(1)
        one.gate.set()
        restored = DistributedInvocation.from_json(other, theirs.to_json())
        await assert_not_found(WAITS["accepted"], restored)
        await theirs.accepted()
        assert await restored.accepted() is restored
        assert await asyncio.wait_for(restored, PATIENCE) == 1


@pytest.mark.virtual
async def test_the_retries_and_the_history_of_work_of_another_process_are_those_of_the_store(world):
    async with with_tasks(world.app()) as one, with_tasks(world.app()) as other:
        theirs = await one.flaky.submit()
        handle = other.get_invocation(theirs.invocation_id)
        seen = set()
        for _ in range(14):
            await asyncio.sleep(1.37)
            assert (handle.status, handle.num_retries) == (theirs.status, theirs.num_retries)
            assert [entry.status for entry in handle.history] == [entry.status for entry in theirs.history]
            assert f'"num_retries":{theirs.num_retries}' in handle.to_json()
            seen.add((handle.status, handle.num_retries))
        assert {(S.RETRY, 1), (S.FAILED, 2)} <= seen
        assert isinstance(theirs.exception(), RetryError)


@pytest.mark.virtual
async def test_what_lies_in_the_store_alone_is_followed_after_its_process_was_declared_dead(world):
    app = with_tasks(world.app(store_window=1, max_concurrency=1))
    async with app, with_tasks(world.app()) as other:
        handles = [app.held(number) for number in range(5)]
        await asyncio.gather(*(one.accepted() for one in handles))
        other.gate.set()
        world.stores[0].stall()
        assert await asyncio.wait_for(asyncio.gather(*handles), PATIENCE) == list(range(5))
