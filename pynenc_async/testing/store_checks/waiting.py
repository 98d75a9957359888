"""Waits that cross processes: what is said of them, how they are followed, and when they are over."""

from typing import Final

from msgspec.structs import replace

from pynenc_async.store.values import (
    Awaited,
    CancelRequest,
    Need,
    Permit,
    RefusalKind,
    Retention,
    StoredWait,
    WaitChange,
)
from pynenc_async.testing.store_checks.bench import NOW, TASKS, Bench, Runner, S, in_status, move, new, start
from pynenc_async.testing.store_checks.check import Subject, expect, expect_kinds, expect_made

WAITING: Final = Subject("waiting")
_ONE: Final = Permit("one", 1)
_TWO: Final = Permit("two", 2)


def _wait(name: str, *needs: str | tuple[str, ...], revision: int = 4, refusable: bool = True) -> WaitChange:
    """Return what is said of one that is PAUSED; a name alone needs no permit."""
    named = tuple(tuple(map(Awaited, (need,) if isinstance(need, str) else need)) for need in needs)
    return WaitChange(invocation_id=name, revision=revision, needs=named, refusable=refusable)


async def _pause(runner: Runner, *names: str, permits: tuple[Permit, ...] = ()) -> None:
    for name in names:
        expect_made(await runner.commit(new(name), start(name, *permits), move(name, 3, S.PAUSED)))


async def _followed(runner: Runner, *names: str) -> dict[str, StoredWait]:
    return {wait.invocation_id: wait for wait in await runner.store.waits(names)}


async def _needs(runner: Runner, *names: str) -> dict[str, list[Need]]:
    found = await _followed(runner, *names)
    return {name: [*found[name].needs] for name in sorted(found)}


@WAITING.rule
async def followed(bench: Bench) -> None:
    """A wait is followed from one invocation to the next, whoever is their home; what nobody there waits for is left out."""
    one, other = await bench.runners(2)
    await _pause(one, "a", "c", "d")
    await _pause(other, "b")
    expect_made(await one.commit(_wait("a", "b"), _wait("c", "a", refusable=False), _wait("d", "a")))
    expect_made(await other.commit(_wait("b", "c")))
    for runner in (one, other):
        expected = {"a": [Need(("b",))], "b": [Need(("c",))], "c": [Need(("a",))]}
        expect(await _needs(runner, "a"), expected, "the waits behind a")
    found = await _followed(one, "d")
    homes = {name: wait.home for name, wait in found.items()}
    expect(homes, {"a": one.id, "b": other.id, "c": one.id, "d": one.id}, "their homes")
    expect([name for name, wait in found.items() if not wait.refusable], ["c"], "which are not refusable")
    expect(sorted(found, key=lambda name: found[name].number), ["a", "c", "d", "b"], "in the order of their commits")
    expect(await one.store.waits(["nobody"]), [], "the waits behind what is not known")


@WAITING.rule
async def no_step(bench: Bench) -> None:
    """To say a wait is no step: status, revision and history are as before."""
    runner = await bench.runner()
    await _pause(runner, "a", "b")
    before = await runner.row("a"), runner.store.history("a")
    expect_made(await runner.commit(_wait("a", "b")))
    expect((await runner.row("a"), runner.store.history("a")), before, "row and history")
    expect_made(await runner.commit(move("a", 4, S.RESUMED)), "a change on the revision from before")


@WAITING.rule
async def said_again(bench: Bench) -> None:
    """What is said again takes the place of what was said before, with a later number; nothing takes it back."""
    runner = await bench.runner()
    await _pause(runner, "a", "b", "c")
    expect_made(await runner.commit(_wait("a", "b"), _wait("b", "c")))
    expect_made(await runner.commit(_wait("a", "c", "b")))
    found = await _followed(runner, "a")
    expect([*found["a"].needs], [Need(("c",)), Need(("b",))], "what a waits for")
    expect(found["a"].number > found["b"].number, True, "whether it has the later number")
    expect_made(await runner.commit(_wait("a")))
    expect(await _needs(runner, "a"), {}, "the waits of what waits for nothing")


@WAITING.rule
async def lasts(bench: Bench) -> None:
    """Said again with the same needs in the same revision, it is the same wait, with its number, and with what was seen."""
    runner = await bench.runner()
    await _pause(runner, "a", "b", "c")
    expect_made(await runner.commit(_wait("a", "b", "c"), _wait("b", "a")))
    before = await _followed(runner, "a")
    expect([before[name].seen for name in "ab"], [0, 0], "what was seen, where nothing is said of that")
    last = before["b"].number
    expect_made(await runner.commit(replace(_wait("a", "b", "c"), seen=last)))
    after = await _followed(runner, "a")
    expect(after, before | {"a": replace(before["a"], seen=last)}, "the waits when a was said again")
    expect_made(await runner.commit(move("a", 4, S.RESUMED, S.PAUSED), _wait("a", "b", "c", revision=6)))
    expect((await _followed(runner, "a"))["a"].number > last, True, "whether it is another wait in a later revision")


@WAITING.rule
async def fenced(bench: Bench) -> None:
    """A wait is refused as UNKNOWN, and as STALE for another revision or home, and for what no runner has under way."""
    runner, other = await bench.runners(2)
    await _pause(runner, "a", "b")
    expect_made(await runner.commit(*(in_status(str(status), status) for status in S)))
    owned = (S.PENDING, S.RUNNING, S.PAUSED, S.RESUMED)
    rows = await runner.rows()
    for status in S:
        refusals = await runner.commit(_wait(str(status), "a", revision=rows[str(status)].revision))
        expect_kinds(refusals, None if status in owned else RefusalKind.STALE, what=f"the wait of what is {status}")
    expect_kinds(await runner.commit(_wait("x", "a")), RefusalKind.UNKNOWN, what="the wait of what is not known")
    expect_kinds(await runner.commit(_wait("a", "b", revision=3)), RefusalKind.STALE, what="a revision of before")
    expect_kinds(await runner.commit(_wait("a", "b", revision=5)), RefusalKind.STALE, what="a revision to come")
    expect_kinds(await other.commit(_wait("a", "b")), RefusalKind.STALE, what="the wait of another runner's invocation")
    expect(await _needs(runner, "a", "b"), {}, "what a and b wait for")


@WAITING.rule
async def in_its_order(bench: Bench) -> None:
    """In a batch it counts in its order: before a step, it is of the revision of before, and over with that."""
    runner = await bench.runner()
    await _pause(runner, "b")
    expect_made(await runner.commit(new("a"), start("a")))
    expect_made(await runner.commit(_wait("a", "b", revision=3), move("a", 3, S.PAUSED), _wait("b", "a")))
    expect(await _needs(runner, "a", "b"), {"b": [Need(("a",))]}, "what a and b wait for")
    expect_made(await runner.commit(move("a", 4, S.RESUMED), move("a", 5, S.PAUSED), _wait("a", "b", revision=6)))
    expect(await _needs(runner, "a"), {"a": [Need(("b",))], "b": [Need(("a",))]}, "what they wait for then")


@WAITING.rule
async def until_the_next_step(bench: Bench) -> None:
    """A wait is over with the next step of its invocation, and when its home is lost, and comes back with neither."""
    runner, other = await bench.runners(2)
    await _pause(runner, "a", "b")
    await _pause(other, "c")
    expect_made(await other.commit(_wait("c", "a")))
    expect_made(await runner.commit(_wait("a", "b"), _wait("b", "a")))
    expect_made(await runner.commit(move("a", 4, S.RESUMED)))
    expect(await _needs(runner, "a", "b"), {"b": [Need(("a",))]}, "what they wait for")
    await bench.bury(runner, by=other)
    expect(await _needs(other, "c"), {"c": [Need(("a",))]}, "what is behind c when the home of a and b was lost")
    await other.store.recover(TASKS, now=NOW + 1)
    expect(await _needs(other, "b", "c"), {"c": [Need(("a",))]}, "what is behind c when others have taken them over")
    await runner.store.rejoin()
    expect(await _needs(other, "b", "c"), {"c": [Need(("a",))]}, "what is behind c when their home has joined again")


@WAITING.rule
async def of_an_earlier_life(bench: Bench) -> None:
    """What was said in an earlier life of a runner does not hold in the next one."""
    runner, other = await bench.runners(2)
    await _pause(runner, "a", "b")
    expect_made(await runner.commit(_wait("a", "b"), _wait("b", "a")))
    await bench.bury(runner, by=other)
    await runner.store.rejoin()
    expect(await _needs(other, "a", "b"), {}, "what they wait for")


@WAITING.rule
async def met(bench: Bench) -> None:
    """A need is met when one of its invocations has ended, is to be cancelled, or is unknown."""
    runner, other = await bench.runners(2)
    await _pause(runner, "a", "b", "c", "d")
    expect_made(await runner.commit(_wait("a", ("b", "c"), "d"), _wait("b", "a"), _wait("c", "gone"), _wait("d", "a")))
    both = [Need(("b", "c")), Need(("d",))]
    expect((await _needs(runner, "a")), {"a": both, "b": [Need(("a",))], "d": [Need(("a",))]}, "at first")
    expect_made(await runner.commit(move("c", 4, S.CANCELLED)))
    expect((await _needs(runner, "a"))["a"], both[1:], "what a waits for when c has ended")
    expect_made(await other.commit(CancelRequest(invocation_id="d", reason="")))
    expect("a" in await _needs(runner, "a", "d"), False, "whether a waits when d is to be cancelled")


@WAITING.rule
async def for_permits(bench: Bench) -> None:
    """What has not started waits for those who hold its permits, as many of them as have to give theirs back."""
    runner, other = await bench.runners(2)
    await _pause(runner, "h", "i", permits=(_TWO,))
    await _pause(other, "a")
    expect_made(await runner.commit(new("w"), new("v"), _wait("h", "a")))
    named = WaitChange(
        invocation_id="a", revision=4, needs=((Awaited("w", (_TWO,)),), (Awaited("v", (_TWO, Permit("free", 1))),))
    )
    expect_made(await other.commit(named))
    expected = {
        "a": [Need(("w",)), Need(("v",))],
        "h": [Need(("a",))],
        "v": [Need(("h", "i"), 1)],
        "w": [Need(("h", "i"), 1)],
    }
    expect(await _needs(other, "a"), expected, "what is behind a")
    found = await _followed(other, "a")
    expect(
        (found["w"].number, found["w"].refusable),
        (0, False),
        "the number of what has not started, and whether refusable",
    )
    narrow = WaitChange(invocation_id="a", revision=4, needs=((Awaited("w", (Permit("two", 1),)),),))
    expect_made(await other.commit(narrow))
    expect((await _needs(other, "a"))["w"], [Need(("h", "i"), 2)], "under a narrower limit")
    expect_made(await runner.commit(move("i", 4, S.KILLED)))
    expect((await _needs(other, "a"))["w"], [Need(("h",), 1)], "when one has given its permit back")
    expect_made(await other.commit(named))
    expect(
        await _needs(other, "a", "w"), {"a": [Need(("w",)), Need(("v",))], "h": [Need(("a",))]}, "when there is room"
    )


@WAITING.rule
async def between_attempts(bench: Bench) -> None:
    """So waits what waits for its next attempt; what has started waits for no permit, and nobody for its own."""
    runner = await bench.runner()
    await _pause(runner, "a")
    expect_made(await runner.commit(new("w"), start("w", _ONE)))
    expect_made(await runner.commit(WaitChange(invocation_id="a", revision=4, needs=((Awaited("w", (_ONE,)),),))))
    expect(await _needs(runner, "a"), {"a": [Need(("w",))]}, "what is behind a while w runs")
    expect_made(await runner.commit(move("w", 3, S.RETRY), new("h"), start("h", _ONE)))
    expect(await _needs(runner, "a"), {"a": [Need(("w",))], "w": [Need(("h",), 1)]}, "when another has the permit")


@WAITING.rule
async def survives_purges(bench: Bench) -> None:
    """A wait that holds is not purged."""
    runner = await bench.runner()
    await _pause(runner, "a", "b")
    expect_made(await runner.commit(_wait("a", "b"), _wait("b", "a"), in_status("c", S.SUCCESS)))
    await runner.store.purge(Retention(count=0), now=NOW + 1e6)
    expect(await _needs(runner, "a"), {"a": [Need(("b",))], "b": [Need(("a",))]}, "what is behind a")
