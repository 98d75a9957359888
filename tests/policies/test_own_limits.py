"""Uses of one task with limits of their own: each waits until there is room for it, and holds up nobody else."""

import asyncio
from collections import Counter
from functools import partial

import pytest
from helpers import S, assert_at_rest, assert_lawful, examples
from hypothesis import given, settings
from hypothesis import strategies as st

from pynenc_async import Pynenc, Rate
from pynenc_async.testing import VirtualLoop

SCOPES = [
    {"running_concurrency": "task"},
    {"running_concurrency": "keys", "key_arguments": "key"},
    {"running_concurrency": "task", "rate_limit": Rate(100, scope="keys"), "key_arguments": "key"},
]


def now():
    return asyncio.get_running_loop().time()


def build(**options):
    app = Pynenc()

    @app.task(**options)
    async def work(key, seconds, *children):
        await asyncio.sleep(seconds)
        for child in children:
            await child("k", 1)

    return app, work


async def all_succeed(app, handles):
    await asyncio.gather(*[one.wait() for one in handles])
    assert {one.status for one in handles} == {S.SUCCESS}
    await assert_at_rest(app)


@pytest.mark.virtual
@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("priority", [0, 1])
async def test_a_use_that_waits_for_a_low_limit_holds_up_none_that_comes_later(scope, priority):
    app, work = build(running_limit=5, **scope)
    narrow = work.with_options(running_limit=1, priority=priority)
    handles = [work("k", 10), narrow("k", 1), work("k", 1)]
    assert [one.status for one in handles] == [S.REGISTERED, S.CONCURRENCY_CONTROLLED, S.REGISTERED]
    await handles[2]
    assert now() == pytest.approx(1, abs=0.1)
    await handles[1]
    assert now() == pytest.approx(11, abs=0.1)
    await all_succeed(app, handles)


@pytest.mark.virtual
@pytest.mark.parametrize("scope", SCOPES)
async def test_a_permit_that_a_low_limit_cannot_use_goes_to_a_higher_one_that_waits(scope):
    app, work = build(running_limit=2, **scope)
    narrow, wide = work.with_options(running_limit=1), work.with_options(running_limit=3)
    handles = [work("k", 1), work("k", 100), wide("k", 100), narrow("k", 1), work("k", 1), wide("k", 1)]
    await handles[5]
    assert now() == pytest.approx(2, abs=0.1)
    assert handles[4].status is S.CONCURRENCY_CONTROLLED
    await handles[4]
    assert now() == pytest.approx(101, abs=0.1)
    await all_succeed(app, handles)


@pytest.mark.virtual
@pytest.mark.parametrize("scope", SCOPES)
async def test_a_holder_may_await_a_call_that_has_room_while_a_low_limit_waits_for_that_holder(scope):
    app, work = build(running_limit=5, **scope)
    parent = work("k", 2, work)
    await asyncio.sleep(1)
    handles = [parent, work.with_options(running_limit=1)("k", 1)]
    await parent
    assert now() == pytest.approx(3, abs=0.1)
    await all_succeed(app, handles)


@pytest.mark.virtual
async def test_within_one_limit_of_its_own_they_go_in_order():
    app, work = build(running_concurrency="task", running_limit=5)
    narrow = work.with_options(running_limit=1)
    handles = [work("k", 1), *[narrow("k", 1) for _ in range(3)]]
    for moment, one in enumerate(handles, 1):
        await one
        assert now() == moment
    await all_succeed(app, handles)


@pytest.mark.virtual
async def test_a_use_without_a_limit_does_not_wait_behind_those_that_have_one():
    app, work = build(running_concurrency="task", rate_limit=Rate(100))
    handles = [work("k", 10), work("k", 1), work.with_options(running_concurrency="disabled")("k", 1)]
    await handles[2]
    assert now() == pytest.approx(1, abs=0.1)
    await all_succeed(app, handles)


@pytest.mark.virtual
@pytest.mark.parametrize("scope", ["task", "keys"])
async def test_a_use_with_a_slow_rate_holds_up_none_with_another_and_takes_nothing_from_it(scope):
    keys = {"key_arguments": "key"} if scope == "keys" else {}
    app, work = build(rate_limit=Rate(10, burst=1, scope=scope), **keys)
    slow = work.with_options(rate_limit=Rate(1, per=60, scope=scope))
    handles = [slow("k", 0), slow("k", 0), work("k", 0), work("k", 0)]
    await handles[3]
    assert now() == pytest.approx(0.1, abs=0.01)
    await handles[1]
    assert now() == pytest.approx(60, abs=0.1)
    await all_succeed(app, handles)


@pytest.mark.virtual
async def test_a_use_that_waits_for_a_rate_holds_up_none_that_has_no_rate():
    app, work = build(running_concurrency="task", running_limit=3, rate_limit=Rate(1, per=60))
    handles = [work("k", 1), work("k", 1), work.with_options(rate_limit=None)("k", 1)]
    await handles[2]
    assert now() == 1
    await all_succeed(app, handles)


CALLS = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.sampled_from((1, 2, 3, 5, None)),
        st.sampled_from((1, 1, 2, 4)),
        st.integers(1, 3),
        st.integers(0, 4),
        st.sampled_from((0, 0, 1)),
        st.sampled_from((False, False, False, True)),
    ),
    min_size=1,
    max_size=14,
)
"""Key, total, limit, how many seconds it takes, when it is submitted, its priority, whether it is cancelled soon."""


@pytest.mark.slow
@settings(max_examples=examples(150), deadline=None)
@given(CALLS, st.sampled_from((None, 1, 2, 4)), st.sampled_from(("disabled", "keys", "task")), st.integers(1, 2))
def test_random_limits_keys_and_orders(calls, total, scope, limit):
    options = {"running_total": total}
    if scope == "disabled":  # a use without any limit is not counted with the others
        calls = [(key, total or 4, *others) for key, total, *others in calls]
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

    most, moment = 5 + sum(call[3] for call in calls), 0
    while moment < 5 or not all(one.status.is_final() for one in handles.values()):
        for n, (key, total, limit, seconds, at, priority, _) in enumerate(calls):
            if at == moment:
                narrow = {"running_limit": limit} if "running_concurrency" in options else {}
                use = work.with_options(running_total=total, priority=priority, **narrow)
                handles[n] = use(key, n, seconds)
        await asyncio.sleep(0.5)
        _judge(calls, options, handles, [n for n in handles if begun.get(n) == moment])
        for n, one in handles.items():
            if calls[n][6] and calls[n][4] < moment and one.status is S.CONCURRENCY_CONTROLLED:
                await one.cancel()
        await asyncio.sleep(0.5)
        moment += 1
        assert moment <= most, "somebody sleeps for ever"
    for one in handles.values():
        assert_lawful(one)
    await assert_at_rest(app)


def _judge(calls, options, handles, fresh):
    """Between two moments: who has just begun was let in by its limits, and who waits has a reason to."""
    running = [n for n, one in handles.items() if one.status is S.RUNNING]
    scope = options.get("running_concurrency")
    groups = [call[0] if scope == "keys" else None for call in calls]
    totals = [len(calls) if call[1] is None else call[1] for call in calls]
    limits = [len(calls) if scope is None else call[2] for call in calls]
    in_group = Counter(groups[n] for n in running)
    before, in_group_before = len(running) - len(fresh), in_group - Counter(groups[n] for n in fresh)
    for place, n in enumerate(sorted(fresh, key=totals.__getitem__)):
        assert before + place < totals[n]
    for n in sorted(fresh, key=limits.__getitem__):
        assert in_group_before[groups[n]] < limits[n]
        in_group_before[groups[n]] += 1
    for n, one in handles.items():
        if one.status is S.CONCURRENCY_CONTROLLED:
            assert len(running) >= totals[n] or in_group[groups[n]] >= limits[n]
