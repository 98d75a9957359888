"""The moments of cron expressions and of intervals, most of all where clocks change."""

import builtins
import sys
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from helpers import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pynenc_async import InvalidTaskOptionsError, Pynenc
from pynenc_async.schedules.timetables import Cron, Interval, read_cron

BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
CHANGES = {
    BERLIN: (datetime(2025, 3, 30, tzinfo=UTC), datetime(2025, 10, 26, tzinfo=UTC)),
    NEW_YORK: (datetime(2025, 3, 9, 6, tzinfo=UTC), datetime(2025, 11, 2, 6, tzinfo=UTC)),
    # The clock jumps over midnight; by half an hour; not at all.
    ZoneInfo("Africa/Cairo"): (datetime(2025, 4, 24, 22, tzinfo=UTC), datetime(2025, 10, 30, 21, tzinfo=UTC)),
    ZoneInfo("Australia/Lord_Howe"): (datetime(2025, 10, 4, 15, tzinfo=UTC), datetime(2025, 4, 5, 15, tzinfo=UTC)),
    UTC: (datetime(2025, 3, 1, tzinfo=UTC),),
}


def shown(expression, zone, day, days=1):
    """Return what a schedule does from the beginning of a day on, as times of the clock on the wall."""
    first = datetime.fromisoformat(day).replace(tzinfo=zone)
    last = (first + timedelta(days=days)).timestamp()
    found = []
    for moment in Cron(expression, zone).moments(first.timestamp() - 1):
        if moment >= last:
            return found
        found.append(datetime.fromtimestamp(moment, zone).strftime("%H:%M%z"))
    return found


# -- the hour that is skipped, and the one that comes twice ------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "day", "before", "after"),
    [(BERLIN, "2025-03-30", "+0100", "+0200"), (NEW_YORK, "2025-03-09", "-0500", "-0400")],
)
def test_in_the_gap_of_spring(zone, day, before, after):
    assert shown("30 2 * * *", zone, day) == ["03:00" + after], "a time that is skipped fires at the end of the gap"
    assert shown("0,30 2 * * *", zone, day) == ["03:00" + after], "two of them fire once"
    assert shown("0 2,3 * * *", zone, day) == ["03:00" + after], "and together with what is due then anyway"
    assert shown("59 1 * * *", zone, day) == ["01:59" + before]
    assert shown("*/20 2 * * *", zone, day) == [], "with a star it follows the clock on the wall"
    assert shown("0 * * * *", zone, day)[:4] == ["00:00" + before, "01:00" + before, "03:00" + after, "04:00" + after]
    assert len(shown("0 * * * *", zone, day)) == 23


@pytest.mark.parametrize(
    ("zone", "day", "hour", "before", "after"),
    [(BERLIN, "2025-10-26", "02", "+0200", "+0100"), (NEW_YORK, "2025-11-02", "01", "-0400", "-0500")],
)
def test_in_the_fold_of_autumn(zone, day, hour, before, after):
    assert shown(f"30 {int(hour)} * * *", zone, day) == [f"{hour}:30{before}"], "of a time that comes twice, the first"
    both = [f"{hour}:{minute}{offset}" for offset in (before, after) for minute in ("00", "30")]
    assert shown(f"*/30 {int(hour)} * * *", zone, day) == both, "with a star, both"
    assert len(shown("0 * * * *", zone, day)) == 25


@pytest.mark.slow
@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK])
def test_a_daily_time_fires_once_on_each_day_of_the_year(zone):
    for hour in (0, 1, 2, 3, 23):
        days = [moment[:2] for moment in shown(f"30 {hour} * * *", zone, "2025-01-01", days=365)]
        assert len(days) == 365
        assert set(days) <= {f"{hour:02}", f"{hour + 1:02}"}


# -- against an oracle that looks at every minute ----------------------------------------------------------------------


def numbers(field, low, high):
    found = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = (f"{low}-{high}" if span == "*" else span).partition("-")
        found.update(range(int(first), int(last or first) + 1, int(step or 1)))
    return found


def oracle(minutes, hours, weekday, zone, begin, end):
    """Every minute of the span whose local time fits; for fixed times, every local time of the span, found in real time."""
    minute_set, hour_set = numbers(minutes, 0, 59), numbers(hours, 0, 23)
    days = numbers(weekday, 0, 6)

    def fits(local):
        return local.minute in minute_set and local.hour in hour_set and local.isoweekday() % 7 in days

    span = [begin + timedelta(minutes=n) for n in range(int((end - begin).total_seconds() // 60) + 1)]
    if minutes.startswith("*") or hours.startswith("*"):
        return sorted(moment.timestamp() for moment in span if fits(moment.astimezone(zone)))
    naive = begin.astimezone(zone).replace(tzinfo=None) - timedelta(hours=3)
    found = set()
    while naive < end.astimezone(zone).replace(tzinfo=None) + timedelta(hours=3):
        if fits(naive):
            real = naive.replace(tzinfo=zone).astimezone(UTC)
            while real.astimezone(zone).replace(tzinfo=None) < naive:  # pragma: no branch
                real += timedelta(minutes=1)
            if real.astimezone(zone).replace(tzinfo=None) != naive:  # skipped: it is shown as if the gap were not there
                while (real - timedelta(minutes=1)).astimezone(zone).utcoffset() == real.astimezone(zone).utcoffset():
                    real -= timedelta(minutes=1)
            found.add(real)
        naive += timedelta(minutes=1)
    return sorted(moment.timestamp() for moment in found if begin <= moment <= end)


MINUTES = st.sampled_from(["*", "*/5", "*/30", "0", "30", "59", "0,30", "1-3", "0,15,59"])
HOURS = st.sampled_from(["*", "*/2", "0", "1", "2", "3", "1,2,3", "0-3", "0,23", "22-23"])
WEEKDAYS = st.sampled_from(["*", "0", "5,6", "1-5"])
PLACES = st.sampled_from([(zone, change) for zone, changes in CHANGES.items() for change in changes])
SPAN = timedelta(hours=20)


@pytest.mark.slow
@settings(max_examples=examples(40), deadline=None)
@given(MINUTES, HOURS, WEEKDAYS, PLACES)
@example("*", "0", "*", (ZoneInfo("Africa/Cairo"), datetime(2025, 4, 24, 22, tzinfo=UTC)))
@example("0", "*", "5,6", (ZoneInfo("Africa/Cairo"), datetime(2025, 4, 24, 22, tzinfo=UTC)))
@example("*", "1", "5,6", (ZoneInfo("Africa/Cairo"), datetime(2025, 4, 24, 22, tzinfo=UTC)))
@example("*", "*/2", "*", (ZoneInfo("Australia/Lord_Howe"), datetime(2025, 4, 5, 15, tzinfo=UTC)))
@example("30", "2", "*", (BERLIN, datetime(2025, 3, 30, tzinfo=UTC)))
def test_moments_are_those_of_an_oracle(minutes, hours, weekday, place):
    zone, change = place
    begin, end = change - SPAN, change + SPAN
    cron = Cron(f"{minutes} {hours} * * {weekday}", zone)
    expected = oracle(minutes, hours, weekday, zone, begin, end)
    found = list(islice(cron.moments(begin.timestamp() - 1), len(expected) + 1))
    assert [moment for moment in found if moment <= end.timestamp()] == expected


@settings(max_examples=examples(60), deadline=None)
@given(MINUTES, HOURS, WEEKDAYS, PLACES, st.floats(-20, 20), st.integers(1, 30))
def test_what_comes_next_does_not_depend_on_where_the_search_began(minutes, hours, weekday, place, offset, count):
    zone, change = place
    cron = Cron(f"{minutes} {hours} * * {weekday}", zone)
    at_once = list(islice(cron.moments(change.timestamp() - 86_400), count + 60))
    begin = change.timestamp() + offset * 3_600
    expected = [moment for moment in at_once if moment > begin][:count]
    assert list(islice(cron.moments(begin), len(expected))) == expected
    one_by_one = [begin]
    for _ in expected:
        one_by_one.append(next(cron.moments(one_by_one[-1])))
    assert one_by_one[1:] == expected


def test_a_moment_is_not_after_itself_though_a_hair_before_it_is():
    cron, noon = Cron("* * * * *", UTC), datetime(2025, 1, 1, 12, tzinfo=UTC).timestamp()
    assert next(cron.moments(noon)) == noon + 60
    for hair in (3e-7, 1e-6, 0.4, 0.6):
        assert next(cron.moments(noon - hair)) == noon
        assert next(cron.moments(noon + hair)) == noon + 60


# -- intervals ---------------------------------------------------------------------------------------------------------


@given(
    st.one_of(st.floats(0.01, 1e6), st.sampled_from([0.1, 1 / 3, 60.0, 86_400.0])),
    st.floats(0, 2e9),
    st.floats(-1e6, 2e9),
)
def test_an_interval_has_the_same_moments_wherever_it_is_counted_from(seconds, anchor, after):
    interval = Interval(seconds, anchor)
    moments = list(islice(interval.moments(after), 5))
    assert moments == sorted(set(moments))
    assert after < moments[0] <= after + seconds * 1.001
    for position, moment in enumerate(moments[:-1]):
        assert next(interval.moments(moment)) == moments[position + 1]
        assert next(interval.moments(moment - seconds / 2)) == moment


# -- what is wrong -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("61 * * * *", "bad minute"),
        ("* 24 * * *", "bad hour"),
        ("* * 0 * *", "bad day-of-month"),
        ("* * * 13 *", "bad month"),
        ("* * * * MOO", "bad day-of-week"),
        ("*/0 * * * *", "bad minute"),
        ("5-1 * * * *", "bad minute"),
        ("* * * *", "five fields"),
        ("* * * * * *", "five fields"),
        ("@reboot", "must be one of @yearly, "),
        ("@dayly", "did you mean '@daily'?"),
        ("@daily @daily", "five fields"),
        ("", "five fields"),
        (5, "five fields"),
        ("0 0 30 2 *", "bad day-of-month"),
        ("0 0 */31 * MON#5", "no day that ever comes"),
    ],
)
def test_a_wrong_expression_is_named_with_its_option(expression, problem):
    with pytest.raises(InvalidTaskOptionsError, match=problem) as caught:
        read_cron(f"app.cron({expression!r})", expression, "UTC")
    assert caught.value.option == "expression"
    assert repr(expression) in caught.value.problem
    assert str(caught.value).startswith(f"app.cron({expression!r}): option 'expression' ")


@pytest.mark.parametrize("tz", ["Europe/Berlim", "", "../etc/passwd", "Europe", 5, None])
def test_a_wrong_zone_is_named_with_its_option(tz):
    with pytest.raises(InvalidTaskOptionsError, match="Europe/Berlin") as caught:
        Pynenc().cron("* * * * *", tz=tz)
    assert caught.value.option == "tz"
    assert repr(tz) in caught.value.problem


def test_a_zone_may_be_a_text_or_an_object():
    texts = ["UTC", "Europe/Berlin"]
    objects = [UTC, BERLIN]
    for text, zone in zip(texts, objects, strict=True):
        assert read_cron("x", "0 7 * * *", text) == read_cron("x", "0 7  * * *", zone)


def test_without_the_extra_cron_says_what_to_install_and_every_works(monkeypatch):
    real_import = builtins.__import__

    def without_cronsim(name, *args, **kwargs):
        if name.partition(".")[0] == "cronsim":
            raise ImportError(name)
        return real_import(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, "cronsim", raising=False)
    monkeypatch.setattr(builtins, "__import__", without_cronsim)
    app = Pynenc()
    with pytest.raises(ImportError, match=r"pynenc-async\[cron\]"):
        app.cron("* * * * *")
    app.every(5)(lambda: None)
    assert len(app.schedules) == 1


@pytest.mark.parametrize(
    ("alias", "fields"),
    [
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
        ("@monthly", "0 0 1 * *"),
        ("@weekly", "0 0 * * 0"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@hourly", "0 * * * *"),
        (" @Hourly ", "0 * * * *"),
    ],
)
def test_an_alias_is_another_way_to_write_the_five_fields(alias, fields):
    """Also for the name of the schedule: whoever rewrites the one as the other misses no moment."""
    assert read_cron("app.cron", alias, "Europe/Berlin") == read_cron("app.cron", fields, "Europe/Berlin")
