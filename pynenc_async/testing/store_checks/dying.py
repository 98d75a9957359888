"""Life and death: who is alive, and what a runner that was declared dead can still do."""

from typing import Final

from pynenc_async.errors import StoreError
from pynenc_async.store.values import Backlog, CancelRequest, Change, JournalChange, Recovery, RefusalKind, Unique
from pynenc_async.testing.store_checks.bench import (
    NOW,
    OTHER_TASK,
    TASK,
    TASKS,
    Bench,
    Runner,
    S,
    move,
    new,
    start,
)
from pynenc_async.testing.store_checks.check import BrokenRuleError, Subject, expect, expect_kinds, expect_made

DYING: Final = Subject("dying")
_STALE: Final = RefusalKind.STALE


@DYING.rule
async def alive(bench: Bench) -> None:
    """A runner is alive from `open` to `close`, which may be called twice."""
    runner = await bench.runner()
    expect(runner.store.alive, True, "alive, when it is open")
    await runner.store.close()
    expect(runner.store.alive, False, "alive, when it is closed")
    await runner.store.close()


@DYING.rule
async def one_life(bench: Bench) -> None:
    """A second runner with the id of a living one is refused, and the first goes on."""
    runner = await bench.runner()
    expect_made(await runner.commit(new("a")))
    try:
        second = await bench.harness.open(runner.id)
    except StoreError:
        pass
    else:
        await second.close()
        raise BrokenRuleError(f"two runners live under the id {runner.id!r}")
    expect(runner.store.alive, True, "alive")
    expect_made(await runner.commit(start("a")), "the first goes on")


@DYING.rule
async def the_living(bench: Bench) -> None:
    """What belongs to the living is not recovered."""
    runner, other = await bench.runners(2)
    expect_made(await runner.commit(new("a"), start("a"), new("b", taken=False)))
    before = await runner.rows()
    expect(await other.store.recover(TASKS, now=NOW + 1e6), Recovery(), "what was recovered")
    expect(await runner.store.recover(TASKS, now=NOW), Recovery(), "what a runner recovers of its own")
    expect(await runner.rows(), before, "what is stored")


@DYING.rule
async def closed(bench: Bench) -> None:
    """With `close` the lease ends at once: what the runner had is for others."""
    runner, heir = await bench.runners(2)
    expect_made(await runner.commit(new("a"), start("a"), new("b"), start("b"), move("b", 3, S.KILLED)))
    await runner.store.close()
    recovery = await heir.store.recover(TASKS, now=NOW)
    expect((recovery.adopted, recovery.interrupted), (2, 1), "adopted, interrupted")
    expect(sorted(await heir.claim_ids()), ["a", "b"], "what the heir claims")


@DYING.rule
async def kept(bench: Bench) -> None:
    """What was committed is there for who comes when everybody has gone."""
    runner = await bench.runner()
    journal = JournalChange(invocation_id="a", index=0, entries=(b"entry",))
    expect_made(
        await runner.commit(new("a", unique=Unique("key")), start("a"), journal, new("b"), move("b", 1, S.CANCELLED))
    )
    before = await runner.rows()
    await runner.store.close()
    later = await bench.runner()
    expect(await later.rows(), before, "what is stored")
    expect(later.statuses("a"), [S.REGISTERED, S.PENDING, S.RUNNING], "a history")
    expect(await later.store.journal("a"), [b"entry"], "a journal")
    expect(later.store.standing("key", now=NOW), "a", "who stands")
    expect((await later.store.recover(TASKS, now=NOW)).adopted, 1, "adopted")


@DYING.rule
async def lost(bench: Bench) -> None:
    """A runner whose lease has run out is dead: what it had is recovered."""
    runner, heir = await bench.runners(2)
    expect_made(await runner.commit(new("a"), start("a")))
    await bench.lose(runner)
    recovery = await heir.store.recover(TASKS, now=NOW)
    expect((recovery.runners, recovery.adopted), ((runner.id,), 1), "runners, adopted")
    expect((await heir.row("a")).home, heir.id, "the home")
    expect(await bench.until(lambda: not runner.store.alive), True, "whether the dead runner comes to know it")


def _late_changes() -> list[Change]:
    return [
        move("a", 3, S.SUCCESS, result=b"1"),
        move("a", 5, S.PENDING),
        JournalChange(invocation_id="a", index=0, entries=(b"late",)),
        CancelRequest(invocation_id="a", reason="late"),
        CancelRequest(invocation_id="of another", reason="late"),
    ]


async def _expect_powerless(dead: Runner, witness: Runner, revision: int) -> None:
    """What a dead runner says about invocations that are known is refused, and changes nothing."""
    before = await witness.rows()
    for change in (*_late_changes(), move("a", revision, S.PENDING), move("a", revision, S.SUCCESS)):
        expect_kinds(await dead.commit(change), _STALE, what=f"{change!r} by a dead runner")
    expect_kinds(await dead.commit(*_late_changes()), *[_STALE] * 5, what="a batch of a dead runner")
    expect(await witness.rows(), before, "what is stored")
    expect(await witness.store.journal("a"), [b"entry"], "the journal")


@DYING.rule
async def late_writes(bench: Bench) -> None:
    """What a runner commits after others have taken over is refused as STALE, and changes nothing."""
    runner, heir = await bench.runners(2)
    journal = JournalChange(invocation_id="a", index=0, entries=(b"entry",))
    expect_made(await runner.commit(new("a"), start("a"), journal))
    expect_made(await heir.commit(new("of another")))
    await bench.lose(runner)
    await heir.store.recover(TASKS, now=NOW)
    await _expect_powerless(runner, heir, 5)
    expect_made(await heir.commit(move("a", 5, S.PENDING, attempt=2)), "a change of the heir")


@DYING.rule
async def late_writes_to_its_own(bench: Bench) -> None:
    """It is refused as well where nobody has taken over yet: who was declared dead stays dead."""
    runner, witness = await bench.runners(2)
    journal = JournalChange(invocation_id="a", index=0, entries=(b"entry",))
    expect_made(await runner.commit(new("a"), start("a"), journal))
    expect_made(await witness.commit(new("of another")))
    await bench.bury(runner, by=witness)
    await _expect_powerless(runner, witness, 3)
    expect((await witness.row("a")).status, S.RUNNING, "the status")


@DYING.rule
async def late_registrations(bench: Bench) -> None:
    """New invocations of a runner that was declared dead are stored, and find a home with who recovers later."""
    runner, heir = await bench.runners(2)
    expect_made(await runner.commit(new("a")))
    await bench.lose(runner)
    expect((await heir.store.recover(TASKS, now=NOW)).adopted, 1, "adopted at first")
    refusals = await runner.commit(new("b"), start("b"), new("c", taken=False))
    expect_kinds(refusals, None, _STALE, None, what="a late batch: two registrations, and a start between them")
    expect((await heir.store.recover(TASKS, now=NOW)).adopted, 2, "adopted later")
    expect(sorted(await heir.claim_ids()), ["a", "b", "c"], "what the heir claims")


@DYING.rule
async def late_claims(bench: Bench) -> None:
    """A runner that was declared dead claims nothing and recovers nothing."""
    runner, other, witness = await bench.runners(3)
    expect_made(await runner.commit(new("a", taken=False)))
    expect_made(await other.commit(new("b")))
    await bench.bury(runner, by=witness)
    expect(await runner.claim_ids(), [], "what a dead runner claims of its own")
    await bench.bury(other, by=witness)
    expect((await runner.store.recover(TASKS, now=NOW)).adopted, 0, "what a dead runner recovers")
    expect((await witness.store.recover(TASKS, now=NOW)).adopted, 2, "what is left for the living")


@DYING.rule
async def parked(bench: Bench) -> None:
    """Of tasks that the heir does not know nothing is touched; `parked` counts them, and who knows them comes later."""
    runner, heir, later = await bench.runners(3)
    expect_made(await runner.commit(new("a"), start("a"), *(new(name, task=OTHER_TASK) for name in "bcd")))
    expect_made(await runner.commit(start("b"), move("d", 1, S.CANCELLED)))
    before = await runner.rows()
    await bench.lose(runner)
    recovery = await heir.store.recover([TASK], now=NOW)
    expect((recovery.adopted, recovery.parked), (1, {OTHER_TASK: 2}), "adopted, parked (what has ended is not)")
    after = await heir.rows()
    for name in "bcd":
        expect(after[name], before[name], "an invocation of another task")
    again = await heir.store.recover([TASK], now=NOW)
    expect((again.adopted, again.parked), (0, {OTHER_TASK: 2}), "adopted and parked by another recovery")
    expect((await later.store.recover([OTHER_TASK], now=NOW)).adopted, 2, "adopted by who knows the task")
    expect(await heir.store.recover([TASK], now=NOW), Recovery(), "what is left to recover")
    expect(await later.store.backlog(TASKS, now=NOW), Backlog(ready={0: 2}, next_due=None), "the backlog of who came")


@DYING.rule
async def heirs_die(bench: Bench) -> None:
    """Who has taken over may die as well: the next one goes on."""
    runner, *heirs = await bench.runners(4)
    expect_made(await runner.commit(new("a", max_crashes=10), start("a")))
    dying = runner
    for number, heir in enumerate(heirs, 1):
        await bench.lose(dying)
        expect((await heir.store.recover(TASKS, now=NOW)).adopted, 1, "adopted")
        (claimed,) = await heir.store.claim(TASKS, 10, now=NOW)
        expect((claimed.crashes, claimed.home), (number, heir.id), "crashes, home")
        expect_made(await heir.commit(move("a", claimed.revision, S.PENDING, S.RUNNING, attempt=number + 1)))
        dying = heir
    row = await dying.row("a")
    expect_made(await dying.commit(move("a", row.revision, S.SUCCESS, attempt=row.attempt)), "its end")
