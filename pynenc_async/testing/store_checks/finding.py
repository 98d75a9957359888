"""Finding: every filter, and pages that stay in step while others write."""

from typing import Any, Final

from pynenc_async.store.values import Query, Retention, StoredInvocation
from pynenc_async.testing.store_checks.bench import NOW, OTHER_TASK, TASK, TASKS, Bench, Runner, S, move, new, start
from pynenc_async.testing.store_checks.check import BrokenRuleError, Subject, expect, expect_made

FINDING: Final = Subject("finding")
_MOST_PAGES: Final = 1_000
_TURNS: Final = 12


async def _found(runner: Runner, **conditions: Any) -> list[str]:
    page = await runner.store.find(Query(newest_first=False, **conditions))
    return [row.invocation_id for row in page.invocations]


async def _all_pages(runner: Runner, query: Query) -> list[str]:
    """Return what all pages of a query have, in their order."""
    ids: list[str] = []
    for _ in range(_MOST_PAGES):
        page = await runner.store.find(query)
        ids += [row.invocation_id for row in page.invocations]
        if page.next is None:
            return ids
        if not page.invocations:
            raise BrokenRuleError("an empty page that is not the last")
        query = _next(query, page.next)
    raise BrokenRuleError(f"there is no end of pages: {query!r}")


def _next(query: Query, after: str) -> Query:
    return Query(newest_first=query.newest_first, limit=query.limit, after=after, statuses=query.statuses)


async def _furnished(bench: Bench) -> tuple[Runner, Runner]:
    """Return two runners, and invocations of each: registered one second after the other, `d` and `e` ended."""
    runner, other = await bench.runners(2)
    expect_made(
        await runner.commit(
            new("a", at=NOW),
            new("b", at=NOW + 1, parent_invocation_id="a"),
            new("c", at=NOW + 2, parent_invocation_id="a", task=OTHER_TASK),
            new("d", at=NOW + 3),
            start("b", at=NOW + 5),
            start("d", at=NOW + 5),
            move("d", 3, S.SUCCESS, at=NOW + 20),
        )
    )
    expect_made(await other.commit(new("e", at=NOW + 4, task=OTHER_TASK), move("e", 1, S.CANCELLED, at=NOW + 30)))
    return runner, other


@FINDING.rule
async def filters(bench: Bench) -> None:
    """All conditions of a query hold together; one that says nothing holds for all."""
    runner, other = await _furnished(bench)
    cases: dict[str, dict[str, Any]] = {
        "abcde": {},
        "b": {"statuses": (S.RUNNING,)},
        "acde": {"statuses": (S.REGISTERED, S.SUCCESS, S.CANCELLED)},
        "abd": {"task_ids": (TASK,)},
        "a b c d e": {"task_ids": (TASK, OTHER_TASK)},
        "bc": {"parent_invocation_id": "a"},
        "": {"parent_invocation_id": "b"},
        "e": {"home": other.id},
        "abcd": {"home": runner.id},
        "cde": {"registered_from": NOW + 2},
        "ab": {"registered_before": NOW + 2},
        "c": {"registered_from": NOW + 2, "registered_before": NOW + 3},
        "d e": {"ended_from": NOW + 20},
        "d": {"ended_before": NOW + 30},
        " e": {"ended_from": NOW + 20.5, "ended_before": NOW + 31},
        "c ": {"task_ids": (OTHER_TASK,), "parent_invocation_id": "a", "statuses": (S.REGISTERED,)},
        " ": {"task_ids": (OTHER_TASK,), "statuses": (S.RUNNING,)},
        "  ": {"task_ids": ("suite.WORK",)},
        " c ": {"text": "other_", "parent_invocation_id": "a"},
    }
    for ids, conditions in cases.items():
        expect(await _found(other, **conditions), list(ids.replace(" ", "")), f"found with {conditions}")


_ARGUMENTS: Final = {
    "percent": '{"x":"100%"}',
    "not percent": '{"x":"100 of 100"}',
    "underscore": '{"x":"under_score"}',
    "not underscore": '{"x":"underXscore"}',
    "quote": '{"x":"it\'s"}',
    "double quote": '{"x":"say \\"hi\\""}',
    "backslash": '{"x":"C:\\\\temp"}',
    "lines": '{"x":"one\\ntwo\\tthree"}',
    "brackets": '{"x":"[a-z]*?"}',
    "umlaut": '{"x":"Grüße, ÄRGER"}',
    "kanji": '{"x":"日本語 🎉"}',
    "sql": '{"x":"; DROP TABLE invocations; --"}',
}
_SEARCHES: Final = {
    "0%": ["percent"],
    "r_s": ["underscore"],
    "t's": ["quote"],
    '\\"hi': ["double quote"],
    "\\": ["double quote", "backslash", "lines"],
    "C:\\temp": ["backslash"],
    'say "hi"': ["double quote"],
    "one\ntwo\tthree": ["lines"],
    "[a-z]": ["brackets"],
    "*?": ["brackets"],
    "gRÜ": ["umlaut"],
    "ärger": ["umlaut"],
    "本語 🎉": ["kanji"],
    "drop table": ["sql"],
    "; --": ["sql"],
    "100": ["percent", "not percent"],
    "UNDER": ["underscore", "not underscore"],
    "nowhere": [],
}


@FINDING.rule
async def parent_statuses(bench: Bench) -> None:
    """What is asked for by the status of its parent is found as long as the store has that, whoever runs which of the two."""
    runner, other = await bench.runners(2)
    expect_made(await runner.commit(new("p"), new("q"), start("q"), new("r"), move("r", 1, S.CANCELLED, at=NOW + 5)))
    moments = {"p": NOW, "q": NOW + 1, "r": NOW + 2, "nobody": NOW + 3}
    children = [new(f"of {parent}", at=at, parent_invocation_id=parent) for parent, at in moments.items()]
    expect_made(await other.commit(*children, new("ended", at=NOW + 4, parent_invocation_id="r")))
    expect_made(await other.commit(move("ended", 1, S.CANCELLED, at=NOW + 5)))

    expect(await _found(other, parent_statuses=(S.CANCELLED,)), ["of r", "ended"], "children of what was cancelled")
    expect(
        await _found(other, parent_statuses=(S.CANCELLED,), statuses=(S.REGISTERED,)),
        ["of r"],
        "those of them that live",
    )
    expect(await _found(other, parent_statuses=(S.RUNNING, S.REGISTERED)), ["of p", "of q"], "children of what lives")
    expect(await _found(other, parent_statuses=(S.FAILED,)), [], "children of what has failed")
    await runner.store.purge(Retention(count=0), now=NOW + 10)
    expect(await _found(other, parent_statuses=(S.CANCELLED,)), [], "children of what was forgotten")


@FINDING.rule
async def text(bench: Bench) -> None:
    """`text` is found as it is, whatever the case of its letters; no character in it means another."""
    runner = await bench.runner()
    registrations = [
        new(name, at=NOW + number, arguments=arguments.encode())
        for number, (name, arguments) in enumerate(_ARGUMENTS.items())
    ]
    expect_made(await runner.commit(*registrations))
    for searched, names in _SEARCHES.items():
        expect(await _found(runner, text=searched), names, f"found with the text {searched!r}")


@FINDING.rule
async def text_places(bench: Bench) -> None:
    """`text` is looked for in the task id, the arguments, the result and the error, and nowhere else."""
    runner = await bench.runner()
    long = b'{"x":"' + b"x" * 300_000 + b'Needle"}'
    expect_made(
        await runner.commit(
            new("task", at=NOW, task="needles.work"),
            new("arguments", at=NOW + 1, arguments=b'{"needle":1}'),
            new("result", at=NOW + 2),
            new("error", at=NOW + 3),
            new("long", at=NOW + 4, arguments=long),
            new("needle", at=NOW + 5, parent_invocation_id="needle", options=b'{"needle":1}'),
            start("result"),
            move("result", 3, S.SUCCESS, result=b'"NEEDLE"'),
            start("error"),
            move("error", 3, S.FAILED, error=b'{"message":"no needle"}'),
        )
    )
    expect(await _found(runner, text="needle"), ["task", "arguments", "result", "error", "long"], "found")


@FINDING.rule
async def order(bench: Bench) -> None:
    """What is found is ordered by registration, the newest first unless asked otherwise; one moment is one order."""
    runner = await bench.runner()
    moments = {"c": NOW, "b": NOW + 0.001, "z": NOW + 1, "a": NOW + 1, "M": NOW + 1, "first": NOW - 1}
    expect_made(await runner.commit(*(new(name, at=at) for name, at in moments.items())))
    ordered = await _found(runner)
    expect(ordered[:3], ["first", "c", "b"], "the oldest first")
    expect(set(ordered[3:]), {"M", "a", "z"}, "what was registered at one moment")
    newest = await runner.store.find(Query())
    expect([row.invocation_id for row in newest.invocations], ordered[::-1], "the newest first")
    expect(newest.next, None, "`next` of the last page")


@FINDING.rule
async def pages(bench: Bench) -> None:
    """A page has up to `limit`; `next` asks for the one after it, and is None on the last."""
    runner = await bench.runner()
    ids = [f"a-{number:03}" for number in range(60)]
    expect_made(await runner.commit(*(new(one, at=NOW + number // 7) for number, one in enumerate(ids))))
    for limit in (1, 7, 20, 59, 60, 61):
        for newest_first in (True, False):
            query = Query(limit=limit, newest_first=newest_first)
            page = await runner.store.find(query)
            expect(len(page.invocations), min(limit, 60), f"on a page with limit={limit}")
            expect(page.next is None, limit >= len(ids), f"whether the first page with limit={limit} is the last")
            expected = ids[::-1] if newest_first else ids
            expect(await _all_pages(runner, query), expected, f"on all pages with limit={limit}")


@FINDING.rule
async def in_step(bench: Bench) -> None:
    """Pages stay in step while others write: what stays is told once, in its order."""
    runner, other = await bench.runners(2)
    ids = [f"m-{number:02}" for number in range(40)]
    expect_made(await runner.commit(*(new(one, at=NOW + number // 3) for number, one in enumerate(ids))))
    for newest_first in (True, False):
        seen = await _read_among_writes(runner, other, Query(limit=4, newest_first=newest_first))
        stayed = [one for one in seen if one.startswith("m-")]
        expect(stayed, ids[::-1] if newest_first else ids, "what was there all the time")
        expect(len(seen), len(set(seen)), "how many were told, and how many different ones")


async def _read_among_writes(reader: Runner, writer: Runner, query: Query) -> list[str]:
    """Read all pages; between the first of them, others register what comes before, among and behind what is read."""
    seen: list[str] = []
    for turn in range(_MOST_PAGES):
        page = await reader.store.find(query)
        seen += [row.invocation_id for row in page.invocations]
        if page.next is None:
            return seen
        if turn < _TURNS:
            await _disturb(reader, writer, page.invocations[-1], turn)
        query = _next(query, page.next)
    raise BrokenRuleError("there is no end of pages")


async def _disturb(reader: Runner, writer: Runner, last: StoredInvocation, turn: int) -> None:
    name = f"{last.invocation_id}-{turn}"
    moments = {"before": NOW - 1 - turn, "among": NOW + turn, "behind": NOW + 1_000 + turn}
    expect_made(await writer.commit(*(new(f"{where} {name}", at=at) for where, at in moments.items())))
    if last.home == reader.id and last.status is S.REGISTERED:
        expect_made(await reader.commit(start(last.invocation_id, at=NOW + 2_000)))


@FINDING.rule
async def current(bench: Bench) -> None:
    """A query finds what all runners have committed, and in which status it is now."""
    runner, other = await bench.runners(2)
    expect_made(await runner.commit(new("a"), new("b")))
    expect(await _found(other, statuses=(S.REGISTERED,)), ["a", "b"], "found by another runner")
    expect_made(await runner.commit(start("a")))
    expect(await _found(other, statuses=(S.REGISTERED,)), ["b"], "found after a change")
    expect(await _found(other, statuses=(S.RUNNING,)), ["a"], "found after a change")
    await bench.lose(runner)
    await other.store.recover(TASKS, now=NOW)
    expect(await _found(other, home=other.id), ["a", "b"], "found after a recovery")
