"""Questions: what is committed is seen, at once, by all, in any thread; and bells."""

import asyncio
from typing import Final

from pynenc_async.store.values import CancelRequest, JournalChange, RefusalKind
from pynenc_async.testing.store_checks.bench import NOW, TASKS, Bench, S, in_status, move, new, start
from pynenc_async.testing.store_checks.check import Subject, expect, expect_kinds, expect_made

ASKING: Final = Subject("asking")


@ASKING.rule
async def load(bench: Bench) -> None:
    """`load` returns those that are known, each once."""
    runner, other = await bench.runners(2)
    expect_made(await runner.commit(new("a"), new("b"), new("c")))
    for asker in (runner, other):
        rows = await asker.store.load(["c", "nobody", "a", ""])
        expect(sorted(row.invocation_id for row in rows), ["a", "c"], "what was loaded")
    expect(await runner.store.load([]), [], "what was loaded of nothing")
    ids = [f"d-{number}" for number in range(1_200)]
    expect_made(await runner.commit(*(new(one) for one in ids)))
    rows = await runner.store.load([*ids, "nobody"])
    expect(sorted(row.invocation_id for row in rows), sorted(ids), "a load of many")


@ASKING.rule
async def peek(bench: Bench) -> None:
    """`peek` and `history` see what was committed before, in every runner, without a turn of the loop."""
    runner, other = await bench.runners(2)
    expect(runner.store.peek("a"), None, "what is not known")
    expect(runner.store.history("a"), [], "the history of what is not known")
    for change in (new("a"), start("a"), move("a", 3, S.SUCCESS, result=b'"done"')):
        expect_made(await runner.commit(change))
        row = await runner.row("a")
        for asker in (runner, other):
            expect(asker.store.peek("a"), row, "what is peeked, and what is loaded")
            expect(len(asker.store.history("a")), row.revision, "the entries of the history")


@ASKING.rule
async def threads(bench: Bench) -> None:
    """`peek`, `standing` and `history` may be called in any thread, while the loop writes."""
    runner = await bench.runner()
    expect_made(await runner.commit(new("a")))

    def read() -> list[int]:
        seen: list[int] = []
        for _ in range(50):
            row = runner.store.peek("a")
            seen.append(-1 if row is None else row.revision)
            runner.store.standing("key", now=NOW)
            seen.append(len(runner.store.history("a")))
        return seen

    readers = [asyncio.ensure_future(asyncio.to_thread(read)) for _ in range(3)]
    expect_made(await runner.commit(start("a")))
    for revision in range(3, 13, 2):
        expect_made(await runner.commit(move("a", revision, S.PAUSED), move("a", revision + 1, S.RESUMED)))
    for seen in await asyncio.gather(*readers):
        expect(seen, sorted(seen), "the revisions that a thread has seen, one after the other")
        expect({1, 3, 5, 7, 9, 11, 13}.issuperset(seen), True, "whether a thread has seen whole commits only")


@ASKING.rule
async def counts(bench: Bench) -> None:
    """`counts` says how many there are in each status that occurs."""
    runner, other = await bench.runners(2)
    expect(await runner.store.counts(), {}, "the counts of an empty store")
    expect_made(await runner.commit(*(in_status(str(status), status) for status in S), new("one more")))
    expected = {str(status): 1 for status in S} | {"registered": 2}
    expect(await runner.store.counts(), expected, "the counts")
    expect_made(await runner.commit(start("one more")))
    expected |= {"registered": 1, "running": 2}
    expect(await other.store.counts(), expected, "the counts, as another runner sees them")


@ASKING.rule
async def journals(bench: Bench) -> None:
    """A journal is, from the entry named on, what was committed last, and nothing more."""
    runner, other = await bench.runners(2)
    expect_made(await runner.commit(new("a"), new("b")))
    expect(await runner.store.journal("a"), [], "a journal that nobody has written")
    expect(await runner.store.journal("nobody"), [], "the journal of nobody")
    odd = bytes(range(256))
    changes: list[tuple[int, tuple[bytes, ...], list[bytes]]] = [
        (0, (b"0", b"1", b"2"), [b"0", b"1", b"2"]),
        (3, (b"3",), [b"0", b"1", b"2", b"3"]),
        (1, (b"one", odd), [b"0", b"one", odd]),
        (2, (), [b"0", b"one"]),
        (2, (b"",), [b"0", b"one", b""]),
        (0, (), []),
        (0, tuple(b"%d" % n for n in range(300)), [b"%d" % n for n in range(300)]),
    ]
    for index, entries, expected in changes:
        expect_made(await runner.commit(JournalChange(invocation_id="a", index=index, entries=entries)))
        expect(await other.store.journal("a"), expected, f"the journal after {entries!r:.60} from {index} on")
    expect(await runner.store.journal("b"), [], "the journal of another one")


@ASKING.rule
async def journals_refused(bench: Bench) -> None:
    """A journal is refused as UNKNOWN without an invocation, as STALE unless the runner is the home."""
    runner, other = await bench.runners(2)
    change = JournalChange(invocation_id="a", index=0, entries=(b"0",))
    refusals = await runner.commit(change, new("a"), change)
    expect_kinds(refusals, RefusalKind.UNKNOWN, None, None, what="a journal before and after the registration")
    late = JournalChange(invocation_id="a", index=0, entries=(b"late",))
    expect_kinds(await other.commit(late), RefusalKind.STALE, what="a journal by another runner")
    expect(await runner.store.journal("a"), [b"0"], "the journal")
    expect((await runner.row("a")).revision, 1, "the revision: a journal counts none")


@ASKING.rule
async def bells(bench: Bench) -> None:
    """The bell rings soon after another runner has committed something, or asked for something."""
    listener, other = await bench.runners(2)
    rung: list[str] = []
    listener.store.listen(lambda: rung.append("rung"))
    expect_made(await listener.commit(new("a"), start("a")))
    for change in (new("b"), start("b"), CancelRequest(invocation_id="a", reason=""), move("b", 3, S.SUCCESS)):
        rung.clear()
        expect_made(await other.commit(change))
        expect(await bench.until(lambda: bool(rung)), True, f"whether the bell rang after {change!r}")


@ASKING.rule
async def handed_out(bench: Bench) -> None:
    """What is handed out is the caller's own: what becomes of it changes nothing in the store."""
    runner = await bench.runner()
    expect_made(await runner.commit(new("a", taken=False), JournalChange(invocation_id="a", index=0, entries=(b"0",))))
    store = runner.store
    for answer in (
        store.history("a"),
        await store.journal("a"),
        await store.load(["a"]),
        await store.cancel_requests(),
    ):
        answer.clear()
    (await store.counts()).clear()
    (await store.backlog(TASKS, now=NOW)).ready.clear()
    expect(runner.statuses("a"), [S.REGISTERED], "the history")
    expect(await store.journal("a"), [b"0"], "the journal")
    expect(await store.counts(), {"registered": 1}, "the counts")
    expect((await store.backlog(TASKS, now=NOW)).ready, {0: 1}, "the backlog")
    expect(len(await store.claim(TASKS, 10, now=NOW)), 1, "what was claimed")
