"""How a rate is kept: whether one more may start, given those that have. Pure; the scheduler and every store decide by it.

There are two ways to keep a rate, chosen by `Pace.window`:

* *In any window*: at most `capacity` starts lie in any `window` seconds, and an idle task may begin all of them at once. Each
  start is a window later than the one that was `capacity` before it. What is remembered are the moments of that many starts;
  for very many, those of groups of them: a start may be made when the last start of the group that was so many groups
  before its own is a window ago. That holds up some starts a little longer, and costs no throughput: those that
  were held up together begin together from then on.
* *Evenly*: `capacity` starts at once, then one each `interval` seconds, by the generic cell rate algorithm (ITU-T I.371),
  which remembers one moment. In any `n * interval` seconds lie at most `n + capacity - 1` starts.

Both remember what they need in one immutable value, so that a transaction can be undone.
"""

from bisect import insort
from dataclasses import dataclass
from math import inf
from typing import Final, Protocol

EARLY: Final = 1e-6
"""Seconds by which a start may be early to a store: the time of day in a float is no better than a quarter of that."""
LATE: Final = 10.0
"""Seconds by which a start may become known later than others that were made after it: what a busy store takes to commit."""
MOST_MOMENTS: Final = 128
"""How many moments are remembered for one rate: 1 KiB."""


class Pace(Protocol):
    """How many may start when."""

    @property
    def interval(self) -> float:
        """Seconds from one start to the next, on average."""
        ...

    @property
    def capacity(self) -> int:
        """How many may start at once."""
        ...

    @property
    def window(self) -> float:
        """Seconds in which no more than `capacity` may start; 0: they start evenly."""
        ...


@dataclass(frozen=True, slots=True)
class Starts:
    """What is remembered of the starts so far."""

    until: float = -inf
    """From this moment on, nothing of it matters."""
    moments: tuple[float, ...] = ()
    """In order, the last moment of each of the newest groups, of which the last may be incomplete. They are kept for `LATE`
    seconds after they mattered to new starts: one may become known that was made before."""
    number: int = 0
    """The number of the next start, counted from 0 to the capacity and around."""


NONE: Final = Starts()


def fits_at(pace: Pace, starts: Starts, now: float, promised: int = 0) -> float:
    """Return from which moment on one more may start, besides so many that are `promised`: `now`, or later.

    Those that are promised start between now and then, nobody knows when: what is returned is the earliest that may be.
    """
    if not pace.window:
        full_at = max(starts.until, now) + promised * pace.interval if promised else starts.until
        return max(now, full_at - (pace.capacity - 1) * pace.interval)
    groups, number = _groups(pace), _next_number(starts, now)
    ahead = _group(pace, number + promised) - _group(pace, number - 1)  # 0: in the newest group
    if ahead > groups:
        return max((now, *starts.moments[-1:])) + pace.window  # behind one that is only promised
    place = len(starts.moments) - 1 - groups + ahead
    return now if place < 0 else max(now, starts.moments[place] + pace.window)


def started(pace: Pace, starts: Starts, now: float) -> Starts:
    """Return what is to be remembered after one more start."""
    if not pace.window:
        return Starts(max(starts.until, now) + pace.interval)
    number, moments = _next_number(starts, now), list(starts.moments)
    if starts.until + LATE <= now:
        moments.clear()
    if pace.capacity == _groups(pace):
        insort(moments, now)  # it may become known behind later ones
    else:
        latest = max(
            now, *moments[-1:], -inf
        )  # in a group, one that becomes known late counts as made with the last one
        if moments and _group(pace, number) == _group(pace, number - 1):
            moments.pop()
        moments.append(latest)
    kept = moments[-_groups(pace) - 1 :]
    return Starts(kept[-1] + pace.window, tuple(kept), (number + 1) % pace.capacity)


def as_of(pace: Pace, starts: Starts, now: float) -> Starts:
    """Return what is remembered in terms of a clock that may have been set back since: by more than starts are late.

    What it dates in the future was, at the latest, now.
    """
    longest = pace.window or pace.capacity * pace.interval
    if starts.until <= now + longest + LATE:
        return starts
    return Starts(now + longest, tuple([min(moment, now) for moment in starts.moments]), starts.number)


def refused_until(pace: Pace, starts: Starts, now: float) -> float | None:
    """Return the moment at which a start at `now` would fit that does not fit yet; None: it fits."""
    moment = fits_at(pace, starts, now)
    return moment if moment - now > EARLY else None


def _next_number(starts: Starts, now: float) -> int:
    """Return the number of the next start: after a rest, groups are complete ones again."""
    return 0 if starts.until <= now else starts.number


def _group(pace: Pace, number: int) -> int:
    """Return in which group a start is."""
    return number * _groups(pace) // pace.capacity


def _groups(pace: Pace) -> int:
    """Return how many groups make up a window."""
    return min(pace.capacity, MOST_MOMENTS - 1)
