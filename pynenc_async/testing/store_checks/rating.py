"""Rates: how often something may start, evenly or in any window, as `pynenc_async.pacing` says."""

from typing import Final

from pynenc_async.store.values import Permit, RatePermit, Refusal, RefusalKind
from pynenc_async.testing.store_checks.bench import NOW, Bench, Runner, S, move, new, start
from pynenc_async.testing.store_checks.check import BrokenRuleError, Subject, expect, expect_kinds, expect_made

RATING: Final = Subject("rating")
_RATE: Final = RatePermit("rate", 10.0, 3)
_WINDOW: Final = RatePermit("window", 10 / 3, 3, window=10.0)
_NEAR: Final = 1e-3
"""Seconds by which a moment that was calculated may differ."""


async def _starts(runner: Runner, moments: dict[str, float], rate: RatePermit = _RATE) -> list[bool]:
    """Register and start invocations, each at its moment; say which of the starts were made."""
    expect_made(await runner.commit(*(new(name) for name in moments)))
    refusals = await runner.commit(*(start(name, at=at, rate=rate) for name, at in moments.items()))
    return [refusal is None for refusal in refusals]


@RATING.rule
async def capacity(bench: Bench) -> None:
    """`capacity` starts are made at once; the next is refused as RATE, with the name and the moment when it fits."""
    runner = await bench.runner()
    expect_made(await runner.commit(*(new(name) for name in "abcd")))
    refusals = await runner.commit(*(start(name, rate=_RATE) for name in "abcd"))
    expect_kinds(refusals, None, None, None, RefusalKind.RATE, what="four starts at once with a capacity of three")
    refusal = refusals[3] or Refusal(RefusalKind.RATE)
    expect(refusal.detail, "rate", "the detail of the refusal")
    if refusal.retry_at is None or abs(refusal.retry_at - (NOW + 10)) > _NEAR:
        raise BrokenRuleError(f"retry_at: expected {NOW + 10}, got {refusal.retry_at}")
    row = await runner.row("d")
    expect((row.status, row.revision), (S.REGISTERED, 1), "status and revision of what was refused")
    expect_made(await runner.commit(start("d", at=refusal.retry_at, rate=_RATE)), "the start at the moment it fits")


@RATING.rule
async def intervals(bench: Bench) -> None:
    """Then one start fits each interval, and after a rest as many at once as there were intervals, up to `capacity`."""
    runner = await bench.runner()
    moments = {
        "a1": NOW,
        "a2": NOW,
        "a3": NOW + 1,
        "too early": NOW + 9,
        "a4": NOW + 10,
        "too early again": NOW + 19,
        "a5": NOW + 25,
        "one too many": NOW + 25,
        "a6": NOW + 1_000,
        "a7": NOW + 1_000,
        "a8": NOW + 1_000,
        "one more than the capacity": NOW + 1_000,
    }
    made = await _starts(runner, moments)
    expect(
        {name for name, is_made in zip(moments, made, strict=True) if is_made}, {f"a{n}" for n in range(1, 9)}, "made"
    )


@RATING.rule
async def any_window(bench: Bench) -> None:
    """With a `window`, no such span sees more starts than `capacity`, and a rest brings back no more than that."""
    runner = await bench.runner()
    moments = {
        "a1": NOW,
        "a2": NOW + 4,
        "a3": NOW + 4,
        "too early": NOW + 9,
        "a4": NOW + 10,
        "too early again": NOW + 13,
        "a5": NOW + 14,
        "a6": NOW + 15,
        "one too many": NOW + 15,
        "a7": NOW + 1_000,
        "a8": NOW + 1_000,
        "a9": NOW + 1_000,
        "one more than the capacity": NOW + 1_000,
        "still too early": NOW + 1_009,
        "a10": NOW + 1_010,
    }
    made = await _starts(runner, moments, _WINDOW)
    expect(
        {name for name, is_made in zip(moments, made, strict=True) if is_made}, {f"a{n}" for n in range(1, 11)}, "made"
    )
    expect_made(await runner.commit(new("z")))
    (refusal,) = await runner.commit(start("z", at=NOW + 1_010, rate=_WINDOW))
    expect(refusal, None, "a start for which there is room")
    expect_made(await runner.commit(new("y"), new("x"), start("y", at=NOW + 1_010, rate=_WINDOW)))
    (refusal,) = await runner.commit(start("x", at=NOW + 1_011, rate=_WINDOW))
    expect((refusal or Refusal(RefusalKind.STALE)).retry_at, NOW + 1_020, "when it fits")


@RATING.rule
async def many_in_a_window(bench: Bench) -> None:
    """So it is with hundreds of starts, which all fit again when a window is over; other runners count them, too."""
    runner, other = await bench.runners(2)
    rate = RatePermit("many", 0.1, 300, window=30.0)
    first = {f"a{n}": NOW + n / 100 for n in range(301)}
    expect(sum(await _starts(runner, first, rate)), 300, "starts in the first window")
    later = {f"b{n}": NOW + 33 for n in range(301)}
    expect(sum(await _starts(other, later, rate)), 300, "starts in the second one")


@RATING.rule
async def order_of_moments(bench: Bench) -> None:
    """A start that comes to the store behind a later one counts with its own moment."""
    runner = await bench.runner()
    rate = RatePermit("two", 5.0, 2, window=10.0)
    moments = {
        "b": NOW + 5,
        "a": NOW + 4,
        "too early": NOW + 13,
        "c": NOW + 14,
        "too early too": NOW + 14.5,
        "d": NOW + 15,
    }
    expect(await _starts(runner, moments, rate), [True, True, False, True, False, True], "made")


@RATING.rule
async def clock_set_back(bench: Bench) -> None:
    """Starts under a clock that was set back an hour since hold up a rate for no longer than if they were made now."""
    runner = await bench.runner()
    hour = NOW + 3_600
    long = RatePermit("long", 1_200.0, 3, 3_600.0)
    for kind, rate, wait in (("evenly", _RATE, 10.0), ("window", _WINDOW, 10.0), ("long window", long, 3_600.0)):
        expect(await _starts(runner, {f"{kind} {n}": hour for n in "abc"}, rate), [True] * 3, f"made before, {kind}")
        expect(await _starts(runner, {f"{kind} d": NOW}, rate), [False], f"made at once, {kind}")
        (refusal,) = await runner.commit(start(f"{kind} d", at=NOW, rate=rate))
        retry_at = (refusal or Refusal(RefusalKind.RATE)).retry_at
        if retry_at is None or not NOW < retry_at <= NOW + wait + _NEAR:
            raise BrokenRuleError(f"retry_at, {kind}: expected at most {NOW + wait}, got {retry_at}")
        expect(await _starts(runner, {f"{kind} e": retry_at}, rate), [True], f"made when it fits, {kind}")


@RATING.rule
async def late(bench: Bench) -> None:
    """A start that becomes known some seconds later than others that were made after it takes no room from them."""
    runner = await bench.runner()
    rate = RatePermit("half a second", 0.25, 2, 0.5)
    expect(await _starts(runner, {"a": NOW + 3, "b": NOW + 3}, rate), [True, True], "made, and known in time")
    expect(await _starts(runner, {"c": NOW}, rate), [False], "made before, and known late")
    expect(await _starts(runner, {"d": NOW + 3.4}, rate), [False], "made while the first two count")
    expect(await _starts(runner, {"e": NOW + 3.5}, rate), [True], "made when they do not")


@RATING.rule
async def names(bench: Bench) -> None:
    """Each name has a rate of its own, which all runners share."""
    runner, other = await bench.runners(2)
    one = RatePermit("one", 60.0, 1)
    expect(await _starts(runner, {"a": NOW, "b": NOW}, one), [True, False], "two starts")
    expect(await _starts(other, {"c": NOW + 30, "d": NOW + 60}, one), [False, True], "two starts of another runner")
    expect(await _starts(other, {"e": NOW}, RatePermit("ONE", 60.0, 1)), [True], "a start under another name")


@RATING.rule
async def never_given_back(bench: Bench) -> None:
    """A start has been one, whatever comes of it: no end gives it back."""
    runner = await bench.runner()
    one = RatePermit("one", 60.0, 1)
    expect_made(await runner.commit(new("a"), new("b"), start("a", rate=one), move("a", 3, S.RETRY)))
    expect_kinds(await runner.commit(start("b", rate=one)), RefusalKind.RATE, what="another start")
    again = move("a", 4, S.PENDING, S.RUNNING, attempt=2, rate=one)
    expect_kinds(await runner.commit(again), RefusalKind.RATE, what="the next attempt")


@RATING.rule
async def with_permits(bench: Bench) -> None:
    """What is refused takes nothing: neither a permit where the rate does not fit, nor of the rate without a permit."""
    runner = await bench.runner()
    one, rate = Permit("one", 1), RatePermit("rate", 60.0, 1)
    expect_made(await runner.commit(*(new(name) for name in "abcdef"), start("a", rate=rate)))
    expect_kinds(await runner.commit(start("b", one, rate=rate)), RefusalKind.RATE, what="a start that is too early")
    expect_made(await runner.commit(start("c", one)), "the permit is free")
    late = NOW + 60
    refused = await runner.commit(start("d", one, rate=rate, at=late))
    expect_kinds(refused, RefusalKind.LIMIT, what="a start that fits the rate, but not the limit")
    expect_made(await runner.commit(start("e", rate=rate, at=late)), "the rate has room")
    refused = await runner.commit(start("f", one, rate=rate, at=late))
    expect_kinds(refused, RefusalKind.LIMIT, what="a start that fits neither: the first reason is given")


@RATING.rule
async def stale_takes_none(bench: Bench) -> None:
    """A transition that is STALE takes nothing of a rate."""
    runner = await bench.runner()
    one = RatePermit("one", 60.0, 1)
    refusals = await runner.commit(new("a"), start("a", revision=2, rate=one), start("a", rate=one))
    expect_kinds(refusals, None, RefusalKind.STALE, None, what="a start on a wrong revision, then on the right one")
