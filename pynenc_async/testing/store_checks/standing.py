"""Unique keys: who stands under one, until when, and who takes its place."""

from typing import Final

from pynenc_async.store.values import REPLACED, CancelRequest, Fire, Refusal, RefusalKind, Unique
from pynenc_async.testing.store_checks.bench import NOW, TASKS, Bench, S, move, new, start
from pynenc_async.testing.store_checks.check import Subject, expect, expect_kinds, expect_made

STANDING: Final = Subject("standing")
_KEY: Final = Unique("key")


@STANDING.rule
async def duplicates(bench: Bench) -> None:
    """A registration is refused as DUPLICATE where another one stands; the detail names it, the rest goes on."""
    runner, other = await bench.runners(2)
    refusals = await runner.commit(new("a", unique=_KEY), new("b", unique=_KEY), new("c"))
    expect(refusals, [None, Refusal(RefusalKind.DUPLICATE, "a"), None], "two of one key in a batch")
    expect(await other.commit(new("d", unique=_KEY)), [Refusal(RefusalKind.DUPLICATE, "a")], "in another runner")
    expect(sorted(await runner.rows()), ["a", "c"], "what is stored")
    expect(runner.store.standing("key", now=NOW), "a", "who stands")
    expect(other.store.standing("key", now=NOW), "a", "who stands, as another runner sees it")


@STANDING.rule
async def keys_differ(bench: Bench) -> None:
    """Keys are compared exactly."""
    runner = await bench.runner()
    keys = ["key", "KEY", "key ", " key", "ké", "ke\u0301", "", "%", "k_y", "'", "suite.work\n{}"]
    expect_made(await runner.commit(*(new(f"a-{n}", unique=Unique(key)) for n, key in enumerate(keys))))
    for number, key in enumerate(keys):
        expect(runner.store.standing(key, now=NOW), f"a-{number}", f"who stands under {key!r}")
    expect(runner.store.standing("other", now=NOW), None, "who stands under a key of nobody")


@STANDING.rule
async def until_ended(bench: Bench) -> None:
    """A final status ends its stand, whichever it is, and no other status does."""
    runner = await bench.runner()
    ends = (S.SUCCESS, S.FAILED, S.CANCELLED)
    for end in ends:
        key = Unique(f"until {end}")
        expect_made(await runner.commit(new(f"a-{end}", unique=key), start(f"a-{end}")))
        expect_made(await runner.commit(move(f"a-{end}", 3, S.RETRY), move(f"a-{end}", 4, S.PENDING, S.RUNNING)))
        again = await runner.commit(new(f"b-{end}", unique=key))
        expect(again, [Refusal(RefusalKind.DUPLICATE, f"a-{end}")], "another one, while the first is retried")
        expect_made(await runner.commit(move(f"a-{end}", 6, end), new(f"c-{end}", unique=key)), f"after {end}")
        expect(runner.store.standing(key.key, now=NOW), f"c-{end}", f"who stands after {end}")
    expect_made(await runner.commit(new("d", unique=_KEY), move("d", 1, S.CONCURRENCY_CONTROLLED_FINAL)))
    expect(runner.store.standing("key", now=NOW), None, "who stands after what was dropped")


@STANDING.rule
async def until_started(bench: Bench) -> None:
    """With `until_started`, a start ends its stand: RUNNING, not PENDING. So does an end before it."""
    runner = await bench.runner()
    key = Unique("key", until_started=True)
    expect_made(await runner.commit(new("a", unique=key), move("a", 1, S.PENDING)))
    expect(runner.store.standing("key", now=NOW), "a", "who stands when it is PENDING")
    expect_made(await runner.commit(move("a", 2, S.RUNNING), new("b", unique=key)), "another one after the start")
    expect_made(await runner.commit(move("a", 3, S.SUCCESS)))
    expect(runner.store.standing("key", now=NOW), "b", "who stands when the first has ended: that is not the second")
    expect_made(await runner.commit(move("b", 1, S.CANCELLED), new("c", unique=key)), "another one after an end")


@STANDING.rule
async def until_a_moment(bench: Bench) -> None:
    """With a moment, it stands until then, whatever becomes of it; the moment of a change is its last step's."""
    runner = await bench.runner()
    key = Unique("key", until=NOW + 10)
    expect_made(await runner.commit(new("a", unique=key), start("a"), move("a", 3, S.SUCCESS)))
    early = await runner.commit(new("b", at=NOW + 9.5, unique=key))
    expect(early, [Refusal(RefusalKind.DUPLICATE, "a")], "another one before the moment, though the first has ended")
    expect(runner.store.standing("key", now=NOW + 9.5), "a", "who stands before the moment")
    expect(runner.store.standing("key", now=NOW + 10), None, "who stands at the moment")
    later = new("c", at=NOW + 10, unique=Unique("key", until=NOW + 20))
    expect_made(await runner.commit(later), "another one at the moment")
    expect(runner.store.standing("key", now=NOW + 10), "c", "who stands then")


@STANDING.rule
async def a_moment_passes(bench: Bench) -> None:
    """What stands until a moment is free then, even where it has not ended."""
    runner = await bench.runner()
    expect_made(await runner.commit(new("a", unique=Unique("key", until=NOW + 10))))
    expect_made(await runner.commit(new("b", at=NOW + 11, unique=_KEY)), "another one after the moment")
    expect_made(await runner.commit(start("a"), move("a", 3, S.SUCCESS)))
    expect(runner.store.standing("key", now=NOW + 12), "b", "who stands when the first has ended")


@STANDING.rule
async def since(bench: Bench) -> None:
    """A call that says since when it stands is judged by that, and not by its last step."""
    runner = await bench.runner()
    expect_made(await runner.commit(new("a", unique=Unique("key", until=NOW + 10, since=NOW))))
    late = new("b", at=NOW + 60, unique=Unique("key", until=NOW + 19, since=NOW + 9))
    expect(await runner.commit(late), [Refusal(RefusalKind.DUPLICATE, "a")], "one that is dated later")
    early = new("c", at=NOW - 60, unique=Unique("key", until=NOW + 20, since=NOW + 10))
    expect_made(await runner.commit(early), "one that is dated earlier")


@STANDING.rule
async def set_back(bench: Bench) -> None:
    """What stands since later than now, as its runner's clock was set back since, stands no longer than it was to."""
    runner, heir = await bench.runners(2)
    ahead = Unique("ahead", until=NOW + 3_660, since=NOW + 3_600)
    expect_made(await runner.commit(new("a", unique=ahead), new("b", unique=Unique("unsaid", until=NOW + 3_660))))
    expect_made(await runner.commit(new("c", unique=Unique("key", until=NOW + 30, since=NOW - 30))))
    await bench.lose(runner)
    await heir.store.recover([], now=NOW)
    keys = ("ahead", "unsaid", "key")
    standing = [[heir.store.standing(key, now=NOW + later) for key in keys] for later in (29, 59, 60)]
    expect(standing, [["a", "b", "c"], ["a", "b", None], [None, "b", None]], "who stands, one after the other")


@STANDING.rule
async def replace(bench: Bench) -> None:
    """With `replace`, who stands makes room for the newcomer, is asked to be cancelled, and goes on until it is."""
    runner, other = await bench.runners(2)
    expect_made(await runner.commit(new("a", unique=_KEY)))
    expect_made(await other.commit(new("b", unique=Unique("key", replace=True))), "the newcomer")
    asked = [CancelRequest(invocation_id="a", reason=REPLACED)]
    expect(await runner.store.cancel_requests(), asked, "what its runner is asked")
    expect(await other.store.cancel_requests(), [], "what the runner of the newcomer is asked")
    expect(runner.store.standing("key", now=NOW), "b", "who stands")
    expect((await runner.row("a")).status, S.REGISTERED, "the status of who stood before")
    expect_made(await runner.commit(start("a"), move("a", 3, S.SUCCESS)))
    expect(runner.store.standing("key", now=NOW), "b", "who stands when the first has ended")
    expect(await runner.commit(new("c", unique=_KEY)), [Refusal(RefusalKind.DUPLICATE, "b")], "a third one")
    several = [new(name, unique=Unique("key", replace=True)) for name in "def"]
    expect_made(await runner.commit(*several), "several, one after the other")
    asked = [CancelRequest(invocation_id=name, reason=REPLACED) for name in "de"]
    expect(sorted(await runner.store.cancel_requests(), key=lambda one: one.invocation_id), asked, "what is asked then")
    expect(runner.store.standing("key", now=NOW), "f", "who stands at last")


@STANDING.rule
async def no_trace(bench: Bench) -> None:
    """A registration that is refused leaves no trace: its key is free, and who stands under it stands on."""
    runner = await bench.runner()
    fire = Fire("every minute", NOW)
    expect_made(await runner.commit(new("a", fire=fire), new("b", unique=_KEY)))
    refusals = await runner.commit(
        new("a", unique=Unique("free")),
        new("c", fire=fire, unique=Unique("key", replace=True)),
        new("d", fire=fire, unique=Unique("also free")),
    )
    expect_kinds(refusals, RefusalKind.EXISTS, RefusalKind.FIRED, RefusalKind.FIRED, what="the batch")
    expect(runner.store.standing("free", now=NOW), None, "who stands under the key of what exists")
    expect(runner.store.standing("key", now=NOW), "b", "who stands where a replacement was refused")
    expect(runner.store.standing("also free", now=NOW), None, "who stands under the key of what was fired")


@STANDING.rule
async def after_a_death(bench: Bench) -> None:
    """Who is taken over stands on under its key, and its end ends its stand."""
    runner, heir = await bench.runners(2)
    expect_made(await runner.commit(new("a", unique=_KEY), start("a")))
    await bench.lose(runner)
    await heir.store.recover(TASKS, now=NOW)
    expect(heir.store.standing("key", now=NOW), "a", "who stands after the death of its runner")
    expect_made(await heir.commit(move("a", 5, S.CANCELLED), new("b", unique=_KEY)), "its end, and another one")


@STANDING.rule
async def poison(bench: Bench) -> None:
    """What has crashed too often ends its stand with its end."""
    runner, heir = await bench.runners(2)
    expect_made(await runner.commit(new("a", unique=_KEY, max_crashes=1), start("a")))
    await bench.lose(runner)
    await heir.store.recover(TASKS, now=NOW)
    expect(heir.store.standing("key", now=NOW), None, "who stands")
