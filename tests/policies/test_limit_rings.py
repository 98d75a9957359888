"""No wait for a limit that can never be free hangs in silence: it raises `CycleDetectedError`, and nothing else does."""

import asyncio

import pytest
from helpers import S, assert_at_rest, assert_lawful

from pynenc_async import CycleDetectedError, Pynenc, Rate, RetryError, current_invocation

pytestmark = pytest.mark.virtual


async def outcome(handle):
    await handle.wait()
    return type(handle.exception())


async def all_end(app):
    """Nothing hangs: whatever still lives ends by itself, and leaves nothing."""
    async with asyncio.timeout(1_000):
        while living := app._dispatcher.living():
            await living[0].wait()
    await assert_at_rest(app)


@pytest.mark.parametrize("limit", [1, 2, 5, 60])
async def test_parents_that_hold_all_permits_and_await_children_of_the_same_limit_are_told(limit):
    app = Pynenc()

    @app.task(running_concurrency="task", running_limit=limit)
    async def work(n, depth):
        await asyncio.sleep(1)
        return await work(n, depth - 1) if depth else n

    handles = [work(n, 1) for n in range(limit)]
    outcomes = [await outcome(handle) for handle in handles]
    assert outcomes.count(CycleDetectedError) == 1, "one has to give way, and the others get through"
    assert outcomes.count(type(None)) == limit - 1
    await all_end(app)


async def test_a_child_that_comes_to_the_limit_later_than_its_parent_to_the_await_is_looked_at_then():
    app, children = Pynenc(), []

    @app.task(running_concurrency="task")
    async def work(n):
        if n:
            children.append(work.with_options(delay=1)(n - 1))
            await children[0]

    with pytest.raises(CycleDetectedError, match="running_limit"):
        await work(1)
    assert asyncio.get_running_loop().time() == 1
    assert children[0].status is S.CANCELLED
    assert isinstance(children[0].exception(), CycleDetectedError)
    assert_lawful(children[0])
    await all_end(app)


async def test_so_is_one_that_is_awaited_while_it_waits_for_its_next_attempt():
    app = Pynenc()

    @app.task(running_concurrency="task", max_retries=1, retry_delay=5)
    async def work(other):
        if other is not None:
            return await other
        if current_invocation().num_retries == 0:
            raise RetryError
        return 1

    child = work(None)
    await asyncio.sleep(1)
    assert child.status is S.RETRY
    with pytest.raises(CycleDetectedError):
        await work.with_options(max_retries=0)(child)
    assert await child == 1
    await all_end(app)


async def test_a_later_one_with_detection_switched_off_is_left_alone():
    app = Pynenc()

    @app.task(running_concurrency="task", detect_cycles=False)
    async def work(n):
        if n:
            async with asyncio.timeout(10):
                await work.with_options(delay=1)(n - 1)

    with pytest.raises(TimeoutError):
        await work(1)
    await all_end(app)


async def test_a_total_that_others_will_free_does_not_hide_a_key_that_nobody_will():
    app = Pynenc()

    @app.task(running_concurrency="keys", key_arguments="key", running_total=2)
    async def work(key, n):
        await asyncio.sleep(1)
        return await work(key, n - 1) if n else 0

    other = work("b", 0)
    with pytest.raises(CycleDetectedError):
        await work("a", 1)
    await other
    await all_end(app)


async def test_a_use_with_a_narrower_limit_is_in_nobodys_way_though_it_is_ahead_in_the_queue():
    app = Pynenc()

    @app.task(running_concurrency="task", running_limit=5)
    async def work(child):
        await asyncio.sleep(1)
        return None if child is None else await child()

    narrow = work.with_options(running_limit=1, priority=1)
    parent = work(lambda: work(None))
    ahead = narrow(None)
    assert await parent is None
    await ahead
    await all_end(app)


@pytest.mark.parametrize("option", ["running_limit", "running_total"])
@pytest.mark.parametrize(("own", "hangs"), [(1, True), (2, False)])
async def test_a_holder_that_awaits_a_use_for_which_others_have_to_end_as_well_is_told_if_it_is_itself_in_the_way(
    option, own, hangs
):
    app = Pynenc()

    @app.task(running_concurrency="task", running_limit=9)
    async def work(seconds, awaits):
        await asyncio.sleep(seconds)
        if awaits:
            await work.with_options(**{option: own})(1, awaits=False)

    parent, *others = work(2, awaits=True), work(10, awaits=False), work(20, awaits=False)
    assert await outcome(parent) is (CycleDetectedError if hangs else type(None))
    assert asyncio.get_running_loop().time() == (2 if hangs else 21)
    assert [await outcome(one) for one in others] == [type(None)] * 2
    await all_end(app)


@pytest.mark.parametrize("count", [1, 2, 50])
@pytest.mark.parametrize("window", [None, 7])
@pytest.mark.parametrize("read", ["as they end", "in order", "list"])
async def test_reading_a_group_of_which_nobody_can_end_is_told(count, window, read):
    app = Pynenc()

    @app.task(running_concurrency="task")
    async def work(count):
        params = [(0,) for _ in range(count)]
        group = work.with_options(detect_cycles=False).parallelize(iter(params) if window else params, window=window)
        if count and read == "list":
            return await group
        return [result async for result in (group if read == "as they end" else group.in_order())]

    with pytest.raises(CycleDetectedError):
        await work(count)
    await all_end(app)


async def test_reading_a_group_of_which_somebody_can_end_is_not():
    app = Pynenc()

    @app.task(running_concurrency="task")
    async def limited():
        pass

    @app.task
    async def member(n):
        return await limited() if n == 0 else await asyncio.sleep(n)

    @app.task(running_concurrency="keys", key_arguments="key")
    async def parent(key):
        ended = [one async for one in member.parallelize([(n,) for n in range(4)]).as_completed()]
        return len(ended)

    assert await parent("a") == 4
    await all_end(app)


@pytest.mark.parametrize("seconds", [0, 1])
async def test_members_that_all_await_their_reader_are_told_or_it_is_whoever_comes_last(seconds):
    app, readers = Pynenc(), []

    @app.task
    async def member(n):
        await asyncio.sleep(n * seconds)
        return await readers[0]

    @app.task
    async def reader():
        return [one.exception() async for one in member.parallelize([(n,) for n in range(3)]).as_completed()]

    readers.append(reader())
    await readers[0].wait()
    await all_end(app)
    outcomes = [await outcome(one) for one in app.invocations()]
    assert CycleDetectedError in outcomes


@pytest.mark.parametrize("how", ["submit", "group", "async group"])
@pytest.mark.parametrize("children", [1, 3])
async def test_a_body_that_waits_for_room_among_those_who_wait_for_its_permit_is_no_end(how, children):
    app = Pynenc(max_concurrency=2, max_queued=2)

    @app.task(running_concurrency="task")
    async def limited(n):
        await asyncio.sleep(1)
        if n:
            await asyncio.gather(*[one.wait() for one in [await limited.submit(0) for _ in range(n)]])

    @app.task
    async def child():
        pass

    @app.task(running_concurrency="task")
    async def reader(n):
        await asyncio.sleep(1)
        params = [() for _ in range(n)]

        async def source():
            for one in params:
                yield one

        return [one async for one in child.parallelize(source() if how == "async group" else iter(params))]

    task = limited if how == "submit" else reader
    holder = task(children)
    await asyncio.sleep(0.5)
    others = [task(0) for _ in range(2)]
    await all_end(app)
    outcomes = [await outcome(one) for one in (holder, *others)]
    assert set(outcomes) <= {CycleDetectedError, type(None)}
    assert CycleDetectedError in outcomes


async def test_waiting_for_time_alone_is_no_ring():
    app = Pynenc()

    @app.task(running_concurrency="task", running_limit=2, rate_limit=Rate(1, per=5, burst=1))
    async def work(n):
        return await work(n - 1) if n else asyncio.get_running_loop().time()

    assert await work(1) == pytest.approx(5)
    await all_end(app)


@pytest.mark.slow
async def test_hundreds_of_parents_at_a_full_limit_are_looked_through_in_no_time():
    app, most = Pynenc(), 300

    @app.task(running_concurrency="task", running_limit=most)
    async def work(n, depth):
        await asyncio.sleep(1)
        return await work(n, depth - 1) if depth else n

    handles = [work(n, 2) for n in range(most)]
    for handle in handles:
        await outcome(handle)
    await assert_at_rest(app)
