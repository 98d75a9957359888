"""Odd and large values: what goes in comes out, byte for byte."""

from typing import Final

from pynenc_async.store.values import CancelRequest, JournalChange, Permit
from pynenc_async.testing.store_checks.bench import NOW, Bench, S, move, new, start
from pynenc_async.testing.store_checks.check import Subject, expect, expect_made

VALUES: Final = Subject("values")
_ODD_TEXTS: Final = (
    "",
    " ",
    "a b\tc\nd",
    'it\'s "quoted" `here`',
    "100%_[x]*?\\",
    "; DROP TABLE invocations; --",
    "Grüße",
    "e\u0301 is not \u00e9",
    "日本語",
    "🎉👩\u200d👩\u200d👧",
    "\u202eright to left",
    "x" * 5_000,
    "None",
    "0",
)
_MEBIBYTE: Final = 1 << 20


@VALUES.rule
async def texts(bench: Bench) -> None:
    """Ids, task ids, reasons and names are any text."""
    runner = await bench.runner()
    for number, text in enumerate(_ODD_TEXTS):
        task = f"task {text}"
        change = new(text, at=NOW + number, task=task, parent_invocation_id=text, taken=False)
        expect_made(await runner.commit(change))
        expect(await runner.claim_ids(tasks=[task]), [text], "what was claimed")
        expect_made(await runner.commit(start(text, Permit(text, 1)), CancelRequest(invocation_id=text, reason=text)))
        row = await runner.row(text)
        expect((row.invocation_id, row.task_id), (text, task), "invocation_id, task_id")
        expect((row.parent_invocation_id, row.cancel_reason), (text, text), "parent_invocation_id, cancel_reason")
        expect(runner.store.peek(text), row, "what is peeked")
        expect(runner.statuses(text), [S.REGISTERED, S.PENDING, S.RUNNING], "its history")
    expect(len(await runner.rows()), len(_ODD_TEXTS), "how many there are")


@VALUES.rule
async def data(bench: Bench) -> None:
    """Arguments, results, errors and options come back byte for byte, the empty ones too."""
    runner = await bench.runner()
    datas = [
        b"{}",
        b"null",
        b'{"x":"Gr\xc3\xbc\xc3\x9fe \xf0\x9f\x8e\x89"}',
        b'{ "x" : 1.10 , "y":1e400}',
        b'"\\u0000"',
    ]
    for number, data in enumerate(datas):
        name = f"a-{number}"
        expect_made(await runner.commit(new(name, arguments=data, options=data), start(name)))
        expect_made(await runner.commit(move(name, 3, S.SUCCESS, result=data)))
        row = await runner.row(name)
        expect((row.arguments, row.options, row.result, row.error), (data, data, data, None), "the data")
        expect_made(await runner.commit(new(f"b-{number}"), move(f"b-{number}", 1, S.CANCELLED, error=data)))
        row = await runner.row(f"b-{number}")
        expect((row.options, row.result, row.error), (b"", None, data), "options, result, error")


@VALUES.rule
async def large(bench: Bench) -> None:
    """A mebibyte comes back, in each of them, also where several are the same."""
    runner, other = await bench.runners(2)
    first, second = (b'"' + fill * _MEBIBYTE + b'"' for fill in (b"x", b"y"))
    expect_made(await runner.commit(new("a", arguments=first), start("a"), move("a", 3, S.SUCCESS, result=second)))
    expect_made(await runner.commit(new("b", arguments=first), start("b"), move("b", 3, S.FAILED, error=first)))
    expect_made(await runner.commit(new("c", arguments=second, taken=False)))
    expect_made(await runner.commit(JournalChange(invocation_id="a", index=0, entries=(first, b"", second))))
    (claimed,) = await runner.store.claim(["suite.work"], 1, now=NOW)
    expect(claimed.arguments == second, True, "whether what was claimed has its arguments")
    for row in (await other.row("a"), other.store.peek("a")):
        whole = row is not None and (row.arguments, row.result) == (first, second)
        expect(whole, True, "whether arguments and result are whole")
    row = await other.row("b")
    expect((row.arguments, row.error) == (first, first), True, "whether arguments and error are whole")
    expect(await other.store.journal("a") == [first, b"", second], True, "whether the journal is whole")


@VALUES.rule
async def numbers(bench: Bench) -> None:
    """Moments and numbers come back exactly."""
    runner = await bench.runner()
    moments = (0.0, 1e-6, NOW + 1 / 3, 4_102_444_800.123456, 253_402_300_799.0)
    for number, at in enumerate(moments):
        name = f"a-{number}"
        priority = (-1) ** number * (1 << 30)
        change = new(name, at=at, due_at=at, deadline_at=at, since=at, priority=priority, max_crashes=1 << number)
        expect_made(await runner.commit(change))
        row = await runner.row(name)
        found = row.registered_at, row.due_at, row.deadline_at, row.since
        expect(found, (at, at, at, at), "registered_at, due_at, deadline_at, since")
        expect((row.priority, row.max_crashes), (priority, 1 << number), "priority, max_crashes")
        expect(runner.store.history(name)[0].timestamp, at, "the moment of its first step")
