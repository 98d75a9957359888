"""How a rate is kept: at most so many starts in any window, or evenly. Pure arithmetic; time is a number."""

from bisect import bisect_left
from itertools import pairwise

import pytest
from helpers import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pynenc_async import Rate
from pynenc_async.pacing import LATE, MOST_MOMENTS, NONE, as_of, fits_at, started

moments = st.lists(st.integers(0, 400).map(lambda n: n / 8), max_size=80)


def keep(rate, arrivals, starts=NONE):
    """Return when those begin that arrive at such moments, each as soon as the rate lets it."""
    begun = []
    for arrival in sorted(arrivals):
        now = max(arrival, *begun[-1:], 0)
        begun.append(fits_at(rate, starts, now))
        starts = started(rate, starts, begun[-1])
        assert len(starts.moments) <= MOST_MOMENTS
    return begun


def most_in_any(window, begun):
    """How many lie in the fullest window, of those that include their beginning and not their end."""
    return max((bisect_left(begun, begin + window) - place for place, begin in enumerate(begun)), default=0)


@given(count=st.integers(1, 12), per=st.sampled_from([1, 2.5, 10]), arrivals=moments)
def test_no_window_sees_more_and_each_begins_as_soon_as_that_allows(count, per, arrivals):
    begun = keep(Rate(count, per=per), arrivals)
    assert most_in_any(per, begun) <= count
    for place, (arrival, begin) in enumerate(zip(sorted(arrivals), begun, strict=True)):
        held_up_by = begun[place - count] + per if place >= count else 0
        assert begin == max(arrival, held_up_by, *begun[max(0, place - 1) : place])


@pytest.mark.slow
@given(
    count=st.integers(MOST_MOMENTS - 1, 3 * MOST_MOMENTS),
    crowds=st.lists(st.tuples(st.integers(0, 16).map(lambda n: n / 4), st.integers(1, 400)), min_size=1, max_size=4),
)
@settings(max_examples=examples(40), deadline=None)
@example(count=MOST_MOMENTS, crowds=[(0, 4 * MOST_MOMENTS)])
@example(count=MOST_MOMENTS + 1, crowds=[(0, 1), (0.5, 3 * MOST_MOMENTS)])
def test_large_rates_are_kept_too_and_reach_their_throughput(count, crowds):
    arrivals = [moment for moment, size in crowds for _ in range(size)]
    begun = keep(Rate(count), arrivals)
    assert most_in_any(1.0, begun) <= count
    last = max(moment for moment, _ in crowds)
    assert begun[-1] <= last + len(arrivals) // count + 2, "that many periods take them all"


@given(
    count=st.one_of(st.integers(1, 6), st.integers(MOST_MOMENTS - 2, 2 * MOST_MOMENTS)),
    crowds=st.lists(st.tuples(st.integers(0, 24).map(lambda n: n / 8), st.integers(1, 300)), max_size=12),
)
@settings(max_examples=examples(60), deadline=None)
@example(count=2, crowds=[(0, 1), (1.5, 1), (0.5, 2)])
def test_no_window_sees_more_though_starts_become_known_late(count, crowds):
    """A process decides on a start, and others commit later ones before it does."""
    rate, starts, begun = Rate(count, per=1.0), NONE, []
    for moment, size in crowds:
        for _ in range(size):
            if fits_at(rate, starts, moment) <= moment:
                starts = started(rate, starts, moment)
                begun.append(moment)
    assert most_in_any(1.0, sorted(begun)) <= count


@pytest.mark.slow
@pytest.mark.parametrize("count", [7, MOST_MOMENTS, MOST_MOMENTS + 1, 1_000])
@pytest.mark.parametrize("load", [0.5, 0.99, 1.0, 1.5])
def test_under_a_steady_load_as_many_begin_as_come_up_to_the_rate(count, load):
    rate = Rate(count, per=10)
    arrivals = [number * rate.interval / load for number in range(8 * count)]
    begun = keep(rate, arrivals)
    assert most_in_any(10, begun) <= count
    late = begun[-1] - max(arrivals[-1], arrivals[-1] * load)
    assert late <= 10 * 0.01, "at most a hundredth of a period behind what the rate allows, however long it goes on"


@given(count=st.integers(1, 9), burst=st.integers(1, 5), arrivals=moments)
def test_evenly_spread_starts_keep_their_distance_behind_a_burst(count, burst, arrivals):
    rate = Rate(count, burst=burst)
    begun = keep(rate, arrivals)
    for first in range(len(begun)):
        for last in range(first, len(begun)):
            assert last - first + 1 <= burst + (begun[last] - begun[first]) / rate.interval + 1e-6
    if burst == 1:
        assert all(later - earlier >= rate.interval - 1e-9 for earlier, later in pairwise(begun))


@given(count=st.integers(1, 6), burst=st.sampled_from([None, 1, 3]), before=moments, promised=st.integers(0, 8))
def test_room_that_is_promised_is_there_whenever_the_promise_is_kept(count, burst, before, promised):
    """As many as had a promise may all begin at one later moment, and one more besides: nobody has to wait for it again."""
    rate, starts = Rate(count, burst=burst), NONE
    for begin in keep(rate, before):
        starts = started(rate, starts, begin)
    now = max(before, default=0)
    moment = fits_at(rate, starts, now, promised)
    assert moment >= fits_at(rate, starts, now)
    if moment == now:
        for _ in range(promised + 1):
            assert fits_at(rate, starts, moment) == pytest.approx(moment, abs=1e-9)
            starts = started(rate, starts, moment)


@given(count=st.integers(1, 300), burst=st.sampled_from([None, 1, 3]), arrivals=moments)
def test_nothing_is_to_be_remembered_from_the_moment_on_that_it_names(count, burst, arrivals):
    rate, starts = Rate(count, burst=burst), NONE
    for begin in keep(rate, arrivals):
        starts = started(rate, starts, begin)
    later = starts
    for _ in range(rate.capacity):
        assert fits_at(rate, later, starts.until) == pytest.approx(starts.until, abs=1e-9)
        later = started(rate, later, starts.until)


@given(
    count=st.integers(1, 300),
    burst=st.sampled_from([None, 1, 3]),
    arrivals=moments,
    back=st.sampled_from([0.5, 3, LATE + 1, 10_000]),
)
def test_a_clock_that_is_set_back_holds_up_nothing_for_longer_than_all_starts_at_once_would(
    count, burst, arrivals, back
):
    rate, starts = Rate(count, burst=burst), NONE
    for begin in keep(rate, arrivals):
        starts = started(rate, starts, begin)
    longest = rate.window or rate.capacity * rate.interval
    now = starts.until - longest - back
    known = as_of(rate, starts, now)
    assert fits_at(rate, known, now) <= now + longest + LATE
    if back > LATE:
        assert fits_at(rate, known, now) <= now + longest + 1e-9
        assert as_of(rate, known, now) == known, "it is said once, and time goes on from there"
