"""An invocation is submitted at the call, from anywhere; it runs though nobody awaits it, and it knows its parent."""

import asyncio
import gc
import threading

from helpers import Gate, assert_at_rest, assert_lawful, turns

from pynenc_async import (
    Pynenc,
    current_invocation,
)


async def test_what_nobody_awaits_runs_all_the_same():
    app = Pynenc()
    gate = Gate()

    @app.task
    async def work():
        gate.open()

    work()
    await gate.wait()


async def test_nothing_runs_inside_the_call():
    app = Pynenc()
    ran = []

    @app.task
    async def work():
        ran.append(1)

    work()
    assert not ran
    await turns(3)
    assert ran == [1]


async def test_a_suspended_body_that_nobody_refers_to_is_never_collected():
    app = Pynenc()
    ended = []

    @app.task
    async def work():
        for _ in range(3):
            await asyncio.sleep(0)
            gc.collect()
        ended.append(current_invocation().invocation_id)

    ids = [work().invocation_id for _ in range(3)]
    while len(ended) < 3:
        gc.collect()
        await asyncio.sleep(0)
    assert sorted(ended) == sorted(ids)


async def test_submission_from_another_thread_runs_in_the_loop():
    app = Pynenc()
    loop_thread = threading.get_ident()

    @app.task
    async def where(n):
        return n, threading.get_ident()

    await app.start()
    handles = await asyncio.to_thread(lambda: [where(n) for n in range(50)])
    assert [await handle for handle in handles] == [(n, loop_thread) for n in range(50)]
    for handle in handles:
        assert_lawful(handle)
    await assert_at_rest(app)


async def test_submission_from_a_def_body_is_its_child():
    app = Pynenc()

    @app.task
    async def child():
        return current_invocation().parent_invocation_id

    @app.task
    def parent():
        return child().result, current_invocation().invocation_id

    assert len(set(await parent())) == 1
    await assert_at_rest(app)


async def test_a_child_names_its_parent_before_and_after_the_end_of_both():
    app = Pynenc()

    @app.task
    async def child():
        pass

    @app.task
    async def parent():
        handle = child()
        assert handle.parent_invocation_id == current_invocation().invocation_id
        return handle

    outer = parent()
    handle = await outer
    await handle
    assert handle.parent_invocation_id == outer.invocation_id
    assert outer.parent_invocation_id is None
    await assert_at_rest(app)


async def test_what_a_body_left_behind_submits_has_no_parent():
    app = Pynenc()
    gate = Gate()

    @app.task
    async def child():
        pass

    async def stray():
        await gate.wait()
        return child()

    @app.task
    async def parent():
        return asyncio.create_task(stray())

    task = await parent()
    gate.open()
    handle = await task
    await handle
    assert handle.parent_invocation_id is None


async def test_a_body_of_another_app_is_no_parent():
    one, other = Pynenc(), Pynenc()

    @other.task
    async def child():
        return 1

    @one.task
    async def parent():
        handle = child()
        return handle.parent_invocation_id, await handle

    assert await parent() == (None, 1)
