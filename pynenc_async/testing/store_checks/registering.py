"""New invocations: what is stored of them, and when they are refused or raise."""

from typing import Final

from pynenc_async.errors import InvocationStatusError
from pynenc_async.store.values import NewInvocation, Refusal, RefusalKind, StoredInvocation, Unique
from pynenc_async.testing.store_checks.bench import NOW, TASK, TASKS, Bench, S, move, new, start, steps_of
from pynenc_async.testing.store_checks.check import (
    BrokenRuleError,
    Subject,
    expect,
    expect_kinds,
    expect_made,
)

REGISTERING: Final = Subject("registering")
_EXISTS: Final = RefusalKind.EXISTS


@REGISTERING.rule
async def all_fields(bench: Bench) -> None:
    """What a registration says is what the store has, and it belongs to the runner that committed it."""
    runner = await bench.runner()
    change = new(
        "runner0-1",
        arguments=b'{"x":[1,2.5,null]}',
        steps=((S.SCHEDULED, NOW + 0.125, 0, "later"),),
        parent_invocation_id="runner0-0",
        priority=-7,
        due_at=NOW + 60.5,
        deadline_at=NOW + 3600.25,
        since=NOW + 0.25,
        max_crashes=5,
        options=b'{"priority":-7}',
        taken=False,
    )
    expect_made(await runner.commit(change))
    expected = StoredInvocation(
        invocation_id="runner0-1",
        task_id=TASK,
        arguments=b'{"x":[1,2.5,null]}',
        parent_invocation_id="runner0-0",
        status=S.SCHEDULED,
        revision=1,
        home=runner.id,
        attempt=0,
        num_retries=0,
        crashes=0,
        max_crashes=5,
        priority=-7,
        registered_at=NOW + 0.125,
        started_at=None,
        ended_at=None,
        due_at=NOW + 60.5,
        deadline_at=NOW + 3600.25,
        since=NOW + 0.25,
        options=b'{"priority":-7}',
        result=None,
        error=None,
        cancel_reason=None,
        taken=False,
    )
    expect(await runner.row("runner0-1"), expected, "the stored invocation")


@REGISTERING.rule
async def defaults(bench: Bench) -> None:
    """What is not said has its default: kept in memory, no parent, priority 0, due now, three crashes."""
    runner = await bench.runner()
    expect_made(await runner.commit(new("a")))
    row = await runner.row("a")
    said = (row.taken, row.parent_invocation_id, row.priority, row.due_at, row.deadline_at, row.options)
    expect(said, (True, None, 0, None, None, b""), "taken, parent, priority, due_at, deadline_at, options")
    expect(row.max_crashes, 3, "max_crashes")


@REGISTERING.rule
async def history_so_far(bench: Bench) -> None:
    """A registration carries the history so far: every step counts one revision."""
    runner = await bench.runner()
    steps = (*steps_of(S.REGISTERED), *steps_of(S.PENDING, S.RUNNING, at=NOW + 2, attempt=1))
    expect_made(await runner.commit(new("a", steps=steps)))
    row = await runner.row("a")
    expect((row.status, row.revision, row.attempt), (S.RUNNING, 3, 1), "status, revision, attempt")
    expect((row.registered_at, row.started_at), (NOW, NOW + 2), "registered_at, started_at")
    expect(runner.statuses("a"), [S.REGISTERED, S.PENDING, S.RUNNING], "the history")


@REGISTERING.rule
async def batches(bench: Bench) -> None:
    """A batch of any size is made as a whole; an empty one too."""
    runner = await bench.runner()
    expect(await runner.commit(), [], "the answer to an empty batch")
    expect_made(await runner.commit(*(new(f"runner0-{number}") for number in range(1_500))))
    expect(await runner.store.counts(), {"registered": 1_500}, "the counts")


@REGISTERING.rule
async def known_id(bench: Bench) -> None:
    """A registration is refused as EXISTS where the id is known, whoever commits it; the first one stays."""
    runner, other = await bench.runners(2)
    expect_made(await runner.commit(new("a", arguments=b'{"x":1}'), start("a")))
    before = await runner.row("a")
    again = await runner.commit(new("a", arguments=b'{"x":2}'), new("b"))
    expect_kinds(again, RefusalKind.EXISTS, None, what="the same id again, and another one in the same batch")
    expect_kinds(await other.commit(new("a")), RefusalKind.EXISTS, what="the same id from another runner")
    expect_kinds(await runner.commit(new("c"), new("c")), None, RefusalKind.EXISTS, what="twice in one batch")
    expect(await runner.row("a"), before, "the invocation that was there first")
    expect(runner.statuses("a"), [S.REGISTERED, S.PENDING, S.RUNNING], "its history")


@REGISTERING.rule
async def who_has_registered_it(bench: Bench) -> None:
    """EXISTS tells a change of the runner's own, whose answer was lost, from the registration of another runner."""
    runner, other = await bench.runners(2)
    expect_made(await runner.commit(new("a", unique=Unique("key")), new("b")))
    expect(await runner.commit(new("a", unique=Unique("key"))), [Refusal(_EXISTS)], "one's own change, committed again")
    expect(await other.commit(new("a")), [Refusal(_EXISTS, runner.id)], "the same id from another runner")
    await bench.bury(runner, by=other)
    expect_made(await other.commit(new("c")))
    expect(await runner.commit(new("b")), [Refusal(_EXISTS)], "one's own change, by a runner that was declared dead")
    await runner.store.rejoin()
    expect(await runner.commit(new("b")), [Refusal(_EXISTS)], "one's own change, from a life before")
    await other.store.recover(TASKS, now=NOW)
    expect(await runner.commit(new("a")), [Refusal(_EXISTS)], "one's own change, which another runner has taken over")
    expect(await other.commit(new("a")), [Refusal(_EXISTS, runner.id)], "what was taken over")


@REGISTERING.rule
async def first_reason(bench: Bench) -> None:
    """The first reason is the one given: EXISTS before DUPLICATE."""
    runner = await bench.runner()
    change = new("a", unique=Unique("key"))
    expect_made(await runner.commit(change))
    expect_kinds(await runner.commit(change), RefusalKind.EXISTS, what="the same change, committed again")


@REGISTERING.rule
async def with_its_transitions(bench: Bench) -> None:
    """A registration and its transitions may be in one batch: each is decided after those before it."""
    runner = await bench.runner()
    refusals = await runner.commit(
        new("a"), start("a"), move("a", 3, S.SUCCESS, result=b"1"), new("b"), move("b", 1, S.CANCELLED)
    )
    expect_made(refusals)
    expect((await runner.row("a")).status, S.SUCCESS, "the status at the end of the batch")
    expect((await runner.row("b")).status, S.CANCELLED, "the status at the end of the batch")


@REGISTERING.rule
async def after_a_refused_one(bench: Bench) -> None:
    """What follows, in a batch, a registration that was refused is refused as UNKNOWN, and only that."""
    runner = await bench.runner()
    refusals = await runner.commit(
        new("a", unique=Unique("key")), new("b", unique=Unique("key")), start("b"), start("a"), new("c")
    )
    expect_kinds(refusals, None, RefusalKind.DUPLICATE, RefusalKind.UNKNOWN, None, None, what="the batch")


_WRONG_HISTORIES: Final = {
    "no step": (),
    "begins as RUNNING": steps_of(S.RUNNING),
    "begins as PENDING": steps_of(S.PENDING),
    "begins at its end": steps_of(S.SUCCESS),
    "skips a status": steps_of(S.REGISTERED, S.RUNNING),
    "begins twice": steps_of(S.REGISTERED, S.REGISTERED),
    "goes on after its end": steps_of(S.REGISTERED, S.CANCELLED, S.PENDING),
}


@REGISTERING.rule
async def wrong_histories(bench: Bench) -> None:
    """A registration whose steps are no path of the table raises `InvocationStatusError`; nothing is made."""
    runner = await bench.runner()
    for what, steps in _WRONG_HISTORIES.items():
        wrong = NewInvocation(invocation_id="wrong", task_id=TASK, arguments=b"{}", steps=steps)
        try:
            await runner.commit(new("before", unique=Unique("key")), wrong, new("behind"))
        except InvocationStatusError:
            pass
        else:
            raise BrokenRuleError(f"no InvocationStatusError for a history that {what}")
        expect(await runner.rows(), {}, f"what is stored after a history that {what}")
        expect(runner.store.standing("key", now=NOW), None, "who stands under a key of that batch")
        expect(runner.store.history("before"), [], "the history of a change of that batch")
    expect_made(await runner.commit(new("before", unique=Unique("key"))), "the store goes on after all that")
