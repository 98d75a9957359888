"""Uses of one task with totals of their own: each waits until fewer run than its own total, and nobody who could run sleeps."""

import asyncio
from collections import Counter
from functools import partial

import pytest
from helpers import S, assert_at_rest, assert_lawful
from hypothesis import given, settings
from hypothesis import strategies as st

from pynenc_async import Pynenc
from pynenc_async.testing import VirtualLoop


def now():
    return asyncio.get_running_loop().time()


@pytest.mark.virtual
async def test_who_waits_for_a_low_total_keeps_no_other_key_asleep():
    app = Pynenc()

    @app.task(running_concurrency="keys", key_arguments="key", running_total=2)
    async def work(key, seconds):
        await asyncio.sleep(seconds)

    handles = [work("a", 1), work("b", 100), work.with_options(running_total=1)("c", 1), work("d", 1)]
    await handles[3]
    assert now() == 2
    await asyncio.gather(*[one.wait() for one in handles])
    await assert_at_rest(app)


@pytest.mark.virtual
@pytest.mark.parametrize("scope", [{}, {"running_concurrency": "task", "running_limit": 9}])
async def test_nor_anybody_behind_it(scope):
    app = Pynenc()

    @app.task(running_total=2, **scope)
    async def work(seconds):
        await asyncio.sleep(seconds)

    handles = [work(1), work(100), work.with_options(running_total=1)(1), work(1)]
    await handles[3]
    assert now() == 2
    await asyncio.gather(*[one.wait() for one in handles])
    assert now() == 101
    await assert_at_rest(app)


@pytest.mark.virtual
async def test_a_holder_that_awaits_one_who_would_wait_behind_a_low_total_does_not_hang():
    app, children = Pynenc(), []

    @app.task(running_concurrency="keys", key_arguments="key", running_total=2)
    async def work(key, seconds):
        await asyncio.sleep(seconds)
        if key == "parent":
            children.append(work("child", 1))
            await children[0]

    handles = [work("parent", 2), work("a", 3), work.with_options(running_total=1)("narrow", 1)]
    await asyncio.gather(*[one.wait() for one in handles])
    assert [one.status for one in (*handles, *children)] == [S.SUCCESS] * 4
    await assert_at_rest(app)


@pytest.mark.virtual
async def test_a_permit_of_a_key_that_a_low_total_cannot_use_goes_to_the_next_of_that_key():
    app = Pynenc()

    @app.task(running_concurrency="keys", key_arguments="key", running_total=5)
    async def work(key, seconds):
        await asyncio.sleep(seconds)

    handles = [work("a", 1)]
    handles += [work.with_options(running_total=total)("a", 1) for total in (2, 9)]
    handles += [work("b", 100), work("c", 100)]
    await handles[2]
    assert now() == 2
    await asyncio.gather(*[one.wait() for one in handles])
    await assert_at_rest(app)


CALLS = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.sampled_from((1, 2, 3, 5, None)),
        st.integers(1, 3),
        st.integers(0, 4),
        st.sampled_from((0, 0, 1)),
        st.sampled_from((False, False, False, True)),
    ),
    min_size=1,
    max_size=14,
)
"""Key, total, how many seconds it takes, when it is submitted, its priority, whether it is cancelled soon."""


@settings(max_examples=150, deadline=None)
@given(CALLS, st.sampled_from((None, 1, 2, 4)), st.sampled_from(("disabled", "keys", "task")), st.integers(1, 2))
def test_random_totals_keys_and_orders(calls, total, scope, limit):
    options = {"running_total": total}
    if scope == "disabled":  # a use without any limit is not counted with the others
        calls = [(key, own or 4, *others) for key, own, *others in calls]
    if scope != "disabled":
        options |= {"running_concurrency": scope, "running_limit": limit}
    if scope == "keys":
        options["key_arguments"] = "key"
    with asyncio.Runner(loop_factory=partial(VirtualLoop, seed=len(calls))) as runner:
        runner.run(_play(calls, options))


async def _play(calls, options):
    app, begun, handles = Pynenc(), {}, {}

    @app.task(**options)
    async def work(key, n, seconds):
        begun[n] = now()
        await asyncio.sleep(seconds)

    most, moment = 5 + sum(call[2] for call in calls), 0
    while moment < 5 or not all(one.status.is_final() for one in handles.values()):
        for n, (key, total, seconds, at, priority, _) in enumerate(calls):
            if at == moment:
                handles[n] = work.with_options(running_total=total, priority=priority)(key, n, seconds)
        await asyncio.sleep(0.5)
        _judge(calls, options, handles, [n for n in handles if begun.get(n) == moment])
        for n, one in handles.items():
            if calls[n][5] and calls[n][3] < moment and one.status is S.CONCURRENCY_CONTROLLED:
                await one.cancel()
        await asyncio.sleep(0.5)
        moment += 1
        assert moment <= most, "somebody sleeps for ever"
    for one in handles.values():
        assert_lawful(one)
    await assert_at_rest(app)


def _judge(calls, options, handles, fresh):
    """Between two moments: who has just begun was let in by its total, and who waits has a reason to."""
    running = [n for n, one in handles.items() if one.status is S.RUNNING]
    limit = options.get("running_limit", len(calls))
    groups = [calls[n][0] if options.get("running_concurrency") == "keys" else None for n in range(len(calls))]
    totals = [len(calls) if call[1] is None else call[1] for call in calls]
    in_group = Counter(groups[n] for n in running)
    assert all(count <= limit for count in in_group.values())
    before = len(running) - len(fresh)
    for place, n in enumerate(sorted(fresh, key=totals.__getitem__)):
        assert before + place < totals[n]
    for n, one in handles.items():
        if one.status is S.CONCURRENCY_CONTROLLED:
            assert len(running) >= totals[n] or in_group[groups[n]] >= limit
