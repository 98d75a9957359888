"""Rate limits: so many starts in a period."""

import asyncio
from collections import defaultdict

import pytest
from helpers import S, assert_at_rest, assert_lawful, examples
from hypothesis import given, settings
from hypothesis import strategies as st

from pynenc_async import ConcurrencyControlType, ConcurrencyLimitError, InvalidTaskOptionsError, Pynenc, Rate
from pynenc_async.testing import run

KEYS = ConcurrencyControlType.KEYS


def build(**options):
    app, starts = Pynenc(), []

    @app.task(**options)
    async def work(key="k"):
        starts.append((key, asyncio.get_running_loop().time()))

    return app, work, starts


@pytest.mark.virtual
@pytest.mark.parametrize(
    ("rate", "moments"),
    [
        (Rate(1), [0, 1, 2, 3, 4]),
        (Rate(1, per=10), [0, 10, 20, 30, 40]),
        (Rate(2, burst=1), [0, 0.5, 1, 1.5, 2]),
        (Rate(2), [0, 0, 1, 1, 2]),
        (Rate(2, burst=2), [0, 0, 0.5, 1, 1.5]),
        (Rate(0.5), [0, 2, 4, 6, 8]),
        (Rate(2.5, burst=1), [0, 0.4, 0.8, 1.2, 1.6]),
        (Rate(1, burst=4), [0, 0, 0, 0, 1]),
    ],
)
async def test_starts_are_as_far_apart_as_the_rate_says(rate, moments):
    app, work, starts = build(rate_limit=rate)
    handles = [work() for _ in moments]
    await asyncio.gather(*[handle.wait() for handle in handles])
    assert [moment for _, moment in starts] == pytest.approx(moments, abs=1e-6)
    for handle in handles:
        assert_lawful(handle)
    await assert_at_rest(app)


@pytest.mark.virtual
async def test_each_key_has_a_rate_of_its_own():
    app, work, starts = build(rate_limit=Rate(1, scope=KEYS), key_arguments="key")
    await asyncio.gather(*[work(key).wait() for key in "aabbc"])
    assert sorted(starts) == [("a", 0), ("a", 1), ("b", 0), ("b", 1), ("c", 0)]
    await assert_at_rest(app)


@pytest.mark.virtual
async def test_a_quiet_time_is_worth_no_more_than_the_burst():
    app, work, starts = build(rate_limit=Rate(1, burst=2))
    await asyncio.sleep(100)
    await asyncio.gather(*[work().wait() for _ in range(4)])
    assert [moment - 100 for _, moment in starts] == pytest.approx([0, 0, 1, 2])
    await assert_at_rest(app)


@pytest.mark.virtual
async def test_a_rate_and_a_running_limit_hold_together():
    app, starts = Pynenc(), []

    @app.task(rate_limit=Rate(10), running_concurrency="task", running_limit=2)
    async def work():
        starts.append(asyncio.get_running_loop().time())
        await asyncio.sleep(1)

    await asyncio.gather(*[work().wait() for _ in range(6)])
    assert starts == pytest.approx([0, 0, 1, 1, 2, 2])
    await assert_at_rest(app)


@pytest.mark.virtual
async def test_dropped_ones_say_so_and_a_later_one_gets_through():
    app, work, _ = build(rate_limit=Rate(1), on_limit="drop")
    handles = [work(), work()]
    await handles[0]
    with pytest.raises(ConcurrencyLimitError, match="rate_limit=1 in 1 s"):
        await handles[1]
    assert handles[1].status is S.CONCURRENCY_CONTROLLED_FINAL
    await asyncio.sleep(1)
    await work()
    await assert_at_rest(app)


@pytest.mark.virtual
async def test_one_that_is_cancelled_while_it_waits_takes_nobodys_turn():
    app, work, starts = build(rate_limit=Rate(1))
    handles = [work() for _ in range(4)]
    await handles[1].cancel()
    await handles[2].cancel()
    await handles[3]
    assert [moment for _, moment in starts] == pytest.approx([0, 1])
    await assert_at_rest(app)


@pytest.mark.virtual
async def test_a_body_may_await_a_call_that_waits_for_the_same_rate():
    app = Pynenc()

    @app.task(rate_limit=Rate(1))
    async def work(n):
        return await work(n - 1) if n else asyncio.get_running_loop().time()

    assert await work(3) == pytest.approx(3)
    await assert_at_rest(app)


@pytest.mark.slow
@pytest.mark.virtual
@pytest.mark.parametrize("limit", [{}, {"running_concurrency": "keys", "key_arguments": "key"}])
async def test_however_many_wait_for_a_rate_they_share_one_timer(limit):
    app, work, starts = build(rate_limit=Rate(10, burst=1), **limit)
    handles = [work(n % 7) for n in range(300)]
    most = 0
    while not all(handle.status.is_final() for handle in handles):
        most = max(most, len(app._dispatcher.scheduler.agenda))
        await asyncio.sleep(0.05)
    assert most == 1
    assert [moment for _, moment in starts] == pytest.approx([n / 10 for n in range(300)], abs=1e-4)
    await assert_at_rest(app)


@pytest.mark.slow
@pytest.mark.virtual
async def test_many_keys_that_came_once_are_forgotten():
    app, work, _ = build(rate_limit=Rate(100, scope=KEYS), key_arguments="key")
    for n in range(5_000):
        await work(n)
    await asyncio.sleep(10)
    for n in range(5_000):
        await work(-n)
    assert len(app._dispatcher.scheduler.limiter_of(work.task_id)._buckets) <= 5_000
    await assert_at_rest(app)


def evenly(rate, arrivals):
    """When starts are due that are spread evenly, after `burst` at once."""
    expected, full_at = [], 0.0
    for moment in sorted(arrivals):
        start = max(moment, full_at - (rate.burst - 1) * rate.interval)
        full_at = max(full_at, start) + rate.interval
        expected.append(start)
    return expected


def in_any_window(rate, arrivals):
    """When starts are due of which no window may see more than `count`."""
    count, window = max(1, int(rate.count)), max(rate.per, rate.per / rate.count)
    expected = []
    for moment in sorted(arrivals):
        expected.append(
            max([moment, *expected[-1:], *[one + window for one in expected[-count:][: len(expected) >= count]]])
        )
    return expected


@pytest.mark.slow
@settings(deadline=None, max_examples=examples(100))
@given(
    count=st.sampled_from([1, 2, 3, 0.5]),
    per=st.sampled_from([1, 10]),
    burst=st.sampled_from([None, 1, 3]),
    arrivals=st.lists(
        st.tuples(st.integers(0, 60).map(lambda n: n / 4), st.sampled_from("ab")), min_size=1, max_size=25
    ),
    scope=st.sampled_from(["task", "keys"]),
)
def test_no_window_ever_sees_more_starts_than_the_rate_allows_and_no_time_is_wasted(count, per, burst, arrivals, scope):
    rate = Rate(count, per=per, burst=burst, scope=scope)
    app, work, starts = build(rate_limit=rate, **({"key_arguments": "key"} if scope == "keys" else {}))

    async def arrive(moment, key):
        await asyncio.sleep(moment)
        await work(key)

    async def main():
        await asyncio.gather(*[arrive(*one) for one in arrivals])
        await assert_at_rest(app)

    run(main)
    assert len(starts) == len(arrivals)
    begun, came = defaultdict(list), defaultdict(list)
    for lists, moments in ((begun, starts), (came, [(key, moment) for moment, key in arrivals])):
        for key, moment in moments:
            lists[key if scope == "keys" else "all"].append(moment)
    due = in_any_window if burst is None else evenly
    for key, moments in begun.items():
        assert sorted(moments) == pytest.approx(due(rate, came[key]), abs=1e-6)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"count": 0}, "count"),
        ({"count": "5/s"}, "count"),
        ({"count": 1, "per": -1}, "per"),
        ({"count": 1, "per": float("inf")}, "per"),
        ({"count": 1, "burst": 0}, "burst"),
        ({"count": 1, "burst": 1.5}, "burst"),
        ({"count": 1, "burst": True}, "burst"),
        ({"count": True}, "count"),
        ({"count": float("nan")}, "count"),
        ({"count": 2.5}, r"count.*Rate\(5, per=2\), or burst=1"),
        ({"count": 1, "per": "minute"}, "per"),
        ({"count": 1, "scope": ConcurrencyControlType.DISABLED}, "scope"),
        ({"count": 1, "scope": "key"}, "scope.*'task', 'arguments', 'keys'"),
        ({"count": 1, "scope": None}, "scope"),
        ({"count": 1, "scope": []}, "scope"),
    ],
)
def test_wrong_rates_are_refused_and_named(options, named):
    with pytest.raises(InvalidTaskOptionsError, match=named):
        Rate(**options)


def test_equal_rates_look_the_same():
    """They are the same one to a store, which knows them by name."""
    one, other = Rate(10, per=60, scope="keys"), Rate(10.0, per=60.0, scope=KEYS)
    assert one == other
    assert repr(one) == repr(other)
    assert one.scope is KEYS
