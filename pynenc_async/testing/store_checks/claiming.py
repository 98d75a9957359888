"""The backlog: what may be claimed, in which order, and that nobody gets it twice."""

import asyncio
from typing import Final

from pynenc_async.store.values import Backlog
from pynenc_async.testing.store_checks.bench import (
    NOW,
    OTHER_TASK,
    TASK,
    TASKS,
    Bench,
    S,
    in_status,
    move,
    new,
    start,
)
from pynenc_async.testing.store_checks.check import Subject, expect, expect_made

CLAIMING: Final = Subject("claiming")
_CLAIMABLE: Final = (S.SCHEDULED, S.REGISTERED, S.CONCURRENCY_CONTROLLED, S.REROUTED, S.RETRY)


@CLAIMING.rule
async def statuses(bench: Bench) -> None:
    """Eligible is what may be run, or is SCHEDULED, or CONCURRENCY_CONTROLLED; nothing in another status."""
    runner = await bench.runner()
    expect_made(await runner.commit(*(in_status(str(status), status, taken=False) for status in S)))
    backlog = await runner.store.backlog(TASKS, now=NOW)
    expect(backlog, Backlog(ready={0: len(_CLAIMABLE)}, next_due=None), "the backlog")
    expect(sorted(await runner.claim_ids()), sorted(map(str, _CLAIMABLE)), "what was claimed")


@CLAIMING.rule
async def only_taken_changes(bench: Bench) -> None:
    """What was claimed is taken, and nothing else of it changes; it is not claimed again."""
    runner = await bench.runner()
    expect_made(await runner.commit(new("a", taken=False, arguments=b'{"x":1}'), new("b")))
    before = await runner.row("a")
    expect(before.taken, False, "taken, before")
    claimed = await runner.store.claim(TASKS, 10, now=NOW)
    expect([row.invocation_id for row in claimed], ["a"], "what was claimed: not what is taken")
    row = await runner.row("a")
    expect(claimed, [row], "what was handed out, and what is stored")
    expect(row.taken, True, "taken")
    expect((row.revision, row.status, row.arguments), (before.revision, before.status, b'{"x":1}'), "the rest")
    expect(len(runner.store.history("a")), 1, "the entries of the history")
    expect(await runner.claim_ids(), [], "what is claimed then")
    expect_made(await runner.commit(start("a")), "a start on the revision from before")


@CLAIMING.rule
async def put_back(bench: Bench) -> None:
    """A transition with `taken=False` puts it back into the backlog."""
    runner = await bench.runner()
    expect_made(await runner.commit(new("a"), start("a"), move("a", 3, S.KILLED, S.REROUTED, taken=False)))
    expect(await runner.claim_ids(), ["a"], "what was claimed")


@CLAIMING.rule
async def others(bench: Bench) -> None:
    """Nothing is claimed of other tasks, nor out of the backlog of another runner."""
    runner, other = await bench.runners(2)
    expect_made(await runner.commit(new("a", taken=False), new("b", taken=False, task=OTHER_TASK)))
    expect_made(await other.commit(new("c", taken=False)))
    expect(await runner.claim_ids(tasks=[]), [], "what is claimed for no task")
    expect(await runner.claim_ids(tasks=["suite.Work", "suite", ""]), [], "what is claimed for tasks that nobody has")
    expect(await runner.store.backlog([OTHER_TASK], now=NOW), Backlog(ready={0: 1}, next_due=None), "of one task")
    expect(await runner.claim_ids(tasks=[OTHER_TASK]), ["b"], "what is claimed for one task")
    expect(await other.claim_ids(), ["c"], "what another runner claims")
    expect(await runner.claim_ids(), ["a"], "what is left")


@CLAIMING.rule
async def due(bench: Bench) -> None:
    """What is due later is not claimed before, and `Backlog.next_due` says when the next is."""
    runner = await bench.runner()
    expect_made(
        await runner.commit(
            new("a", taken=False, due_at=NOW + 10),
            new("b", taken=False, due_at=NOW + 5),
            new("c", taken=False),
            new("d", taken=True, due_at=NOW + 1),
            new("e", taken=False, due_at=NOW + 2, task=OTHER_TASK),
        )
    )
    tasks = [TASK]
    expect(await runner.store.backlog(tasks, now=NOW), Backlog(ready={0: 1}, next_due=NOW + 5), "the backlog")
    expect(await runner.claim_ids(now=NOW + 4.999, tasks=tasks), ["c"], "what is claimed early")
    backlog = await runner.store.backlog(tasks, now=NOW + 5)
    expect(backlog, Backlog(ready={0: 1}, next_due=NOW + 10), "the backlog when one is due")
    expect(await runner.claim_ids(now=NOW + 5, tasks=tasks), ["b"], "what is claimed when it is due")
    expect(await runner.claim_ids(now=NOW + 11, tasks=tasks), ["a"], "what is claimed at last")
    expect(await runner.store.backlog(tasks, now=NOW), Backlog(ready={}, next_due=None), "an empty backlog")


@CLAIMING.rule
async def order(bench: Bench) -> None:
    """The highest priority first, within it the earliest registered; of one moment, in the order of their numbers."""
    runner = await bench.runner()
    expect_made(
        await runner.commit(
            new("low", taken=False, priority=-5, at=NOW - 100),
            new("late", taken=False, at=NOW + 2),
            new("runner0-10", taken=False, at=NOW + 1),
            new("runner0-2", taken=False, at=NOW + 1),
        )
    )
    expect_made(
        await runner.commit(
            new("high", taken=False, priority=7, at=NOW + 50),
            new("early", taken=False, at=NOW),
            new("runner0-9", taken=False, at=NOW + 1),
            new("highest", taken=False, priority=1_000_000, due_at=NOW + 9),
        )
    )
    ready = (await runner.store.backlog(TASKS, now=NOW)).ready
    expect(ready, {-5: 1, 0: 5, 7: 1}, "what is ready, by priority")
    ids = ["high", "early", "runner0-2", "runner0-9", "runner0-10", "late", "low"]
    expect(await runner.claim_ids(3), ids[:3], "the first three")
    expect(await runner.claim_ids(), ids[3:], "the rest")


@CLAIMING.rule
async def only_these(bench: Bench) -> None:
    """With `only`, what has one of these ids is claimed, in the same order, if it could be claimed at all."""
    runner, other = await bench.runners(2)
    expect_made(await runner.commit(*(new(f"a-{n}", taken=False, at=NOW + n) for n in range(1, 7))))
    expect_made(
        await runner.commit(
            new("taken"), new("later", taken=False, due_at=NOW + 5), new("other", taken=False, task=OTHER_TASK)
        )
    )
    expect_made(await other.commit(new("elsewhere", taken=False)))
    expect(await runner.claim_ids(only=[]), [], "what is claimed of none")
    ids = ["elsewhere", "later", "nobody", "nobody-7", "other", "a-5", "taken", "a-3"]
    expect(await runner.claim_ids(only=ids, tasks=[TASK]), ["a-3", "a-5"], "what is claimed of these")
    expect(await runner.claim_ids(only=ids, tasks=[TASK]), [], "what is claimed of these then")
    expect(await runner.claim_ids(1, only=["a-6", "a-4"]), ["a-4"], "what is claimed of two, with a limit of 1")
    expect(await runner.claim_ids(only=["later"], now=NOW + 5), ["later"], "what is claimed when it is due")
    expect(await runner.claim_ids(), ["other", "a-1", "a-2", "a-6"], "the rest")
    expect(await other.claim_ids(), ["elsewhere"], "what another runner claims")


@CLAIMING.rule
async def limits(bench: Bench) -> None:
    """At most `limit` are claimed."""
    runner = await bench.runner()
    expect_made(await runner.commit(*(new(f"a-{n}", taken=False) for n in range(700))))
    expect(await runner.claim_ids(0), [], "with a limit of 0")
    expect(len(await runner.claim_ids(1)), 1, "with a limit of 1")
    expect(len(await runner.claim_ids(600)), 600, "with a limit of 600")
    expect(len(await runner.claim_ids(600)), 99, "what is left")


@CLAIMING.rule
async def at_once(bench: Bench) -> None:
    """Claims that are made at once share the backlog: each invocation is claimed once."""
    runner = await bench.runner()
    ids = [f"a-{number}" for number in range(100)]
    expect_made(await runner.commit(*(new(invocation_id, taken=False) for invocation_id in ids)))
    claims = await asyncio.gather(*(runner.claim_ids(15) for _ in range(8)))
    expect(sorted(one for claim in claims for one in claim), sorted(ids), "what was claimed, by all together")


@CLAIMING.rule
async def ended_in_the_backlog(bench: Bench) -> None:
    """What lies in the backlog may be ended by its home, and is not claimed then."""
    runner = await bench.runner()
    expect_made(await runner.commit(new("a", taken=False), move("a", 1, S.CANCELLED, taken=False)))
    expect(await runner.store.backlog(TASKS, now=NOW), Backlog(ready={}, next_due=None), "the backlog")
    expect(await runner.claim_ids(), [], "what was claimed")
