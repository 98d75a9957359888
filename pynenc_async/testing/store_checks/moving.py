"""Transitions: compare and set, the status table, and batches."""

import asyncio
from typing import Final

from pynenc_async.errors import InvocationStatusError
from pynenc_async.status import InvocationStatus
from pynenc_async.store.values import Change, RefusalKind, StoredStep, Transition
from pynenc_async.testing.store_checks.bench import NOW, TASK, Bench, Runner, S, in_status, move, new, start, steps_of
from pynenc_async.testing.store_checks.check import (
    BrokenRuleError,
    Subject,
    expect,
    expect_kinds,
    expect_made,
)

MOVING: Final = Subject("moving")
_STALE: Final = RefusalKind.STALE


async def _expect_forbidden(runner: Runner, *changes: Change, what: str) -> None:
    try:
        await runner.commit(*changes)
    except InvocationStatusError:
        return
    raise BrokenRuleError(f"no InvocationStatusError for {what}")


@MOVING.rule
async def fields(bench: Bench) -> None:
    """A transition sets what it says: status, revision, attempt, moments, when it is due, whether it is taken."""
    runner = await bench.runner()
    expect_made(await runner.commit(new("a", due_at=NOW + 5)))
    expect_made(await runner.commit(start("a", at=NOW + 6)))
    row = await runner.row("a")
    expect((row.status, row.revision, row.attempt), (S.RUNNING, 3, 1), "status, revision, attempt")
    expect((row.started_at, row.ended_at, row.due_at), (NOW + 6, None, None), "started_at, ended_at, due_at")
    expect_made(await runner.commit(move("a", 3, S.RETRY, due_at=NOW + 20, taken=False)))
    row = await runner.row("a")
    expect((row.due_at, row.taken, row.num_retries), (NOW + 20, False, 1), "due_at, taken, num_retries")
    expect_made(await runner.commit(move("a", 4, S.PENDING, S.RUNNING, at=NOW + 21, attempt=2)))
    expect_made(await runner.commit(move("a", 6, S.SUCCESS, at=NOW + 22.5, attempt=2, result=b'"yes"')))
    row = await runner.row("a")
    expect((row.status, row.revision, row.attempt), (S.SUCCESS, 7, 2), "status, revision, attempt")
    expect((row.started_at, row.ended_at), (NOW + 21, NOW + 22.5), "started_at (of the last attempt), ended_at")
    expect((row.result, row.error, row.num_retries), (b'"yes"', None, 1), "result, error, num_retries")
    expect((row.registered_at, row.home, row.taken), (NOW, runner.id, True), "registered_at, home, taken")


@MOVING.rule
async def several_attempts(bench: Bench) -> None:
    """Several attempts may be in one change: the last one counts, and all are in the history."""
    runner = await bench.runner()
    steps = (
        *steps_of(S.PENDING, S.RUNNING, at=NOW + 1, attempt=1),
        *steps_of(S.RETRY, at=NOW + 2, attempt=1),
        *steps_of(S.PENDING, S.RUNNING, at=NOW + 3, attempt=2),
        *steps_of(S.RETRY, at=NOW + 4, attempt=2),
        *steps_of(S.PENDING, S.RUNNING, S.PAUSED, at=NOW + 5, attempt=3),
    )
    expect_made(await runner.commit(new("a"), Transition(invocation_id="a", revision=1, steps=steps)))
    row = await runner.row("a")
    expect((row.status, row.revision, row.attempt), (S.PAUSED, 10, 3), "status, revision, attempt")
    expect((row.num_retries, row.started_at), (2, NOW + 5), "num_retries, started_at")
    told = [(step.status, step.timestamp, step.attempt, step.reason) for step in runner.store.history("a")[1:]]
    expect(told, list(steps), "the history")


@MOVING.rule
async def order_of_time(bench: Bench) -> None:
    """A history never goes back in time, whoever's clock was set back, in one change, between two, or by a recovery."""
    first, second = await bench.runners(2)
    steps = (*steps_of(S.PENDING, at=NOW + 9, attempt=1), *steps_of(S.RUNNING, at=NOW + 5, attempt=1))
    expect_made(await first.commit(new("a"), Transition(invocation_id="a", revision=1, steps=steps)))
    expect_made(await first.commit(move("a", 3, S.PAUSED, at=NOW + 7)))
    await bench.bury(first, by=second)
    await second.store.recover([TASK], now=NOW + 8)
    await second.claim_ids(now=NOW + 10)
    row = await second.row("a")
    expect_made(await second.commit(move("a", row.revision, S.PENDING, S.RUNNING, at=NOW + 11, attempt=2)))
    expect(
        [step.timestamp - NOW for step in second.store.history("a")],
        [0.0, 9.0, 9.0, 9.0, 9.0, 9.0, 11.0, 11.0],
        "the moments of the history",
    )


@MOVING.rule
async def errors(bench: Bench) -> None:
    """With any end but SUCCESS goes an error."""
    runner = await bench.runner()
    error = b'{"type_name":"builtins.ValueError","message":"no"}'
    expect_made(await runner.commit(new("a"), start("a"), move("a", 3, S.FAILED, error=error)))
    expect_made(await runner.commit(new("b"), move("b", 1, S.CANCELLED, error=error)))
    for invocation_id in "ab":
        row = await runner.row(invocation_id)
        expect((row.result, row.error), (None, error), "result, error")


@MOVING.rule
async def unknown(bench: Bench) -> None:
    """A transition is refused as UNKNOWN where the store has no such invocation."""
    runner = await bench.runner()
    expect_kinds(await runner.commit(start("a"), new("b")), RefusalKind.UNKNOWN, None, what="the batch")
    expect(sorted(await runner.rows()), ["b"], "what is stored")


@MOVING.rule
async def stale_revision(bench: Bench) -> None:
    """A transition is refused as STALE unless the revision is the stored one; then nothing changes."""
    runner = await bench.runner()
    expect_made(await runner.commit(new("a"), start("a")))
    before, history = await runner.row("a"), runner.store.history("a")
    for revision in (2, 4, 1, 0, -1):
        change = move("a", revision, S.SUCCESS, result=b"1", due_at=NOW)
        expect_kinds(await runner.commit(change), _STALE, what=f"revision {revision} instead of 3")
    expect(await runner.row("a"), before, "the invocation")
    expect(runner.store.history("a"), history, "its history")


@MOVING.rule
async def stale_home(bench: Bench) -> None:
    """A transition is refused as STALE unless the runner is the home."""
    runner, other = await bench.runners(2)
    expect_made(await runner.commit(new("a"), new("b", taken=False)))
    before = await runner.rows()
    refusals = await other.commit(start("a"), start("b"), new("c"))
    expect_kinds(refusals, _STALE, _STALE, None, what="what belongs to another runner")
    after = await runner.rows()
    del after["c"]
    expect(after, before, "what belongs to the other")


@MOVING.rule
async def stale_before_forbidden(bench: Bench) -> None:
    """Of a transition that is STALE the steps are not looked at: it is refused, and does not raise."""
    runner, other = await bench.runners(2)
    expect_made(await runner.commit(new("a"), start("a"), move("a", 3, S.SUCCESS)))
    expect_kinds(await runner.commit(move("a", 3, S.FAILED)), _STALE, what="another end, decided before the first")
    expect_kinds(await other.commit(move("a", 4, S.RUNNING)), _STALE, what="what belongs to another runner")


@MOVING.rule
async def refused_alone(bench: Bench) -> None:
    """A transition that is refused does not keep later ones from being made, and what builds on it is STALE."""
    runner = await bench.runner()
    expect_made(await runner.commit(new("a"), new("b"), new("c")))
    refusals = await runner.commit(
        start("a"), start("b", revision=7), move("b", 9, S.SUCCESS), start("c"), move("a", 3, S.SUCCESS)
    )
    expect_kinds(refusals, None, _STALE, _STALE, None, None, what="the batch")
    statuses = {invocation_id: row.status for invocation_id, row in (await runner.rows()).items()}
    expect(statuses, {"a": S.SUCCESS, "b": S.REGISTERED, "c": S.RUNNING}, "the statuses")


@MOVING.rule
async def first_writer_wins(bench: Bench) -> None:
    """The first writer wins: of many that were decided on one revision, one is made."""
    runner = await bench.runner()
    expect_made(await runner.commit(new("a")))
    answers = await asyncio.gather(*(runner.commit(start("a", at=NOW + n)) for n in range(20)))
    expect(sum(refusals == [None] for refusals in answers), 1, "how many were made")
    expect((await runner.row("a")).revision, 3, "the revision")


@MOVING.rule
async def forbidden(bench: Bench) -> None:
    """Steps that are no path of the table raise `InvocationStatusError` before anything is done."""
    runner = await bench.runner()
    expect_made(await runner.commit(new("a"), new("b"), start("b"), new("c"), start("c")))
    before = await runner.rows()
    wrong = {
        "a skipped status": move("a", 1, S.RUNNING),
        "a break in the middle": move("a", 1, S.PENDING, S.SUCCESS),
        "no step": move("a", 1),
        "the same status again": move("b", 3, S.RUNNING),
        "a second beginning": move("b", 3, S.REGISTERED),
    }
    for what, change in wrong.items():
        await _expect_forbidden(runner, new("d"), move("c", 3, S.PAUSED), change, new("e"), what=what)
        expect(await runner.rows(), before, f"what is stored after {what}")
        expect(runner.statuses("c"), [S.REGISTERED, S.PENDING, S.RUNNING], "a history")
    expect_made(await runner.commit(move("c", 3, S.PAUSED)), "the store goes on")


@MOVING.rule
async def every_transition(bench: Bench) -> None:
    """Every transition of the table is made; the history says so."""
    runner = await bench.runner()
    pairs = [(one, other) for one in S for other in S if one.can_transition_to(other)]
    for one, other in pairs:
        invocation_id = f"{one}-{other}"
        expect_made(await runner.commit(in_status(invocation_id, one)), f"a history that has led to {one}")
        revision = (await runner.row(invocation_id)).revision
        expect_made(await runner.commit(move(invocation_id, revision, other)), f"from {one} to {other}")
        row = await runner.row(invocation_id)
        expect((row.status, row.ended_at is not None), (other, other.is_final()), "status, whether it has ended")
        expect(len(runner.store.history(invocation_id)), row.revision, "the entries of the history")


@MOVING.rule
async def no_other_transition(bench: Bench) -> None:
    """No transition that the table forbids is made: it raises."""
    runner = await bench.runner()
    statuses: tuple[InvocationStatus, ...] = tuple(S)
    expect_made(await runner.commit(*(in_status(str(status), status) for status in statuses)))
    before = await runner.rows()
    for one in statuses:
        revision = before[str(one)].revision
        for other in statuses:
            if not one.can_transition_to(other):
                await _expect_forbidden(runner, move(str(one), revision, other), what=f"from {one} to {other}")
    expect(await runner.rows(), before, "what is stored")


@MOVING.rule
async def history(bench: Bench) -> None:
    """The history gets one entry for each step, with its moment, attempt, reason, and the runner's id."""
    runner = await bench.runner()
    steps = ((S.PENDING, NOW + 0.1, 1, ""), (S.RUNNING, NOW + 1 / 3, 1, "at last: „ça\u2028va\U0001f389“"))
    expect_made(await runner.commit(new("a"), Transition(invocation_id="a", revision=1, steps=steps)))
    expected = [
        StoredStep(status=status, timestamp=moment, attempt=attempt, reason=reason, runner_id=runner.id)
        for status, moment, attempt, reason in ((S.REGISTERED, NOW, 0, ""), *steps)
    ]
    expect(runner.store.history("a"), expected, "the history")
