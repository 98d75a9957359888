"""Running concurrency: how many run together, who waits, in which order, and who is dropped."""

import asyncio
from collections import Counter

import pytest
from helpers import Gate, S, assert_at_rest, assert_lawful, statuses, turns

from pynenc_async import (
    ConcurrencyControlType,
    ConcurrencyLimitError,
    CycleDetectedError,
    InvalidTaskOptionsError,
    InvocationCancelledError,
    Pynenc,
    RetryError,
    current_invocation,
)

TASK, ARGUMENTS, KEYS = ConcurrencyControlType.TASK, ConcurrencyControlType.ARGUMENTS, ConcurrencyControlType.KEYS


class Crowd:
    """Counts who is inside, in total and by key."""

    def __init__(self):
        self.inside, self.most, self.order = Counter(), Counter(), []

    def __call__(self, key):
        self.key = key
        return _Visit(self, key)


class _Visit:
    def __init__(self, crowd, key):
        self.crowd, self.key = crowd, key

    def __enter__(self):
        crowd = self.crowd
        crowd.order.append(self.key)
        for key in (self.key, "all"):
            crowd.inside[key] += 1
            crowd.most[key] = max(crowd.most[key], crowd.inside[key])

    def __exit__(self, *_):
        for key in (self.key, "all"):
            self.crowd.inside[key] -= 1


def build(**options):
    app, crowd = Pynenc(max_concurrency=options.pop("slots", 100)), Crowd()

    @app.task(**options)
    async def work(key, n=0):
        with crowd(key):
            for _ in range(3):
                await asyncio.sleep(0)
        return n

    return app, work, crowd


async def test_the_limit_of_a_task_holds_and_all_get_through_in_order():
    app, work, crowd = build(running_concurrency=TASK, running_limit=3)
    handles = [work("k", n) for n in range(20)]
    assert [handle.status for handle in handles] == [S.REGISTERED] * 3 + [S.CONCURRENCY_CONTROLLED] * 17
    assert [await handle for handle in handles] == list(range(20))
    assert crowd.most["all"] == 3
    waited = statuses(handles[-1])
    assert waited == [S.REGISTERED, S.CONCURRENCY_CONTROLLED, S.REROUTED, S.PENDING, S.RUNNING, S.SUCCESS]
    assert "running_limit=3" in handles[-1].history[1].reason
    for handle in handles:
        assert_lawful(handle)
    await assert_at_rest(app)


async def test_by_arguments_equal_calls_exclude_each_other_and_1_is_not_true_nor_text():
    app, work, crowd = build(running_concurrency=ARGUMENTS)
    await asyncio.gather(*[work(key).wait() for key in (1, "1", True, 1.0, 1, "1", None, None)])
    assert crowd.most["all"] == 5
    await assert_at_rest(app)


async def test_by_key_each_key_has_its_limit_and_all_together_the_total():
    app, work, crowd = build(running_concurrency=KEYS, key_arguments="key", running_limit=2, running_total=5)
    handles = [work(key, n) for n in range(10) for key in "abcd"]
    await asyncio.gather(*[handle.wait() for handle in handles])
    assert {key: crowd.most[key] for key in "abcd"} == dict.fromkeys("abcd", 2)
    assert crowd.most["all"] == 5
    await assert_at_rest(app)


async def test_a_total_may_stand_alone():
    app, work, crowd = build(running_total=2)
    await work.parallelize([(n,) for n in range(9)])
    assert crowd.most["all"] == 2
    await assert_at_rest(app)


async def test_a_hot_key_starves_no_other():
    app, work, crowd = build(running_concurrency=KEYS, key_arguments="key", running_limit=1, running_total=1)
    handles = [work("hot", n) for n in range(100)] + [work(f"cold {n}") for n in range(9)]
    await asyncio.gather(*[handle.wait() for handle in handles])
    assert crowd.order[0] == "hot"
    assert set(crowd.order[1:11]) == {"hot", *(f"cold {n}" for n in range(9))}
    await assert_at_rest(app)


async def test_one_that_waits_holds_no_slot():
    app, work, _ = build(running_concurrency=TASK, slots=2)

    @app.task
    async def free():
        return "through"

    handles = [work("k") for _ in range(5)]
    assert await free() == "through"
    await asyncio.gather(*[handle.wait() for handle in handles])
    await assert_at_rest(app)


async def test_within_a_key_higher_priority_goes_first():
    app, work, _ = build(running_concurrency=TASK)
    handles = [work.with_options(priority=level)("k", level) for level in (0, 1, 5, 3)]
    ended = [handle.result async for handle in _as_they_end(handles)]
    assert ended == [0, 5, 3, 1]
    await assert_at_rest(app)


async def _as_they_end(handles):
    waiting = {asyncio.ensure_future(handle.wait()): handle for handle in handles}
    while waiting:
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for one in done:
            yield waiting.pop(one)


async def test_the_limit_holds_in_batches_and_for_other_uses_of_the_task():
    app, work, crowd = build(running_concurrency=KEYS, key_arguments=("key",), running_limit=2)
    groups = [work.parallelize([(key, n) for n in range(6) for key in "ab"])]
    groups.append(work.with_options(priority=3).parallelize([(key, n) for n in range(6) for key in "ab"]))
    for group in groups:
        assert sorted([result async for result in group]) == sorted(list(range(6)) * 2)
    assert (crowd.most["a"], crowd.most["b"]) == (2, 2)
    await assert_at_rest(app)


async def test_the_limit_holds_in_retries_which_wait_like_everybody_and_stay_retries():
    app, crowd = Pynenc(), Crowd()

    @app.task(running_concurrency=TASK, running_limit=2, max_retries=3)
    async def work(n):
        with crowd("k"):
            await asyncio.sleep(0)
            if current_invocation().num_retries < n % 4:
                raise RetryError
        return n

    handles = [work(n) for n in range(20)]
    assert [await handle for handle in handles] == list(range(20))
    assert crowd.most["all"] == 2
    assert [handle.num_retries for handle in handles] == [n % 4 for n in range(20)]
    for handle in handles:
        assert_lawful(handle)
    await assert_at_rest(app)


@pytest.mark.virtual
async def test_a_retry_that_waits_for_its_delay_lets_others_through():
    app, began = Pynenc(), []

    @app.task(running_concurrency=TASK, max_retries=1, retry_delay=10)
    async def work(n):
        began.append((n, asyncio.get_running_loop().time()))
        if n == 0 and current_invocation().num_retries == 0:
            raise LookupError

    await asyncio.gather(*[work(n).wait() for n in range(3)])
    assert began == [(0, 0), (1, 0), (2, 0), (0, 10)]
    await assert_at_rest(app)


async def test_threads_keep_to_the_limit_too():
    app, crowd = Pynenc(max_threads=4), Crowd()

    @app.task(running_concurrency=KEYS, key_arguments="key", running_limit=1)
    def work(key):
        with crowd(key):
            pass

    await work.parallelize([(key,) for _ in range(20) for key in "ab"])
    assert (crowd.most["a"], crowd.most["b"]) == (1, 1)
    await assert_at_rest(app)


async def test_one_that_was_cancelled_while_it_waited_frees_its_turn():
    app, gate, ran = Pynenc(), Gate(), []

    @app.task(running_concurrency=TASK)
    async def work(n):
        ran.append(n)
        await gate.wait()

    handles = [work(n) for n in range(5)]
    await turns(2)
    for handle in handles[1:4]:
        await handle.cancel()
        assert statuses(handle) == [S.REGISTERED, S.CONCURRENCY_CONTROLLED, S.CANCELLED]
    await handles[0].cancel()
    gate.open()
    await handles[4]
    assert ran == [0, 4]
    await assert_at_rest(app)


async def test_a_permit_that_a_queued_one_has_got_is_free_again_when_that_is_cancelled():
    app, gate = Pynenc(max_concurrency=1), Gate()

    @app.task
    async def block():
        await gate.wait()

    @app.task(running_concurrency=TASK)
    async def work(n):
        return n

    busy, first, second = block(), work(1), work(2)
    await turns(2)
    assert (first.status, second.status) == (S.REGISTERED, S.CONCURRENCY_CONTROLLED)
    await first.cancel()
    assert second.status is S.REROUTED
    gate.open()
    await busy
    assert await second == 2
    await assert_at_rest(app)


async def test_dropped_ones_end_at_once_and_say_which_rule_dropped_them():
    app, work, _ = build(running_concurrency=KEYS, key_arguments="key", on_limit="drop")
    handles = [work("a", 1), work("a", 2), work("b", 3)]
    with pytest.raises(ConcurrencyLimitError, match=r"running_limit=1 of task .*work with key='a'"):
        await handles[1]
    assert statuses(handles[1]) == [S.REGISTERED, S.CONCURRENCY_CONTROLLED_FINAL]
    assert_lawful(handles[1])
    assert [await handles[0], await handles[2]] == [1, 3]
    assert await work("a", 4) == 4
    await assert_at_rest(app)


async def test_a_parent_that_awaits_a_child_for_which_it_holds_the_only_permit_is_told():
    app = Pynenc(max_concurrency=1)

    @app.task(running_concurrency=TASK)
    async def work(n):
        return await work(n - 1) if n else 0

    with pytest.raises(CycleDetectedError, match="running_limit"):
        await work(3)
    await assert_at_rest(app)


async def test_so_is_one_further_down_the_line():
    app = Pynenc()

    @app.task(running_concurrency=KEYS, key_arguments="key", running_limit=2)
    async def limited(key, n):
        return await between(key, n - 1) if n else 0

    @app.task
    async def between(key, n):
        return await limited(key, n)

    assert await limited("a", 1) == 0
    with pytest.raises(CycleDetectedError):
        await limited("a", 5)
    await assert_at_rest(app)


async def test_a_parent_that_shares_the_limit_with_others_waits_for_them():
    app = Pynenc()

    @app.task(running_concurrency=TASK, running_limit=2)
    async def work(n):
        await asyncio.sleep(0)
        return await work(n - 1) if n else 0

    handles = [work(1), work(0)]
    assert [await handle for handle in handles] == [0, 0]
    await assert_at_rest(app)


async def test_at_the_end_of_the_app_what_waits_for_a_limit_is_drained():
    app, work, crowd = build(running_concurrency=TASK)
    async with app:
        handles = [work("k", n) for n in range(10)]
    assert [handle.result for handle in handles] == list(range(10))
    assert crowd.most["all"] == 1


async def test_a_storm_of_cancellations_leaves_the_limit_intact():
    app, work, crowd = build(running_concurrency=KEYS, key_arguments="key", running_limit=2)
    handles = [work(key, n) for n in range(50) for key in "ab"]
    await turns(2)
    for handle in handles[::2]:
        await handle.cancel()
    for handle in handles:
        with_error = handle.status is S.CANCELLED
        if with_error:
            with pytest.raises(InvocationCancelledError):
                await handle
        else:
            await handle
    assert max(crowd.most["a"], crowd.most["b"]) <= 2
    assert await work("a", 7) == 7
    await assert_at_rest(app)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"running_concurrency": "sometimes"}, "running_concurrency"),
        ({"running_limit": 0}, "running_limit"),
        ({"running_limit": True}, "running_limit"),
        ({"running_total": 0}, "running_total"),
        ({"running_concurrency": "keys"}, "key_arguments"),
        ({"running_concurrency": "keys", "key_arguments": "nobody"}, "nobody"),
        ({"rate_limit": 5}, "rate_limit"),
        ({"on_limit": "explode"}, "on_limit"),
    ],
)
def test_wrong_limits_are_refused_and_named(options, named):
    async def work(key):
        pass

    with pytest.raises(InvalidTaskOptionsError, match=named) as caught:
        Pynenc().task(**options)(work)
    assert "work" in str(caught.value)
