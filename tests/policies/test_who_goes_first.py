"""Who goes first: levels and their ageing, first come first served, fair turns of keys, and nobody overlooked."""

import asyncio
import threading
import time
from collections import Counter, defaultdict

import pytest
from helpers import Gate, S, assert_at_rest, assert_lawful, examples, turns
from hypothesis import given, settings
from hypothesis import strategies as st

from pynenc_async import ConcurrencyControlType, Pynenc, Rate, RetryError, current_invocation
from pynenc_async.testing import run

KEYS, TASK, ARGUMENTS = ConcurrencyControlType.KEYS, ConcurrencyControlType.TASK, ConcurrencyControlType.ARGUMENTS


def now():
    return asyncio.get_running_loop().time()


# -- levels ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@settings(deadline=None, max_examples=examples(40))
@given(
    level=st.integers(1, 4),
    ageing=st.sampled_from([1, 3, 10]),
    place=st.sampled_from(["slot", "limit", "key"]),
    arrives=st.sampled_from([0, 2, 7]),
)
def test_a_low_level_waits_no_longer_than_its_ageing_however_many_come_above(level, ageing, place, arrives):
    app, begun = Pynenc(max_concurrency=1 if place == "slot" else None, ageing_seconds=ageing), []
    limits = {"slot": {}, "limit": {"running_total": 1}, "key": {"running_concurrency": "keys", "key_arguments": "key"}}

    @app.task(**limits[place])
    async def work(key, name, submitted):
        begun.append((name, submitted))
        await asyncio.sleep(1)

    async def main():
        handles = []
        for n in range(arrives + (level + 3) * ageing + 3):
            if n == arrives:
                handles.append(work("k", "low", now()))
            handles += [work.with_options(priority=level)("k", "high", now()) for _ in range(2)]
            await asyncio.sleep(1)
        for handle in handles:
            await handle
        await assert_at_rest(app)

    run(main)
    position = next(index for index, (name, _) in enumerate(begun) if name == "low")
    submitted = begun[position][1]
    assert all(moment <= submitted + (level + 1.1) * ageing + 1 for _, moment in begun[:position])


def test_bodies_in_threads_age_too():
    app, begun, stop = Pynenc(max_threads=1, ageing_seconds=0.05), [], threading.Event()

    @app.task
    def work(name):
        begun.append(name)
        time.sleep(0.001)  # the time that it takes is the point

    async def keep_coming():
        high, handles = work.with_options(priority=1), []
        while not stop.is_set():
            handles += [high("high") for _ in range(5)]
            await handles[-5]
        for handle in handles:
            await handle

    async def main():
        coming = asyncio.ensure_future(keep_coming())
        await asyncio.sleep(0.01)
        low = work("low")
        async with asyncio.timeout(20):
            await low
        stop.set()
        await coming
        assert begun[-1] == "high"
        await assert_at_rest(app)

    asyncio.run(main())


async def test_what_waits_for_a_thread_does_not_go_before_what_is_above_it():
    app, order = Pynenc(max_concurrency=2, max_threads=1), []
    gate, slot = Gate(), Gate()

    @app.task
    def low(n):
        order.append(n)
        gate.block()

    @app.task(priority=5)
    async def high():
        order.append("high")

    @app.task
    async def hold():
        await slot.wait()

    handles = [low(1), low(2)]
    await turns(20)
    handles.append(hold())
    await turns(20)
    handles.append(high())
    gate.open()
    for handle in (handles[0], handles[1], handles[3]):
        await handle
    slot.open()
    await handles[2]
    assert order == [1, "high", 2]
    await assert_at_rest(app)


# -- first come, first served ------------------------------------------------------------------------------------------

ARRIVALS = st.lists(
    st.tuples(st.sampled_from([0, 0, 0.5, 1, 3]), st.sampled_from([0, 0.3, 1, 2]), st.integers(0, 2)),
    min_size=1,
    max_size=25,
)


@settings(deadline=None, max_examples=examples(60))
@given(arrivals=ARRIVALS, slots=st.integers(1, 3), place=st.sampled_from(["slots", "limit"]))
def test_within_a_level_who_came_first_begins_first(arrivals, slots, place):
    options = {"max_concurrency": slots} if place == "slots" else {}
    app, begun = Pynenc(ageing_seconds=None, **options), []

    @app.task(running_total=None if place == "slots" else slots)
    async def work(number, seconds):
        begun.append(number)
        await asyncio.sleep(seconds)

    levels = []

    async def main():
        handles = []
        for number, (pause, seconds, level) in enumerate(arrivals):
            await asyncio.sleep(pause)
            levels.append(level)
            handles.append(work.with_options(priority=level)(number, seconds))
        for handle in handles:
            await handle
        await assert_at_rest(app)

    run(main)
    for level in set(levels):
        mine = [number for number in begun if levels[number] == level]
        assert mine == sorted(mine)


@pytest.mark.virtual
async def test_who_gets_a_permit_goes_before_those_who_came_later_and_after_those_who_came_earlier():
    app, order = Pynenc(max_concurrency=1), []
    gate = Gate()

    @app.task(rate_limit=Rate(1, burst=1))
    async def limited(n):
        order.append(n)

    @app.task
    async def plain(n):
        order.append(n)

    @app.task
    async def hold():
        await gate.wait()

    await limited(0)
    held = hold()
    await turns(3)
    handles = [plain(1), limited(2), plain(3)]
    await asyncio.sleep(5)
    assert handles[1].status is S.REROUTED
    gate.open()
    for handle in (held, *handles):
        await handle
    assert order == [0, 1, 2, 3]
    await assert_at_rest(app)


@pytest.mark.virtual
@pytest.mark.parametrize("kind", ["retried", "delayed", "limited"])
@pytest.mark.parametrize("way", ["await", "group", "thread"])
async def test_what_a_body_awaits_goes_ahead_also_when_it_could_not_be_queued_at_first(kind, way):
    app, order = Pynenc(max_concurrency=1), []

    @app.task(max_retries=1, running_total=1)
    async def child():
        if kind == "retried" and current_invocation().num_retries == 0:
            raise RetryError

    async def in_loop():
        calling = child.with_options(delay=1 if kind == "delayed" else 0)
        await (calling.parallelize([()]) if way == "group" else calling())
        order.append("parent")

    def in_thread():
        child.with_options(delay=1 if kind == "delayed" else 0)().result  # noqa: B018
        order.append("parent")

    @app.task
    async def other(n):
        order.append(n)
        await asyncio.sleep(0.3)

    task = app.task(in_thread if way == "thread" else in_loop)
    first = child() if kind == "limited" else other(-1)
    parent = task()
    await turns(1)
    handles = [other(n) for n in range(20)]
    await parent
    assert order.index("parent") < 8
    for handle in (first, *handles):
        await handle
    await assert_at_rest(app)


# -- keys --------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@settings(deadline=None, max_examples=examples(60))
@given(
    counts=st.lists(st.integers(1, 12), min_size=1, max_size=6),
    limit=st.integers(1, 3),
    total=st.integers(1, 4),
    hot_first=st.booleans(),
    slots=st.booleans(),
)
def test_no_key_waits_more_than_its_fair_share_and_one_body(counts, limit, total, hot_first, slots):
    """What is shared is the total, or the slots of the app; each body takes a second."""
    counts = sorted(counts, reverse=hot_first)
    app, starts = Pynenc(max_concurrency=total if slots else None), defaultdict(list)
    common = {} if slots else {"running_total": total}

    @app.task(running_concurrency="keys", key_arguments="key", running_limit=limit, **common)
    async def work(key):
        starts[key].append(now())
        await asyncio.sleep(1)

    async def main():
        handles = [work(key) for key, count in enumerate(counts) for _ in range(count)]
        for handle in handles:
            await handle
        await assert_at_rest(app)

    run(main)
    for moments in starts.values():
        for nth, moment in enumerate(moments, start=1):
            turn = -(-nth // limit) * limit if slots else nth  # who takes a slot takes all the permits of its key
            share = sum(min(count, turn) for count in counts) / total
            # As in Graham's bound: its own bodies cannot all run at once, even when nobody else is left.
            assert moment <= share + nth / limit * (1 - 1 / total) + 1 + 1e-6


@settings(deadline=None, max_examples=examples(60))
@given(
    calls=st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"), st.sampled_from([0, 0.5, 3])), min_size=1, max_size=25
    ),
    scopes=st.sampled_from([(TASK, KEYS), (KEYS, TASK), (KEYS, ARGUMENTS), (ARGUMENTS, KEYS), (TASK, ARGUMENTS)]),
    limit=st.integers(1, 3),
    total=st.sampled_from([None, 2]),
)
def test_limits_and_rates_that_count_by_different_keys_hold_together_and_nobody_waits_for_nothing(
    calls, scopes, limit, total
):
    running, counted = scopes
    app, inside, starts = Pynenc(), Counter(), defaultdict(list)

    def key(scope, one, other):
        return {TASK: None, KEYS: one, ARGUMENTS: (one, other)}[scope]

    @app.task(
        running_concurrency=running,
        running_limit=limit,
        running_total=total,
        rate_limit=Rate(1, per=10, burst=2, scope=counted),
        **({"key_arguments": "one"} if KEYS in scopes else {}),
    )
    async def work(one, other):
        mine = key(running, one, other)
        inside[mine] += 1
        assert inside[mine] <= limit
        assert total is None or inside.total() <= total
        starts[key(counted, one, other)].append(now())
        await asyncio.sleep(1)
        inside[mine] -= 1

    async def main():
        handles = []
        for one, other, pause in calls:
            await asyncio.sleep(pause)
            handles.append(work(one, other))
        for handle in handles:
            await handle
            assert_lawful(handle)
        await assert_at_rest(app)
        turns = work.limiter._turns
        assert (turns.lines, turns.are_some, turns._parked) == ({}, False, {})

    run(main)
    for moments in starts.values():
        for first in range(len(moments) - 2):
            assert moments[first + 2] - moments[first] >= 10 - 1e-6


@pytest.mark.virtual
async def test_a_key_that_waits_for_its_rate_holds_up_no_other_at_the_same_limit():
    app, moments = Pynenc(), defaultdict(list)

    @app.task(running_concurrency=TASK, running_limit=2, rate_limit=Rate(1, per=60, scope=KEYS), key_arguments="user")
    async def work(user):
        moments[user].append(now())
        await asyncio.sleep(1)

    handles = [work("hot") for _ in range(5)] + [work(f"cold {n}") for n in range(5)]
    for handle in handles:
        await handle
    assert moments["hot"] == pytest.approx([0, 60, 120, 180, 240])
    assert all(moments[f"cold {n}"][0] <= 3 for n in range(5))
    await assert_at_rest(app)
