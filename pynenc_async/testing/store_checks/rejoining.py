"""A runner that was declared dead and comes back."""

from typing import Final

from pynenc_async.store.values import CancelRequest, JournalChange, Recovery, RefusalKind
from pynenc_async.testing.store_checks.bench import NOW, TASKS, Bench, Runner, S, move, new, start
from pynenc_async.testing.store_checks.check import Subject, expect, expect_kinds, expect_made

REJOINING: Final = Subject("rejoining")


async def _reborn(bench: Bench) -> tuple[Runner, Runner]:
    """Return a runner that had `a` RUNNING and `b` in its backlog, was buried, and has rejoined; and who buried it."""
    runner, witness = await bench.runners(2)
    expect_made(await runner.commit(new("a"), start("a"), new("b", taken=False)))
    await bench.bury(runner, by=witness)
    await runner.store.rejoin()
    return runner, witness


@REJOINING.rule
async def a_new_life(bench: Bench) -> None:
    """`rejoin` gives a new lease: the runner is alive, and what it commits from then on is its own."""
    runner, witness = await _reborn(bench)
    expect(runner.store.alive, True, "alive")
    expect_made(await runner.commit(new("c"), start("c"), new("d", taken=False)))
    expect((await runner.row("c")).home, runner.id, "the home of what is new")
    expect((await witness.store.recover(TASKS, now=NOW)).adopted, 2, "what others recover: what it had before")
    expect(await runner.claim_ids(), ["d"], "what it claims")
    expect_made(await runner.commit(move("c", 3, S.SUCCESS)), "the end of what is new")


@REJOINING.rule
async def not_its_own(bench: Bench) -> None:
    """What it had is not its own any more: it can neither change nor claim it, nor is it told of requests."""
    runner, witness = await _reborn(bench)
    expect_made(await witness.commit(CancelRequest(invocation_id="a", reason="")))
    expect(await runner.store.cancel_requests(), [], "what it is told")
    late = (move("a", 3, S.SUCCESS), start("b"), JournalChange(invocation_id="a", index=0, entries=(b"late",)))
    expect_kinds(await runner.commit(*late), *[RefusalKind.STALE] * 3, what="changes of what it had")
    expect(await runner.claim_ids(), [], "what it claims")
    expect((await runner.row("a")).status, S.RUNNING, "the status of what it had")


@REJOINING.rule
async def ended(bench: Bench) -> None:
    """What has ended in its former life is not its own either, and stays where it is."""
    runner, witness = await bench.runners(2)
    expect_made(await runner.commit(new("a"), move("a", 1, S.CANCELLED)))
    await bench.bury(runner, by=witness)
    await runner.store.rejoin()
    expect_kinds(await runner.commit(move("a", 2, S.RUNNING)), RefusalKind.STALE, what="a change of what has ended")
    expect(await witness.store.recover(TASKS, now=NOW), Recovery(), "what is recovered")
    expect((await witness.row("a")).status, S.CANCELLED, "its status")


@REJOINING.rule
async def its_own_heir(bench: Bench) -> None:
    """What nobody has taken over waits for who recovers it; that may be the runner that had it."""
    runner, witness = await _reborn(bench)
    recovery = await runner.store.recover(TASKS, now=NOW)
    expect((recovery.adopted, recovery.interrupted), (2, 1), "adopted, interrupted")
    expect(sorted(await runner.claim_ids()), ["a", "b"], "what it claims")
    expect_made(await runner.commit(move("a", 5, S.PENDING, S.RUNNING, attempt=2)), "the next attempt")
    expect(await witness.store.recover(TASKS, now=NOW), Recovery(), "what is left for others")


@REJOINING.rule
async def between_two_lives(bench: Bench) -> None:
    """What was registered between death and return is not its own either, and is not lost."""
    runner, witness = await bench.runners(2)
    await bench.bury(runner, by=witness)
    expect_made(await runner.commit(new("a")))
    await runner.store.rejoin()
    expect_kinds(await runner.commit(start("a")), RefusalKind.STALE, what="its start")
    expect((await witness.store.recover(TASKS, now=NOW)).adopted, 1, "adopted by another runner")


@REJOINING.rule
async def again(bench: Bench) -> None:
    """A runner can die and come back more than once."""
    runner, witness = await _reborn(bench)
    expect_made(await runner.commit(new("c"), start("c")))
    await bench.bury(runner, by=witness)
    expect_kinds(await runner.commit(move("c", 3, S.SUCCESS)), RefusalKind.STALE, what="a late end")
    await runner.store.rejoin()
    expect_kinds(await runner.commit(move("c", 3, S.SUCCESS)), RefusalKind.STALE, what="an end from the life before")
    expect((await witness.store.recover(TASKS, now=NOW)).adopted, 3, "what others recover")
