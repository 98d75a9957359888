"""Registration concurrency: a second call while a first one is registered."""

import asyncio
import threading

import pytest
from helpers import Gate, S, assert_at_rest, assert_lawful, statuses, turns

from pynenc_async import (
    CancelOutcome,
    ConcurrencyControlType,
    ConcurrencyLimitError,
    InvocationCancelledError,
    Pynenc,
    ReusedInvocation,
)

ARGUMENTS, KEYS, TASK = ConcurrencyControlType.ARGUMENTS, ConcurrencyControlType.KEYS, ConcurrencyControlType.TASK


async def test_a_second_call_of_a_waiting_one_is_a_handle_to_the_first():
    app, ran = Pynenc(), []

    @app.task(registration_concurrency=ARGUMENTS)
    async def work(n):
        ran.append(n)
        return n

    first, second, other = work(1), work(1), work(2)
    assert isinstance(second, ReusedInvocation)
    assert second.original is first
    assert second == first
    assert hash(second) == hash(first)
    assert second.different_arguments == {}
    assert (second.invocation_id, second.call_id, second.app) == (first.invocation_id, first.call_id, app)
    assert [await second, await first, await other] == [1, 1, 2]
    assert second.result == 1
    assert second.history == first.history
    assert ran == [1, 2]
    await assert_at_rest(app)


async def test_once_the_first_has_started_a_call_is_new():
    app, gate = Pynenc(), Gate()

    @app.task(registration_concurrency=TASK)
    async def work():
        await gate.wait()

    first = work()
    await turns(2)
    assert first.status is S.RUNNING
    second = work()
    assert second is not first
    assert not isinstance(second, ReusedInvocation)
    gate.open()
    await first
    await second
    await assert_at_rest(app)


async def test_until_finished_it_stands_as_long_as_it_lives():
    app, gate = Pynenc(), Gate()

    @app.task(registration_concurrency=TASK, unique_until="finished", max_retries=1)
    async def work():
        await gate.wait()
        if first.num_retries == 0:
            raise ValueError

    first = work()
    await turns(3)
    assert work() == first
    gate.open()
    await first
    assert work() != first
    await turns(3)
    await assert_at_rest(app)


@pytest.mark.virtual
async def test_for_a_time_it_stands_even_after_its_end():
    app = Pynenc()

    @app.task(registration_concurrency=ARGUMENTS, unique_for=10)
    async def work(n):
        return n

    first = work(1)
    assert await first == 1
    await asyncio.sleep(9)
    again = work(1)
    assert again == first
    assert await again == 1
    assert work(2) != first
    await asyncio.sleep(2)
    assert work(1) != first
    await asyncio.sleep(20)
    assert len(app._dispatcher.scheduler.registry) == 0
    await assert_at_rest(app)


async def test_by_key_it_says_in_which_other_arguments_the_calls_differ():
    app = Pynenc()

    @app.task(registration_concurrency=KEYS, key_arguments=("user",))
    async def work(user, text, n=0):
        return text

    first = work("ann", "hello")
    second = work("ann", "bye", n=3)
    assert isinstance(second, ReusedInvocation)
    assert second.different_arguments == {"text": ("hello", "bye"), "n": (0, 3)}
    other = work("bob", "hello")
    assert other != first
    assert [await second, await other] == ["hello", "hello"]
    await assert_at_rest(app)


async def test_where_the_task_asks_for_it_different_arguments_raise_and_are_named():
    app = Pynenc()

    @app.task(registration_concurrency=KEYS, key_arguments="user", on_different_arguments_raise=True)
    async def work(user, text):
        return text

    first = work("ann", "hello")
    with pytest.raises(ConcurrencyLimitError, match="text: 'hello' there, 'bye' here") as caught:
        work("ann", "bye")
    assert caught.value.invocation_id == first.invocation_id
    assert work("ann", "hello") == first
    assert await first == "hello"
    await assert_at_rest(app)


async def test_a_duplicate_raises_where_the_task_asks_for_it_and_nothing_is_submitted():
    app = Pynenc()

    @app.task(registration_concurrency=TASK, on_duplicate="raise")
    async def work():
        return 1

    first = work()
    with pytest.raises(ConcurrencyLimitError, match="on_duplicate"):
        work()
    assert len(app.invocations()) == 1
    assert await first == 1
    assert await work() == 1
    await assert_at_rest(app)


async def test_a_duplicate_replaces_the_first_which_is_cancelled():
    app, ran = Pynenc(), []

    @app.task(registration_concurrency=KEYS, key_arguments="user", on_duplicate="replace")
    async def work(user, text):
        ran.append(text)
        return text

    handles = [work("ann", text) for text in "abc"]
    assert await handles[-1] == "c"
    assert ran == ["c"]
    for handle in handles[:-1]:
        with pytest.raises(InvocationCancelledError, match="replaced"):
            await handle
        assert_lawful(handle)
    await assert_at_rest(app)


async def test_a_skipped_duplicate_ends_at_once_and_says_of_what():
    app = Pynenc()

    @app.task(registration_concurrency=TASK, on_duplicate="skip")
    async def work():
        return 1

    first, second = work(), work()
    with pytest.raises(ConcurrencyLimitError, match=first.invocation_id):
        await second
    assert statuses(second) == [S.REGISTERED, S.CONCURRENCY_CONTROLLED_FINAL]
    assert_lawful(second)
    assert await first == 1
    await assert_at_rest(app)


async def test_in_a_group_duplicates_share_one_member():
    app, ran = Pynenc(), []

    @app.task(registration_concurrency=ARGUMENTS)
    async def work(n):
        ran.append(n)
        return n

    assert await work.parallelize([(1,), (2,), (1,), (1,)]) == [1, 2, 1, 1]
    assert sorted(ran) == [1, 2]
    assert sorted([result async for result in work.parallelize([(3,), (3,), (4,)])]) == [3, 3, 4]
    await assert_at_rest(app)


@pytest.mark.parametrize("window", [1, 3, 100])
@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_in_a_group_that_reads_its_source_a_duplicate_is_read_once(window, kind):
    app = Pynenc(max_concurrency=1)

    @app.task(registration_concurrency=ARGUMENTS)
    async def work(n):
        await asyncio.sleep(0)
        return n

    async def source():
        for n in (1, 1, 2, 1, 2, 3, 3):
            yield (n,)

    group = work.parallelize(
        source() if kind == "async" else iter([(n,) for n in (1, 1, 2, 1, 2, 3, 3)]), window=window
    )
    assert {result async for result in group} == {1, 2, 3}
    await assert_at_rest(app)


async def test_cancelling_a_reused_handle_cancels_the_original_and_leaving_its_block_does_not():
    app, gate = Pynenc(), Gate()

    @app.task(registration_concurrency=TASK, unique_until="finished")
    async def work():
        await gate.wait()

    first = work()
    await turns(2)
    async with work() as second:
        assert isinstance(second, ReusedInvocation)
    assert not first.status.is_final()
    assert await work().cancel() is CancelOutcome.STOPPED
    assert first.status is S.CANCELLED
    await assert_at_rest(app)


async def test_of_calls_from_many_threads_one_is_new():
    app, ran = Pynenc(), []

    @app.task(registration_concurrency=TASK, unique_until="finished")
    async def work():
        ran.append(1)
        await gate.wait()

    @app.task
    async def start():
        pass

    await start()
    gate, barrier, handles = Gate(), threading.Barrier(4), []

    def call():
        barrier.wait(30)
        handles.append(work())

    await asyncio.gather(*[asyncio.to_thread(call) for _ in range(4)])
    gate.open()
    for handle in handles:
        await handle
    assert len(set(handles)) == 1
    assert ran == [1]
    await assert_at_rest(app)


async def test_registrations_leave_nothing_behind():
    app = Pynenc()

    @app.task(registration_concurrency=ARGUMENTS, unique_until="finished")
    async def work(n):
        return n

    for n in range(100):
        await work(n)
    assert len(app._dispatcher.scheduler.registry) == 0
    await assert_at_rest(app)
