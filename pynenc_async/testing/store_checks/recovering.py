"""Recovery: what becomes of each status, of crashes, and of what is done at once."""

import asyncio
from itertools import pairwise
from typing import Final

import msgspec

from pynenc_async.status import InvocationStatus
from pynenc_async.store.values import CancelRequest, JournalChange
from pynenc_async.testing.store_checks.bench import NOW, TASKS, Bench, S, in_status, move, new, start
from pynenc_async.testing.store_checks.check import BrokenRuleError, Subject, expect, expect_made

RECOVERING: Final = Subject("recovering")
_PATHS: Final[dict[InvocationStatus, tuple[InvocationStatus, ...]]] = {
    S.SCHEDULED: (),
    S.REGISTERED: (),
    S.CONCURRENCY_CONTROLLED: (),
    S.REROUTED: (),
    S.RETRY: (),
    S.PENDING: (S.PENDING_RECOVERY, S.REROUTED),
    S.RUNNING: (S.RUNNING_RECOVERY, S.REROUTED),
    S.PAUSED: (S.RUNNING_RECOVERY, S.REROUTED),
    S.RESUMED: (S.RUNNING_RECOVERY, S.REROUTED),
    S.KILLED: (S.REROUTED,),
    S.PENDING_RECOVERY: (S.REROUTED,),
    S.RUNNING_RECOVERY: (S.REROUTED,),
}
_INTERRUPTED: Final = (S.RUNNING, S.PAUSED, S.RESUMED)
_ENDED: Final = tuple(status for status in S if status.is_final())


@RECOVERING.rule
async def paths(bench: Bench) -> None:
    """Each status is led back to one that may be run, by its path, or stays; all goes into the heir's backlog."""
    runner, heir = await bench.runners(2)
    expect_made(await runner.commit(*(in_status(str(status), status) for status in _PATHS)))
    before = await runner.rows()
    await bench.lose(runner)
    recovery = await heir.store.recover(TASKS, now=NOW + 100)
    expect((recovery.adopted, recovery.interrupted), (len(_PATHS), len(_INTERRUPTED)), "adopted, interrupted")
    expect((recovery.poisoned, recovery.parked), ((), {}), "poisoned, parked")
    after = await heir.rows()
    for status, path in _PATHS.items():
        was, row = before[str(status)], after[str(status)]
        expected = msgspec.structs.replace(
            was,
            status=path[-1] if path else status,
            revision=was.revision + len(path),
            home=heir.id,
            crashes=int(status in _INTERRUPTED),
            taken=False,
        )
        expect(row, expected, f"what was {status}")
        told = heir.store.history(str(status))[was.revision :]
        expect([step.status for step in told], list(path), f"the new steps of what was {status}")
        for step in told:
            said = (step.timestamp, step.attempt, step.runner_id)
            expect(said, (NOW + 100, was.attempt, heir.id), f"moment, attempt and runner of {step.status}")
    expect(sorted(await heir.claim_ids()), sorted(map(str, _PATHS)), "what the heir claims")


@RECOVERING.rule
async def ended(bench: Bench) -> None:
    """What has ended stays as it is."""
    runner, heir = await bench.runners(2)
    expect_made(await runner.commit(*(in_status(str(status), status) for status in _ENDED)))
    before = await runner.rows()
    await bench.lose(runner)
    expect((await heir.store.recover(TASKS, now=NOW)).adopted, 0, "adopted")
    expect(await heir.rows(), before, "what is stored")


@RECOVERING.rule
async def what_was_stopping(bench: Bench) -> None:
    """What a runner had under way that had announced its stop has not crashed, unless the runner has rejoined since."""
    runner, heir = await bench.runners(2)
    expect_made(await runner.commit(new("a", max_crashes=1), start("a"), new("b", max_crashes=1), start("b")))
    await runner.store.announce_stop()
    await bench.lose(runner)
    recovery = await heir.store.recover(TASKS, now=NOW)
    expect((recovery.adopted, recovery.interrupted, recovery.poisoned), (2, 2, ()), "adopted, interrupted, poisoned")
    row = await heir.row("a")
    expect((row.status, row.crashes), (S.REROUTED, 0), "status, crashes")
    await runner.store.rejoin()
    expect_made(await runner.commit(new("c", max_crashes=1), start("c")))
    await bench.lose(runner)
    expect((await heir.store.recover(TASKS, now=NOW)).poisoned, ("c",), "poisoned, after it has rejoined")


@RECOVERING.rule
async def poison(bench: Bench) -> None:
    """An invocation that has crashed `max_crashes` times is FAILED, with an error that says so."""
    runner, heir = await bench.runners(2)
    for status in _INTERRUPTED:
        expect_made(await runner.commit(in_status(f"fragile {status}", status, max_crashes=1)))
    expect_made(await runner.commit(new("sturdy", max_crashes=2), start("sturdy")))
    expect_made(await runner.commit(new("picked", max_crashes=1), move("picked", 1, S.PENDING)))
    expect_made(await runner.commit(new("waiting", max_crashes=1)))
    await bench.lose(runner)
    recovery = await heir.store.recover(TASKS, now=NOW + 5)
    fragile = [f"fragile {status}" for status in _INTERRUPTED]
    expect(sorted(recovery.poisoned), sorted(fragile), "poisoned")
    expect((recovery.adopted, recovery.interrupted), (3, 1), "adopted, interrupted: those that are tried again")
    for invocation_id in fragile:
        row = await heir.row(invocation_id)
        expect((row.status, row.crashes, row.ended_at), (S.FAILED, 1, NOW + 5), "status, crashes, ended_at")
        expect(heir.statuses(invocation_id)[-2:], [S.RUNNING_RECOVERY, S.FAILED], "the end of its history")
        message = msgspec.json.decode(row.error or b"{}").get("message", "")
        if "crash" not in message and "die" not in message and "death" not in message:
            raise BrokenRuleError(f"the error does not say that its runner died too often: {row.error!r}")
    expect(sorted(await heir.claim_ids()), ["picked", "sturdy", "waiting"], "what the heir claims")


@RECOVERING.rule
async def crashes(bench: Bench) -> None:
    """Crashes are counted over all recoveries; what was only PENDING has not crashed."""
    runners = await bench.runners(5)
    expect_made(await runners[0].commit(new("a", max_crashes=3), move("a", 1, S.PENDING)))
    counts: list[int] = []
    for dying, heir in pairwise(runners):
        await bench.lose(dying)
        recovery = await heir.store.recover(TASKS, now=NOW)
        row = await heir.row("a")
        counts.append(row.crashes)
        if recovery.poisoned:
            break
        expect_made(await heir.commit(move("a", row.revision, S.PENDING, S.RUNNING, attempt=len(counts) + 1)))
    expect(counts, [0, 1, 2, 3], "the crashes after each recovery")
    expect((await runners[-1].row("a")).status, S.FAILED, "the status at last")


@RECOVERING.rule
async def retries(bench: Bench) -> None:
    """An attempt that crashed is not a retry."""
    runner, heir = await bench.runners(2)
    expect_made(await runner.commit(new("a"), start("a"), move("a", 3, S.RETRY, S.PENDING, S.RUNNING, attempt=2)))
    await bench.lose(runner)
    await heir.store.recover(TASKS, now=NOW)
    row = await heir.row("a")
    expect((row.num_retries, row.attempt, row.crashes), (1, 2, 1), "num_retries, attempt, crashes")


@RECOVERING.rule
async def due(bench: Bench) -> None:
    """What waits for a moment waits for it with its heir."""
    runner, heir = await bench.runners(2)
    expect_made(await runner.commit(in_status("later", S.SCHEDULED, due_at=NOW + 60)))
    expect_made(await runner.commit(new("again", due_at=NOW + 5), start("again")))
    expect_made(await runner.commit(move("again", 3, S.RETRY, due_at=NOW + 30)))
    await bench.lose(runner)
    await heir.store.recover(TASKS, now=NOW)
    expect(await heir.claim_ids(), [], "what is claimed before")
    expect((await heir.store.backlog(TASKS, now=NOW)).next_due, NOW + 30, "next_due")
    expect(await heir.claim_ids(now=NOW + 30), ["again"], "what is claimed when it is due")
    expect(await heir.claim_ids(now=NOW + 60), ["later"], "what is claimed later")


@RECOVERING.rule
async def set_back(bench: Bench) -> None:
    """What waits since later than now, as its runner's clock was set back since, waits no longer than it was put off for."""
    runner, heir = await bench.runners(2)
    waits = {"due_at": NOW + 3_660, "deadline_at": NOW + 3_700, "since": NOW + 3_600}
    expect_made(await runner.commit(in_status("later", S.SCHEDULED, **waits)))
    expect_made(await runner.commit(new("again", deadline_at=NOW + 4_000, since=NOW + 3_000), start("again")))
    expect_made(await runner.commit(move("again", 3, S.RETRY, due_at=NOW + 3_630, since=NOW + 3_600)))
    expect_made(await runner.commit(in_status("in time", S.SCHEDULED, due_at=NOW + 90, since=NOW)))
    expect_made(await runner.commit(in_status("unsaid", S.SCHEDULED, due_at=NOW + 9_000)))
    await bench.lose(runner)
    await heir.store.recover(TASKS, now=NOW)
    found = {name: (row.since, row.due_at, row.deadline_at) for name, row in (await heir.rows()).items()}
    expected = {
        "later": (NOW, NOW + 60, NOW + 100),
        "again": (NOW, NOW + 30, NOW + 400),
        "in time": (NOW, NOW + 90, None),
        "unsaid": (None, NOW + 9_000, None),
    }
    expect(found, expected, "since, due_at, deadline_at")
    expect((await heir.store.backlog(TASKS, now=NOW)).next_due, NOW + 30, "next_due")
    claims = [await heir.claim_ids(now=NOW + later) for later in (29, 30, 60, 90)]
    expect(claims, [[], ["again"], ["later"], ["in time"]], "what is claimed, one after the other")


@RECOVERING.rule
async def journals(bench: Bench) -> None:
    """Its journal goes with an invocation, and only its home writes it."""
    runner, heir = await bench.runners(2)
    entries = JournalChange(invocation_id="a", index=0, entries=(b"one", b"two"))
    expect_made(await runner.commit(new("a"), start("a"), entries))
    await bench.lose(runner)
    await heir.store.recover(TASKS, now=NOW)
    expect(await heir.store.journal("a"), [b"one", b"two"], "the journal, as the heir finds it")
    expect_made(await heir.commit(JournalChange(invocation_id="a", index=2, entries=(b"three",))))
    expect(await heir.store.journal("a"), [b"one", b"two", b"three"], "the journal, as the heir goes on")


@RECOVERING.rule
async def cancel_requests(bench: Bench) -> None:
    """Who was asked to be cancelled still is: the heir is told."""
    runner, heir = await bench.runners(2)
    request = CancelRequest(invocation_id="a", reason="enough")
    expect_made(await runner.commit(new("a"), start("a"), request))
    await bench.lose(runner)
    await heir.store.recover(TASKS, now=NOW)
    expect(await heir.store.cancel_requests(), [request], "the requests to the heir")
    expect((await heir.row("a")).cancel_reason, "enough", "cancel_reason")


@RECOVERING.rule
async def at_once(bench: Bench) -> None:
    """Runners that recover at once share the dead: each invocation is taken once, by one of them."""
    dead, *heirs = await bench.runners(4)
    ids = [f"a-{number}" for number in range(50)]
    expect_made(await dead.commit(*(new(name) for name in ids), *(start(name) for name in ids)))
    await bench.lose(dead)
    recoveries = await asyncio.gather(*(heir.store.recover(TASKS, now=NOW) for heir in heirs))
    expect(sum(recovery.adopted for recovery in recoveries), 50, "adopted, by all together")
    claims = [await heir.claim_ids() for heir in heirs]
    expect([len(claim) for claim in claims], [recovery.adopted for recovery in recoveries], "claimed by each")
    expect(sorted(name for claim in claims for name in claim), sorted(ids), "claimed by all together")
    for row in (await heirs[0].rows()).values():
        expect((row.revision, row.crashes), (5, 1), "revision, crashes")


@RECOVERING.rule
async def several(bench: Bench) -> None:
    """Several dead runners are recovered in one go, and named."""
    first, second, heir = await bench.runners(3)
    expect_made(await first.commit(new("a")))
    expect_made(await second.commit(new("b"), start("b")))
    await bench.lose(first)
    await bench.lose(second)
    recovery = await heir.store.recover(TASKS, now=NOW)
    expect(sorted(recovery.runners), [first.id, second.id], "runners")
    expect(recovery.adopted, 2, "adopted")
    expect((await heir.store.recover(TASKS, now=NOW)).adopted, 0, "adopted by another recovery")
