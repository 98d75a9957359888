"""Running limits: permits that a start takes, all of them or none, and when they are free again."""

import asyncio
from typing import Final

from pynenc_async.status import InvocationStatus
from pynenc_async.store.values import Permit, Refusal, RefusalKind
from pynenc_async.testing.store_checks.bench import NOW, TASKS, Bench, S, move, new, start
from pynenc_async.testing.store_checks.check import Subject, expect, expect_kinds, expect_made

LIMITING: Final = Subject("limiting")
_LIMIT: Final = RefusalKind.LIMIT
_ONE: Final = Permit("one", 1)


@LIMITING.rule
async def limit(bench: Bench) -> None:
    """At most `limit` invocations hold a permit: the next start is refused as LIMIT, and nothing of it changes."""
    runner = await bench.runner()
    two = Permit("two", 2)
    refusals = await runner.commit(*(new(name) for name in "abcd"), *(start(name, two) for name in "abc"), start("d"))
    expect(refusals, [None] * 6 + [Refusal(_LIMIT, "two"), None], "three starts with a limit of two, and one without")
    row = await runner.row("c")
    expect((row.status, row.revision), (S.REGISTERED, 1), "status and revision of what was refused")
    expect(runner.statuses("c"), [S.REGISTERED], "its history")


@LIMITING.rule
async def across_runners(bench: Bench) -> None:
    """A limit holds across all runners."""
    runners = await bench.runners(4)
    for runner in runners:
        expect_made(await runner.commit(*(new(f"{runner.id}-{number}") for number in range(3))))
    answers = await asyncio.gather(
        *(runner.commit(start(f"{runner.id}-{n}", Permit("five", 5))) for runner in runners for n in range(3))
    )
    expect(sum(refusals == [None] for refusals in answers), 5, "how many of twelve starts were made with a limit of 5")


@LIMITING.rule
async def limits_differ(bench: Bench) -> None:
    """The limit is that of the change; other names have other permits."""
    runner = await bench.runner()
    expect_made(await runner.commit(*(new(name) for name in "abcde"), start("a", Permit("key", 2))))
    expect_kinds(await runner.commit(start("b", Permit("key", 1))), _LIMIT, what="a narrower limit")
    expect_made(await runner.commit(start("b", Permit("key", 2)), start("c", Permit("key", 3))), "wider limits")
    expect_made(await runner.commit(start("d", Permit("KEY", 1)), start("e", Permit("", 1))), "other names")


@LIMITING.rule
async def all_or_none(bench: Bench) -> None:
    """Several permits are taken all or none, and so are the permits of a start that is refused."""
    runner = await bench.runner()
    other, key = Permit("other", 1), Permit("key", 1)
    expect_made(await runner.commit(*(new(name) for name in "abc"), start("a", key)))
    expect(await runner.commit(start("b", other, key)), [Refusal(_LIMIT, "key")], "the second of two is not to be had")
    expect_made(await runner.commit(start("c", other)), "the first of the two is free")
    expect_kinds(await runner.commit(start("b", other)), _LIMIT, what="now it is taken")


@LIMITING.rule
async def stale_takes_none(bench: Bench) -> None:
    """A transition that is STALE takes no permit."""
    runner, other = await bench.runners(2)
    expect_made(await runner.commit(new("a"), new("b")))
    expect_kinds(await runner.commit(start("a", _ONE, revision=2)), RefusalKind.STALE, what="a wrong revision")
    expect_kinds(await other.commit(start("a", _ONE)), RefusalKind.STALE, what="a wrong home")
    expect_made(await runner.commit(start("b", _ONE)), "the permit is free")


_RELEASES: Final[dict[str, tuple[InvocationStatus, ...]]] = {
    "a success": (S.RUNNING, S.SUCCESS),
    "a failure": (S.RUNNING, S.FAILED),
    "a cancellation": (S.RUNNING, S.CANCELLED),
    "a cancellation while it is PENDING": (S.CANCELLED,),
    "a retry": (S.RUNNING, S.RETRY),
    "a kill": (S.RUNNING, S.KILLED),
    "being given back": (S.REROUTED,),
    "an end after a pause": (S.RUNNING, S.PAUSED, S.RESUMED, S.SUCCESS),
    "a cancellation in a pause": (S.RUNNING, S.PAUSED, S.CANCELLED),
}


@LIMITING.rule
async def releases(bench: Bench) -> None:
    """Permits are free with the first status that no runner owns, and not before."""
    runner = await bench.runner()
    for what, path in _RELEASES.items():
        first, second = f"{what} 1", f"{what} 2"
        permit = Permit(what, 1)
        expect_made(await runner.commit(new(first), new(second), move(first, 1, S.PENDING, permits=(permit,))))
        for revision, status in enumerate(path, 2):
            expect_kinds(await runner.commit(start(second, permit)), _LIMIT, what=f"another start before {status}")
            expect_made(await runner.commit(move(first, revision, status)))
        expect_made(await runner.commit(start(second, permit)), f"another start after {what}")


@LIMITING.rule
async def in_one_batch(bench: Bench) -> None:
    """An end and another start may be in one batch: what the first frees, the second takes."""
    runner = await bench.runner()
    expect_made(await runner.commit(new("a"), new("b"), new("c"), start("a", _ONE)))
    refusals = await runner.commit(start("b", _ONE), move("a", 3, S.SUCCESS), start("c", _ONE))
    expect_kinds(refusals, _LIMIT, None, None, what="a start, the end, a start")


@LIMITING.rule
async def not_in_its_own_way(bench: Bench) -> None:
    """What an invocation holds does not stand in its own way: it may start again in the change that ends an attempt."""
    runner = await bench.runner()
    expect_made(await runner.commit(new("a"), new("b"), start("a", _ONE)))
    again = move("a", 3, S.RETRY, S.PENDING, S.RUNNING, attempt=2, permits=(_ONE,))
    expect_made(await runner.commit(again), "a start by who has the permit")
    expect_kinds(await runner.commit(start("b", _ONE)), _LIMIT, what="another start, while the second attempt runs")
    expect_made(await runner.commit(move("a", 6, S.SUCCESS, attempt=2), start("b", _ONE)), "and after it")


@LIMITING.rule
async def not_kept(bench: Bench) -> None:
    """A start that takes no permits anew after a retry holds none."""
    runner = await bench.runner()
    expect_made(await runner.commit(new("a"), new("b"), start("a", _ONE)))
    expect_made(await runner.commit(move("a", 3, S.RETRY, S.PENDING, S.RUNNING, attempt=2)))
    expect_made(await runner.commit(start("b", _ONE)), "another start")


@LIMITING.rule
async def started_and_ended(bench: Bench) -> None:
    """What starts and ends in one change has needed its permits, and holds them no more."""
    runner = await bench.runner()
    whole = move("a", 1, S.PENDING, S.RUNNING, S.SUCCESS, permits=(_ONE,))
    expect_made(await runner.commit(new("a"), new("b"), new("c"), whole, start("b", _ONE)))
    refused = move("c", 1, S.PENDING, S.RUNNING, S.SUCCESS, permits=(_ONE,))
    expect_kinds(await runner.commit(refused), _LIMIT, what="such a change when the permit is taken")


@LIMITING.rule
async def recovery(bench: Bench) -> None:
    """Permits of what was under way are free with its recovery, and also with the end of what is poison."""
    runner, heir = await bench.runners(2)
    three = Permit("three", 3)
    expect_made(
        await runner.commit(
            new("pending"),
            new("running"),
            new("poison", max_crashes=1),
            move("pending", 1, S.PENDING, permits=(three,)),
            start("running", three),
            start("poison", three),
        )
    )
    expect_made(await heir.commit(*(new(name) for name in "abcd")))
    expect_kinds(await heir.commit(start("a", three)), _LIMIT, what="a start before the death")
    await bench.lose(runner)
    await heir.store.recover(TASKS, now=NOW)
    refusals = await heir.commit(*(start(name, three) for name in "abcd"))
    expect_kinds(refusals, None, None, None, _LIMIT, what="starts after the recovery")
