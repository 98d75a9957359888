"""What one release of a program has stored, and another one finds; and a store that fails while it is taken in."""

import asyncio

import pytest
from helpers import S

from pynenc_async import SerializationError, StoreError, current_invocation

pytestmark = pytest.mark.virtual


def release(world, function, **options):
    """Return an app with one task, which is called `work` in each release."""
    function.__module__, function.__qualname__ = "shop", "work"
    app = world.app()
    return app, app.task(**options)(function)


async def stored(world, function, *args, used=None, **options):
    app, task = release(world, function, **options)
    async with app:
        handle = task.with_options(delay=10, **(used or {}))(*args)
        await handle.accepted()
        return handle.invocation_id


async def test_what_can_no_longer_be_decoded_hides_nothing_else(world):
    async def old(x: str) -> int: ...

    async def new(x: int) -> int:
        return x

    unreadable = await stored(world, old, "text")
    app, work = release(world, new)
    async with app:
        readable = await work(3)
        found = {one.invocation_id: one for one in (await app.find()).invocations}
        assert len(found) == 2
        one = found[unreadable]
        assert one is app.get_invocation(unreadable)
        assert one.status is S.SCHEDULED
        assert unreadable in repr(one), "it can be shown, whatever its arguments are"
        for look in (lambda: one.arguments, lambda: one.call, one.to_json):
            with pytest.raises(SerializationError, match=r"arguments\.x"):
                look()
        with pytest.raises(SerializationError, match=r"arguments\.x"):
            await one
        assert readable == 3
    assert world.row(unreadable).status is S.FAILED


async def test_a_parameter_that_is_new_has_its_default(world):
    async def old(x: int) -> int: ...

    async def new(x: int, *rest: int, y: int = 5, **more: int) -> list[int]:
        return [x, y, *rest, *more.values()]

    invocation_id = await stored(world, old, 1)
    app, _ = release(world, new)
    async with app:
        assert await app.get_invocation(invocation_id) == [1, 5]


async def test_options_of_a_call_that_mean_nothing_any_more_fail_that_call_alone(world):
    async def old(x: int, user: str) -> int: ...

    async def new(x: int, user: str = "", *, key: int = 1) -> int:
        return x

    async def newest(x: int, user: str = "") -> int:
        return x

    used = {"running_concurrency": "keys", "key_arguments": ("key",)}
    fine = await stored(world, old, 1, "ann")
    wrong = await stored(world, new, 2, "ann", used=used)
    app, _ = release(world, newest)
    async with app:
        await asyncio.sleep(20)
        assert await app.get_invocation(fine) == 1
        with pytest.raises(Exception, match="key"):
            await app.get_invocation(wrong)
    assert world.row(wrong).status is S.FAILED


@pytest.mark.parametrize("error", [StoreError("locked"), RuntimeError("a defect")])
@pytest.mark.parametrize("broken", ["claim", "journal", "backlog", "cancel_requests"])
async def test_a_failure_while_something_is_taken_in_costs_time_and_nothing_else(world, broken, error):
    left = 1

    def fail(name, _changes):
        nonlocal left
        if name == broken and left > 0:
            left -= 1
            raise error

    def make(before=None):
        app = world.app(before=before)

        @app.task(workflow=True)
        async def flow(x: int) -> int:
            if current_invocation().num_retries == 0:
                await asyncio.sleep(1_000)
            return x

        return app, flow

    app, flow = make()
    await app.start()
    handles = [flow(number) for number in range(5)]
    await asyncio.sleep(1)
    world.stores[-1].kill(is_noticed=True)
    other, _ = make(fail)
    async with other:
        for number, handle in enumerate(handles):
            assert await other.get_invocation(handle.invocation_id) == number
    await app.shutdown(0)
    assert left == 0
