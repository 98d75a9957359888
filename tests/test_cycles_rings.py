"""A ring of invocations that await one another raises `CycleDetectedError`, and nothing else does."""

import asyncio

import pytest
from helpers import Gate, S, assert_at_rest, assert_lawful

from pynenc_async import CycleDetectedError, Pynenc, current_invocation


async def by_await(handle):
    return await handle


async def by_gather(handle):
    return (await asyncio.gather(handle))[0]


async def by_task_group(handle):
    async def one():
        return await handle

    try:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(one())
    except* CycleDetectedError as errors:
        raise errors.exceptions[0] from None
    return task.result()


async def by_wait(handle):
    await handle.wait()
    return handle.result


WAYS = (by_await, by_gather, by_task_group, by_wait)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("size", [1, 2, 3, 10])
async def test_a_ring_of_coroutines_is_broken_where_it_closes(size, way):
    app = Pynenc()
    ring, gate = [], Gate()

    @app.task
    async def member(n):
        await gate.wait()
        return await way(ring[(n + 1) % size])

    ring.extend(member(n) for n in range(size))
    gate.open()
    errors = [await wait_for_error(one) for one in ring]
    assert all(isinstance(error, CycleDetectedError) for error in errors)
    assert len(set(errors)) == 1, "one member closes the ring; the others get its error"
    assert len(errors[0].path) == size + 1
    for one in ring:
        assert one.status is S.FAILED
        assert_lawful(one)
    await assert_at_rest(app)


async def wait_for_error(invocation):
    with pytest.raises(CycleDetectedError) as caught:
        await invocation
    return caught.value


@pytest.mark.parametrize("size", [1, 2, 3])
async def test_a_ring_of_threads_is_broken(size):
    app = Pynenc()
    ring, gate = [], Gate()

    @app.task
    def member(n):
        gate.block()
        return ring[(n + 1) % size].result

    ring.extend(member(n) for n in range(size))
    gate.open()
    for one in ring:
        await wait_for_error(one)
    await assert_at_rest(app)


async def test_a_ring_of_a_thread_and_a_coroutine_is_broken():
    app = Pynenc()
    ring, gate = [], Gate()

    @app.task
    def in_thread():
        gate.block()
        return ring[1].result

    @app.task
    async def in_loop():
        await gate.wait()
        return await ring[0]

    ring.extend((in_thread(), in_loop()))
    gate.open()
    for one in ring:
        await wait_for_error(one)
    await assert_at_rest(app)


async def test_a_ring_through_two_apps_is_broken():
    apps = Pynenc(), Pynenc()
    ring, gate = [], Gate()

    async def member(n):
        await gate.wait()
        return await ring[1 - n]

    ring.extend(app.task(member)(n) for n, app in enumerate(apps))
    gate.open()
    for one in ring:
        await wait_for_error(one)
    for app in apps:
        await assert_at_rest(app)


async def test_a_ring_that_is_refused_can_be_left():
    app = Pynenc()

    @app.task
    async def parent():
        return await child(current_invocation())

    @app.task
    async def child(handle):
        try:
            return await handle
        except CycleDetectedError:
            return "went on"

    assert await parent() == "went on"
    await assert_at_rest(app)


async def test_a_diamond_is_no_ring():
    app = Pynenc(max_concurrency=1)
    handles, gate = {}, Gate()

    @app.task
    async def bottom():
        await gate.wait()
        return 1

    @app.task
    async def side(n):
        return n + await handles["bottom"]

    @app.task
    async def top():
        return sum(await asyncio.gather(handles["left"], handles["right"], handles["bottom"]))

    handles["top"], handles["bottom"] = top(), bottom()
    handles["left"], handles["right"] = side(10), side(20)
    gate.open()
    assert await handles["top"] == 33
    await assert_at_rest(app)


async def test_a_wait_that_was_given_up_is_no_edge():
    app = Pynenc()
    handles, given_up, gate = {}, Gate(), Gate()

    @app.task
    async def first():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await handles["second"]
        given_up.open()
        await gate.wait()
        return 1

    @app.task
    async def second():
        await given_up.wait()
        gate.open()
        return await handles["first"]

    handles["first"], handles["second"] = first(), second()
    assert await handles["second"] == 1
    await assert_at_rest(app)


async def test_who_reads_a_stream_waits_for_the_body_that_makes_it():
    app = Pynenc()
    handles = {}

    @app.task
    async def source():
        yield 1
        while handles["reader"].status is not S.PAUSED:
            await asyncio.sleep(0)
        await handles["reader"]

    @app.task
    async def reader():
        handles["source"] = source()
        async for _ in handles["source"].stream():
            pass

    handles["reader"] = reader()
    async with asyncio.timeout(60):
        assert isinstance(await wait_for_error(handles["reader"]), CycleDetectedError)
        await handles["source"].wait()
    await assert_at_rest(app)
