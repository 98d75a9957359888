"""What a schedule decides: no loop, no clock."""

from datetime import UTC, datetime, timedelta
from itertools import takewhile

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pynenc_async import Misfire, Overlap, ScheduleOptions
from pynenc_async.schedules.planner import CORRECTION_SECONDS, MOST_MADE_UP, admit, plan
from pynenc_async.schedules.specs import ScheduleSpec
from pynenc_async.schedules.timetables import Cron, Interval
from pynenc_async.store.values import Fire

MINUTE = Interval(60.0)
BEGIN = datetime(2025, 3, 30, tzinfo=UTC).timestamp()


def spec(timetable=MINUTE, **options):
    return ScheduleSpec(name="s", timetable=timetable, options=ScheduleOptions.build("test", options))


def moments(planned):
    return [fire.moment - BEGIN for fire in planned.fires]


# -- one decision ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("misfire", Misfire)
def test_nothing_is_due_before_its_moment_and_one_fire_at_it(misfire):
    early = plan(spec(misfire=misfire), BEGIN, BEGIN + 59.999)
    assert (early.fires, early.decided, early.next_moment, early.wake_at) == ((), BEGIN, BEGIN + 60, BEGIN + 60)
    due = plan(spec(misfire=misfire), BEGIN, BEGIN + 60)
    assert due.fires == (Fire("s", BEGIN + 60),)
    assert (due.missed, due.decided, due.next_moment) == (0, BEGIN + 60, BEGIN + 120)


@pytest.mark.parametrize(
    ("misfire", "late", "fires", "missed"),
    [
        ("skip", 0.9, [300], 4),
        ("skip", 1.1, [], 5),
        ("once", 0.9, [300], 4),
        ("once", 59, [300], 4),
        ("all", 0.9, [60, 120, 180, 240, 300], 0),
        ("all", 59, [60, 120, 180, 240, 300], 0),
    ],
)
def test_five_moments_have_passed(misfire, late, fires, missed):
    planned = plan(spec(misfire=misfire), BEGIN, BEGIN + 300 + late)
    assert moments(planned) == fires
    assert (planned.missed, planned.dropped, planned.next_moment) == (missed, False, BEGIN + 360)


def test_the_grace_says_what_is_late():
    patient = spec(misfire="skip", misfire_grace=timedelta(seconds=30))
    assert moments(plan(patient, BEGIN, BEGIN + 90)) == [60]
    assert moments(plan(patient, BEGIN, BEGIN + 91)) == []


@pytest.mark.parametrize("timetable", [MINUTE, Cron("* * * * *", UTC)])
@pytest.mark.parametrize("misfire", Misfire)
def test_a_century_of_missed_moments_costs_no_more_than_the_last_hundred(timetable, misfire):
    now = BEGIN + 3.2e9
    planned = plan(spec(timetable, misfire=misfire), BEGIN, now)
    last = now - now % 60
    expected = {"skip": 0, "once": 1, "all": MOST_MADE_UP}[misfire]
    assert [fire.moment for fire in planned.fires] == [last - 60 * n for n in reversed(range(expected))]
    assert planned.dropped
    assert planned.decided == last


def test_start_and_end_are_the_first_and_the_last_moment():
    begin = datetime.fromtimestamp(BEGIN, UTC)
    bounded = spec(start=begin + timedelta(seconds=120), end=begin + timedelta(seconds=240), misfire="all")
    planned = plan(bounded, BEGIN, BEGIN + 1_000)
    assert moments(planned) == [120, 180, 240]
    assert (planned.next_moment, planned.wake_at) == (None, None)


def test_a_clock_that_was_set_back_is_waited_for_and_one_that_was_wrong_is_followed():
    decided = BEGIN + 600
    waits = plan(spec(), decided, decided - CORRECTION_SECONDS)
    assert (waits.fires, waits.decided, waits.next_moment) == ((), decided, decided + 60)
    follows = plan(spec(), decided, decided - CORRECTION_SECONDS - 1)
    assert (follows.fires, follows.next_moment) == ((), decided - CORRECTION_SECONDS)


def test_jitter_puts_off_by_less_than_it_says_and_than_to_the_next_moment():
    delays = set()
    for salt in range(50):
        planned = plan(spec(jitter=45), BEGIN, BEGIN, salt=salt)
        assert planned == plan(spec(jitter=45), BEGIN, BEGIN, salt=salt)
        delays.add(planned.wake_at - planned.next_moment)
        assert plan(spec(jitter=1e6), BEGIN, BEGIN, salt=salt).wake_at <= BEGIN + 120
        just_before = plan(spec(jitter=45), BEGIN, planned.wake_at - 1e-3, salt=salt)
        assert (just_before.fires, just_before.wake_at) == ((), planned.wake_at)
        assert moments(plan(spec(jitter=45), BEGIN, planned.wake_at, salt=salt)) == [60]
    assert 0 <= min(delays) < 5
    assert 40 < max(delays) < 45


# -- any sequence of looks ---------------------------------------------------------------------------------------------

LOOKS = st.lists(
    st.one_of(
        st.floats(0, 90),  # a timer, or a loop that was blocked for a moment
        st.sampled_from([60.0, 0.0, 30.0, 3_600.0, 7 * 3_600.0]),  # blocked, suspended, not running, set forward
        st.sampled_from([-3_600.0, -60.0, -1.0, -CORRECTION_SECONDS]),  # set back
    ),
    max_size=40,
)
TIMETABLES = st.sampled_from([MINUTE, Interval(7.5, 3.0), Cron("*/3 * * * *", UTC), Cron("7,8 0-5 * * *", UTC)])


def follow(one, looks, salt=0.0):
    """Return the fires of a row of decisions, and how many moments were missed; check each decision by itself."""
    decided, now, highest = BEGIN, BEGIN, BEGIN
    fires, missed = [], 0
    for look in looks:
        now = max(now + look, highest - CORRECTION_SECONDS)
        highest = max(highest, now)
        planned = plan(one, decided, now, salt=salt)
        assert not planned.dropped
        assert planned.decided >= decided
        assert all(fire.moment <= now for fire in planned.fires)
        assert planned.next_moment > planned.decided
        assert planned.wake_at > now
        assert planned.next_moment <= planned.wake_at <= planned.next_moment + one.options.jitter
        decided = planned.decided
        fires += [fire.moment for fire in planned.fires]
        missed += planned.missed
    return fires, missed, highest


def passed(one, until):
    return list(takewhile(lambda moment: moment <= until, one.moments(BEGIN)))


def small(looks):
    """So many moments are made up for one by one; what is beyond the cap is another test."""
    return [min(look, 700.0) for look in looks]


@given(TIMETABLES, LOOKS)
@example(MINUTE, [60.0, -3_600.0, 3_600.0, 60.0])
def test_all_fires_each_moment_once_whatever_the_clock_does(timetable, looks):
    one = spec(timetable, misfire="all")
    fires, missed, highest = follow(one, small(looks))
    assert fires == passed(one, highest)
    assert missed == 0


@given(TIMETABLES, LOOKS, st.sampled_from(["skip", "once"]))
def test_every_moment_is_fired_or_missed_and_none_fired_twice(timetable, looks, misfire):
    one = spec(timetable, misfire=misfire)
    fires, missed, highest = follow(one, small(looks))
    assert fires == sorted(set(fires))
    assert set(fires) <= set(passed(one, highest))
    assert len(fires) + missed == len(passed(one, highest))
    if misfire == "once" and passed(one, highest):
        assert fires[-1] == passed(one, highest)[-1], "the last one always runs"


@given(LOOKS, st.floats(0.0, 120.0, exclude_min=True), st.floats(0, 1))
def test_jitter_changes_when_a_moment_fires_and_not_whether(looks, jitter, salt):
    one = spec(misfire="all", jitter=jitter)
    fires, missed, highest = follow(one, small(looks), salt)
    assert missed == 0
    assert passed(one, highest - jitter)[: len(fires)] == fires[: len(passed(one, highest - jitter))]
    assert fires == passed(one, highest)[: len(fires)]
    assert len(passed(one, highest)) - len(fires) <= 1


@given(st.lists(st.floats(0, 1), max_size=30))
def test_on_time_every_policy_does_the_same(looks):
    on_time = looks + [1.0] * 90
    rows = [follow(spec(misfire=misfire), on_time)[0] for misfire in Misfire]
    assert rows[0] == rows[1] == rows[2]


@pytest.mark.slow
@given(st.lists(st.lists(st.floats(0, 400), max_size=8), max_size=5))
def test_processes_that_decide_for_themselves_name_the_same_fires(processes):
    one = spec(Cron("*/2 * * * *", UTC), misfire="all")
    rows = [follow(one, looks) for looks in processes]
    for fires, _, highest in rows:
        assert fires == passed(one, highest)


# -- overlap -----------------------------------------------------------------------------------------------------------

ONE, TWO, THREE = (Fire("s", float(n)) for n in (1, 2, 3))


def test_with_nothing_under_way_the_first_starts_and_the_others_follow_one_by_one():
    for overlap in (Overlap.SKIP, Overlap.QUEUE):
        admission = admit(overlap, (ONE, TWO, THREE), busy=False, line=())
        assert (admission.start, admission.line, admission.passed) == ((ONE,), (TWO, THREE), 0)


def test_while_a_run_lives():
    skipped = admit(Overlap.SKIP, (ONE,), busy=True, line=())
    assert (skipped.start, skipped.line, skipped.passed) == ((), (), 1)
    queued = admit(Overlap.QUEUE, (ONE,), busy=True, line=())
    assert (queued.start, queued.line, queued.passed) == ((), (ONE,), 0)
    allowed = admit(Overlap.ALLOW, (ONE, TWO), busy=True, line=())
    assert (allowed.start, allowed.line, allowed.passed) == ((ONE, TWO), (), 0)


def test_at_most_one_waits():
    full = admit(Overlap.QUEUE, (TWO,), busy=True, line=(ONE,))
    assert (full.line, full.passed) == ((ONE,), 1)
    crowd = admit(Overlap.QUEUE, (ONE, TWO, THREE), busy=True, line=())
    assert (crowd.line, crowd.passed) == ((ONE,), 2)


@given(st.sampled_from(Overlap), st.integers(0, 5), st.booleans(), st.integers(0, 5))
def test_every_fire_starts_waits_or_passes(overlap, count, busy, waiting):
    line = tuple(Fire("s", float(n)) for n in range(0 if overlap is Overlap.ALLOW else waiting))
    due = tuple(Fire("s", float(100 + n)) for n in range(count))
    admission = admit(overlap, due, busy=busy, line=line)
    kept = (*admission.start, *admission.line)
    assert len(kept) + admission.passed == count + len(line)
    assert kept[: len(line)] == line
    if overlap is not Overlap.ALLOW and (busy or line):
        assert admission.start == ()
