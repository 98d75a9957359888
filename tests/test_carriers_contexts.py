"""Every body has a context of its own, and what runs bodies keeps nothing of them."""

import asyncio
import contextlib
import contextvars
import gc
import threading
import weakref

import pytest
from helpers import Gate, turns

from pynenc_async import (
    Pynenc,
    current_invocation,
)

MARK = contextvars.ContextVar("mark", default="unset")


@pytest.mark.parametrize("kind", ["coroutine", "thread"])
async def test_a_body_sees_the_context_of_its_submission_and_keeps_its_changes_to_itself(kind):
    app = Pynenc()

    def body(n):
        seen = MARK.get()
        MARK.set(f"body {n}")
        return seen

    async def in_loop(n):
        seen = body(n)
        await asyncio.sleep(0)
        assert MARK.get() == f"body {n}"
        return seen

    def in_thread(n):
        return body(n)

    task = app.task(in_loop if kind == "coroutine" else in_thread)
    MARK.set("first")
    early = [task(n) for n in range(3)]
    MARK.set("second")
    late = task(3)
    assert await late == "second"
    assert [await handle for handle in early] == ["first"] * 3
    assert MARK.get() == "second"


async def test_a_body_run_in_place_neither_changes_nor_sees_the_waiters_context():
    app = Pynenc()

    @app.task
    async def body():
        seen = MARK.get()
        MARK.set("body")
        return seen, current_invocation().invocation_id

    MARK.set("submitter")
    handle = body()
    MARK.set("waiter")
    assert await handle == ("submitter", handle.invocation_id)
    assert MARK.get() == "waiter"
    assert current_invocation() is None


async def test_nested_bodies_each_know_who_they_are():
    app = Pynenc()

    @app.task
    async def nested(n):
        me = current_invocation()
        below = await nested(n - 1) if n else []
        assert current_invocation() is me
        return [me.invocation_id, *below]

    assert len(set(await nested(20))) == 21


async def test_bodies_may_reset_their_context_variables_after_any_wait():
    app = Pynenc()

    @app.task
    async def body(n):
        token = MARK.set(str(n))
        await turns(n)
        MARK.reset(token)
        return MARK.get()

    assert set(await asyncio.gather(*(body(n) for n in range(5)))) == {"unset"}


async def test_apps_on_loops_in_two_threads_share_nothing():
    here, there = Pynenc(), Pynenc()
    inside, release, results = threading.Event(), threading.Event(), []

    @here.task
    async def hold():
        inside.set()
        assert release.wait(30)
        return 1

    @there.task
    async def quick():
        await asyncio.sleep(0)
        return 2

    async def main():
        asyncio.get_running_loop().set_exception_handler(lambda _, context: results.append(context))
        try:
            results.append(await asyncio.wait_for(quick(), 20))
        finally:
            release.set()

    def elsewhere():
        assert inside.wait(30)
        with contextlib.suppress(TimeoutError):
            asyncio.run(main())

    thread = threading.Thread(target=elsewhere, daemon=True)
    thread.start()
    handle = hold()
    await turns(3)  # the body blocks the loop in here, inside its carrier
    assert await handle == 1
    thread.join(30)
    assert results == [2]


# -- nothing is kept ---------------------------------------------------------------------------------------------------


async def test_a_carrier_does_not_keep_what_its_last_body_returned():
    app = Pynenc(retain_count=0, max_concurrency=1)
    gate, made = Gate(), []

    class Big:
        pass

    @app.task
    async def make():
        big = Big()
        made.append(weakref.ref(big))
        return big

    @app.task
    async def long():
        await gate.wait()

    make()
    handle = long()
    await turns(5)
    gc.collect()
    assert [ref() for ref in made] == [None]
    gate.open()
    await handle
