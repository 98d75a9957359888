"""Retention: what has ended is forgotten, the longest ago first, and nothing else."""

from typing import Any, Final

from pynenc_async.store.values import Fire, JournalChange, Refusal, RefusalKind, Retention, Unique
from pynenc_async.testing.store_checks.bench import NOW, TASK, Bench, Runner, S, in_status, move, new, start
from pynenc_async.testing.store_checks.check import BrokenRuleError, Subject, expect, expect_kinds, expect_made

PURGING: Final = Subject("purging")


async def _ended(runner: Runner, name: str, at: float, *, arguments: bytes = b"{}", result: bytes = b"1") -> None:
    change = new(name, at=NOW, arguments=arguments)
    expect_made(await runner.commit(change, start(name, at=NOW), move(name, 3, S.SUCCESS, at=at, result=result)))


async def _purge(runner: Runner, now: float = NOW + 100, limit: int = 10_000, **bounds: Any) -> int:
    return await runner.store.purge(Retention(**bounds), now=now, limit=limit)


@PURGING.rule
async def no_bound(bench: Bench) -> None:
    """Without a bound nothing is forgotten."""
    runner = await bench.runner()
    await _ended(runner, "a", NOW)
    expect(await _purge(runner, NOW + 1e9), 0, "how many were forgotten")
    expect(sorted(await runner.rows()), ["a"], "what is left")


@PURGING.rule
async def by_age(bench: Bench) -> None:
    """By age: what ended more than `seconds` ago."""
    runner = await bench.runner()
    for number in (3, 1, 4, 2):
        await _ended(runner, f"a{number}", NOW + number)
    expect(await _purge(runner, NOW + 13, seconds=10.0), 2, "how many were forgotten: not who ended just then")
    expect(sorted(await runner.rows()), ["a3", "a4"], "what is left")
    expect(await _purge(runner, NOW + 13, seconds=10.0), 0, "how many are forgotten then")


@PURGING.rule
async def by_count(bench: Bench) -> None:
    """By number: the longest ended of more than `count` that have ended."""
    runner = await bench.runner()
    expect_made(await runner.commit(new("lives"), new("lives too"), start("lives too")))
    for number in (3, 1, 4, 2):
        await _ended(runner, f"a{number}", NOW + number)
    expect(await _purge(runner, count=3), 1, "how many were forgotten with count=3")
    expect(sorted(await runner.rows()), ["a2", "a3", "a4", "lives", "lives too"], "what is left")
    expect(await _purge(runner, count=0), 3, "how many were forgotten with count=0")
    expect(sorted(await runner.rows()), ["lives", "lives too"], "what is left")


@PURGING.rule
async def by_bytes(bench: Bench) -> None:
    """By bytes: the longest ended first, until the whole store is not larger."""
    runner = await bench.runner()
    for number in range(10):
        await _ended(runner, f"a{number}", NOW + number, result=b'"%d%s"' % (number, b"x" * 1_000_000))
    expect(await _purge(runner, bytes=100_000_000), 0, "how many are forgotten of 10 MB with 100 MB")
    forgotten = await _purge(runner, bytes=6_000_000)
    if forgotten not in (4, 5, 6):  # a store may need some room of its own
        raise BrokenRuleError(f"of ten results of 1 MB each, {forgotten} were forgotten to come down to 6 MB")
    expect(sorted(await runner.rows()), [f"a{number}" for number in range(forgotten, 10)], "what is left")


@PURGING.rule
async def the_living(bench: Bench) -> None:
    """What has not ended is never forgotten."""
    runner = await bench.runner()
    living = [status for status in S if not status.is_final()]
    expect_made(await runner.commit(*(in_status(str(status), status) for status in living)))
    before = await runner.rows()
    expect(await _purge(runner, NOW + 1e9, seconds=0.0, count=0, bytes=0), 0, "how many were forgotten")
    expect(await runner.rows(), before, "what is left")


async def _workflow(runner: Runner, name: str, *names: str | None) -> None:
    """Let an invocation be under way whose journal names others."""
    entries = tuple(b"%d" % number for number in range(len(names)))
    journal = JournalChange(invocation_id=name, index=0, entries=entries, names=names)
    expect_made(await runner.commit(new(name), start(name), journal))


@PURGING.rule
async def what_a_journal_names(bench: Bench) -> None:
    """What the journal of a living invocation names is spared, whichever bound is exceeded, and be it another runner's."""
    ours, other = await bench.runners(2)
    await _ended(ours, "named", NOW, result=b'"receipt"')
    await _workflow(ours, "named too", None)
    await _workflow(other, "lives", None, "named", "named too", "not known")
    expect_made(await ours.commit(move("named too", 3, S.FAILED, at=NOW + 1, error=b"{}")))
    await _ended(ours, "other", NOW + 2)
    several: tuple[dict[str, Any], ...] = ({"seconds": 0.0}, {"count": 0}, {"bytes": 0})
    for bounds in several:
        await _purge(ours, **bounds)
        expect(sorted(await ours.rows()), ["lives", "named", "named too"], f"what is left with {bounds}")
    expect((await ours.row("named")).result, b'"receipt"', "the result of what is spared")
    expect(await ours.store.journal("named too"), [b"0"], "the journal of what is spared")
    expect(ours.statuses("named too")[-1], S.FAILED, "the history of what is spared")


@PURGING.rule
async def what_nobody_names_any_more(bench: Bench) -> None:
    """What was spared may go as soon as nothing living names it: all have ended, or have dropped the entry."""
    runner = await bench.runner()
    await _ended(runner, "shared", NOW)
    await _ended(runner, "dropped", NOW + 1)
    await _workflow(runner, "one", "shared", "dropped")
    await _workflow(runner, "two", "shared")
    expect(await _purge(runner, count=0), 0, "how many are forgotten while both live")
    expect_made(await runner.commit(JournalChange(invocation_id="one", index=1, entries=(b"new",))))
    expect(await _purge(runner, count=0), 1, "how many are forgotten when an entry was dropped")
    expect(sorted(await runner.rows()), ["one", "shared", "two"], "what is left")
    expect_made(await runner.commit(move("one", 3, S.SUCCESS, at=NOW + 2, result=b"1")))
    expect(await _purge(runner, count=0), 1, "how many are forgotten when one of two has ended: that one")
    expect_made(await runner.commit(move("two", 3, S.CANCELLED, at=NOW + 3)))
    expect(await _purge(runner, count=0), 2, "how many are forgotten when both have ended")


@PURGING.rule
async def what_crashed_too_often(bench: Bench) -> None:
    """What a workflow has named whose runners died too often is spared until it is FAILED, through every recovery."""
    ours, first, second = await bench.runners(3)
    await _ended(first, "named", NOW)
    journal = JournalChange(invocation_id="lives", index=0, entries=(b"0",), names=("named",))
    expect_made(await first.commit(new("lives", max_crashes=2), start("lives"), journal))
    await bench.bury(first, by=second)
    expect(await _purge(ours, count=0), 0, "how many are forgotten when its runner is dead")
    await second.store.recover([TASK], now=NOW + 1)
    expect(await _purge(ours, count=0), 0, "how many are forgotten when it has been taken over")
    await second.claim_ids()
    revision = (await second.row("lives")).revision
    expect_made(await second.commit(move("lives", revision, S.PENDING, S.RUNNING, attempt=2)))
    await bench.bury(second, by=ours)
    await ours.store.recover([TASK], now=NOW + 2)
    expect((await ours.row("lives")).status, S.FAILED, "its status")
    expect(await _purge(ours, count=0), 2, "how many are forgotten then")


@PURGING.rule
async def what_is_spared_and_the_count(bench: Bench) -> None:
    """What is spared does not count: so many others are kept beside it."""
    runner = await bench.runner()
    names = [f"named{number}" for number in range(5)]
    for number, name in enumerate(names):
        await _ended(runner, name, NOW + number)
    await _workflow(runner, "lives", *names)
    for number in range(4):
        await _ended(runner, f"other{number}", NOW + 10 + number)
    expect(await _purge(runner, count=3), 1, "how many were forgotten")
    expect(await _purge(runner, count=3), 0, "how many are forgotten then")
    expect(sorted(await runner.rows()), ["lives", *names, "other1", "other2", "other3"], "what is left")
    expect_made(await runner.commit(move("lives", 3, S.SUCCESS, at=NOW + 20, result=b"1")))
    expect(await _purge(runner, count=3), 6, "how many are forgotten when it has ended")
    expect(sorted(await runner.rows()), ["lives", "other2", "other3"], "what is left")


@PURGING.rule
async def bounds_and_limit(bench: Bench) -> None:
    """One bound that is exceeded is enough, and `limit` bounds what is forgotten at once."""
    runner = await bench.runner()
    for number in range(6):
        await _ended(runner, f"a{number}", NOW + number)
    expect(await _purge(runner, NOW + 20, seconds=1e6, count=2, limit=3), 3, "how many were forgotten of four")
    expect(sorted(await runner.rows()), ["a3", "a4", "a5"], "what is left")
    expect(await _purge(runner, NOW + 20, seconds=1e6, count=2, limit=3), 1, "how many were forgotten then")


@PURGING.rule
async def all_of_it(bench: Bench) -> None:
    """With an invocation go its history and its journal; its id is unknown then."""
    runner = await bench.runner()
    await _ended(runner, "a", NOW)
    expect_made(await runner.commit(JournalChange(invocation_id="a", index=0, entries=(b"0", b"1"))))
    expect(await _purge(runner, count=0), 1, "how many were forgotten")
    expect((runner.store.peek("a"), runner.store.history("a")), (None, []), "peek and history")
    expect(await runner.store.journal("a"), [], "its journal")
    expect_kinds(await runner.commit(move("a", 4, S.RUNNING)), RefusalKind.UNKNOWN, what="a transition of it")
    expect_made(await runner.commit(new("a")), "the same id, new")
    expect((runner.statuses("a"), await runner.store.journal("a")), ([S.REGISTERED], []), "what is new has no past")


@PURGING.rule
async def shared_values(bench: Bench) -> None:
    """A large value that another invocation has as well stays."""
    runner = await bench.runner()
    large = b'"' + b"x" * 200_000 + b'"'
    await _ended(runner, "a", NOW, arguments=large, result=large)
    await _ended(runner, "b", NOW + 50, arguments=large)
    expect_made(await runner.commit(new("c", arguments=large)))
    expect(await _purge(runner, NOW + 70, seconds=50.0), 1, "how many were forgotten")
    for name in "bc":
        expect((await runner.row(name)).arguments == large, True, f"whether {name} has its arguments")
    expect(await _purge(runner, NOW + 200, seconds=50.0), 1, "how many were forgotten then")
    expect((await runner.row("c")).arguments == large, True, "whether the last one has its arguments")


@PURGING.rule
async def what_outlives(bench: Bench) -> None:
    """What was fired is known when the invocation is forgotten."""
    runner = await bench.runner()
    fire = Fire("every minute", NOW)
    expect_made(await runner.commit(new("a", fire=fire), move("a", 1, S.CANCELLED)))
    expect(await _purge(runner, count=0), 1, "how many were forgotten")
    expect(await runner.commit(new("b", at=NOW + 100, fire=fire)), [Refusal(RefusalKind.FIRED)], "the same fire")


@PURGING.rule
async def what_stands(bench: Bench) -> None:
    """What stands under a key until a moment is spared until then, whichever bound is exceeded: duplicates get it."""
    runner = await bench.runner()
    key = Unique("key", until=NOW + 500)
    expect_made(await runner.commit(new("a", unique=key), start("a"), move("a", 3, S.SUCCESS, result=b'"kept"')))
    await _ended(runner, "other", NOW + 1)
    for bound in (Retention(seconds=0.0), Retention(count=0), Retention(bytes=0)):
        await runner.store.purge(bound, now=NOW + 499)
        expect(sorted(await runner.rows()), ["a"], f"what is left with {bound}")
    expect((await runner.row("a")).result, b'"kept"', "the result of what is spared")
    again = await runner.commit(new("b", at=NOW + 499, unique=key))
    expect(again, [Refusal(RefusalKind.DUPLICATE, "a")], "the same key")
    expect(await _purge(runner, NOW + 500, count=0) + await _purge(runner, NOW + 500, count=0), 1, "forgotten then")
    expect_made(await runner.commit(new("b", at=NOW + 500, unique=Unique("key"))), "the key when its moment has come")


@PURGING.rule
async def whose_place_was_taken(bench: Bench) -> None:
    """What was spared for its stand may go when another one has taken its place: its moment has come, or it was replaced."""
    runner = await bench.runner()
    expect_made(await runner.commit(new("a", unique=Unique("key", until=NOW + 5)), move("a", 1, S.CANCELLED)))
    expect_made(await runner.commit(new("b", unique=Unique("other", until=NOW + 500)), move("b", 1, S.CANCELLED)))
    expect(await _purge(runner, NOW, count=0), 0, "how many are forgotten while they stand")
    expect_made(await runner.commit(new("c", at=NOW + 5, unique=Unique("key"))))
    expect_made(await runner.commit(new("d", at=NOW + 5, unique=Unique("other", replace=True))))
    expect(await _purge(runner, NOW + 5, count=0), 2, "how many are forgotten then")
    expect(sorted(await runner.rows()), ["c", "d"], "what is left")
