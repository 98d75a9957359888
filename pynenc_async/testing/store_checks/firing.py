"""Schedules: each of their moments is fired once, whoever tries."""

import asyncio
from typing import Final

from pynenc_async.store.values import Fire, RefusalKind, Unique
from pynenc_async.testing.store_checks.bench import NOW, Bench, S, move, new, start
from pynenc_async.testing.store_checks.check import Subject, expect, expect_kinds, expect_made

FIRING: Final = Subject("firing")


@FIRING.rule
async def once(bench: Bench) -> None:
    """A registration is refused as FIRED where its moment of the schedule had its invocation before."""
    runner, other = await bench.runners(2)
    fire = Fire("every minute", NOW)
    refusals = await runner.commit(new("a", fire=fire), new("b", fire=fire), new("c"))
    expect_kinds(refusals, None, RefusalKind.FIRED, None, what="a moment twice in a batch")
    expect_kinds(await other.commit(new("d", fire=fire)), RefusalKind.FIRED, what="from another runner")
    expect_made(await runner.commit(start("a"), move("a", 3, S.SUCCESS)))
    expect_kinds(await runner.commit(new("e", fire=fire)), RefusalKind.FIRED, what="when the first one has ended")
    expect(sorted(await runner.rows()), ["a", "c"], "what is stored")


@FIRING.rule
async def others(bench: Bench) -> None:
    """Other moments, and other schedules, are fired on their own, in any order."""
    runner = await bench.runner()
    fires = [Fire("one", NOW + 60), Fire("one", NOW), Fire("one", NOW + 0.001), Fire("ONE", NOW), Fire("", NOW)]
    expect_made(await runner.commit(*(new(f"a-{number}", fire=fire) for number, fire in enumerate(fires))))


@FIRING.rule
async def at_once(bench: Bench) -> None:
    """Of several runners that fire a moment at once, one does."""
    runners = await bench.runners(4)
    fire = Fire("every minute", NOW)
    answers = await asyncio.gather(*(runner.commit(new(runner.id, fire=fire)) for runner in runners))
    expect(sum(refusals == [None] for refusals in answers), 1, "how many have fired it")


@FIRING.rule
async def no_trace(bench: Bench) -> None:
    """A registration that is refused for another reason has not fired its moment."""
    runner = await bench.runner()
    fire = Fire("every minute", NOW)
    refusals = await runner.commit(
        new("a", unique=Unique("key")), new("b", unique=Unique("key"), fire=fire), new("a", fire=fire)
    )
    expect_kinds(refusals, None, RefusalKind.DUPLICATE, RefusalKind.EXISTS, what="the batch")
    expect_made(await runner.commit(new("c", fire=fire)), "the moment is still free")


@FIRING.rule
async def last(bench: Bench) -> None:
    """The last moment of each schedule that was fired is known to all, whatever order they were fired in."""
    runner, other = await bench.runners(2)
    fires = [Fire("one", NOW + 60), Fire("one", NOW), Fire("two", NOW - 5)]
    expect(await other.store.last_fires(), {}, "before any fire")
    expect_made(await runner.commit(*(new(f"a-{number}", fire=fire) for number, fire in enumerate(fires))))
    expect(await other.store.last_fires(), {"one": NOW + 60, "two": NOW - 5}, "what other runners know")
