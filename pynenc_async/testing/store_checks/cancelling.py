"""Requests to cancel: anybody asks, the home is told, until it has ended."""

from typing import Final

from pynenc_async.store.values import CancelRequest, RefusalKind
from pynenc_async.testing.store_checks.bench import Bench, S, in_status, move, new, start
from pynenc_async.testing.store_checks.check import Subject, expect, expect_kinds, expect_made

CANCELLING: Final = Subject("cancelling")


def _ask(invocation_id: str, reason: str = "") -> CancelRequest:
    return CancelRequest(invocation_id=invocation_id, reason=reason)


@CANCELLING.rule
async def told(bench: Bench) -> None:
    """Any runner may ask; the home is told, and nobody else."""
    home, other = await bench.runners(2)
    expect_made(await home.commit(new("a"), start("a"), new("b", taken=False)))
    expect_made(await other.commit(_ask("a", "enough of „this“"), _ask("b")))
    requests = sorted(await home.store.cancel_requests(), key=lambda request: request.invocation_id)
    expect(requests, [_ask("a", "enough of „this“"), _ask("b")], "what the home is told")
    expect(await other.store.cancel_requests(), [], "what the other is told")
    expect((await home.row("a")).cancel_reason, "enough of „this“", "cancel_reason")
    expect((await home.row("b")).cancel_reason, "", "cancel_reason of a request without one")


@CANCELLING.rule
async def no_step(bench: Bench) -> None:
    """A request is no step: status, revision and history are as before."""
    runner = await bench.runner()
    expect_made(await runner.commit(new("a"), start("a"), _ask("a")))
    row = await runner.row("a")
    expect((row.status, row.revision), (S.RUNNING, 3), "status, revision")
    expect(len(runner.store.history("a")), 3, "the entries of the history")
    expect_made(await runner.commit(move("a", 3, S.PAUSED)), "a change on the revision from before")
    expect((await runner.row("a")).cancel_reason, "", "cancel_reason, after a change")


@CANCELLING.rule
async def twice(bench: Bench) -> None:
    """Said twice, the first request counts; the second is not refused."""
    runner, other = await bench.runners(2)
    expect_made(await runner.commit(new("a"), _ask("a", "first")))
    expect_made(await other.commit(_ask("a", "second")))
    expect(await runner.store.cancel_requests(), [_ask("a", "first")], "what the home is told")


@CANCELLING.rule
async def ended(bench: Bench) -> None:
    """With its end, an invocation is asked no more; a request is refused as STALE then."""
    runner, other = await bench.runners(2)
    finals = [status for status in S if status.is_final()]
    expect_made(await runner.commit(new("a"), start("a"), _ask("a"), move("a", 3, S.SUCCESS)))
    expect(await runner.store.cancel_requests(), [], "what the home is told when it has ended")
    expect((await runner.row("a")).cancel_reason, None, "cancel_reason when it has ended")
    expect_made(await runner.commit(*(in_status(str(status), status) for status in finals)))
    for status in finals:
        expect_kinds(await other.commit(_ask(str(status))), RefusalKind.STALE, what=f"a request about {status}")
    expect(await runner.store.cancel_requests(), [], "what the home is told")


@CANCELLING.rule
async def unknown(bench: Bench) -> None:
    """A request is refused as UNKNOWN where there is no such invocation; in a batch it counts in its order."""
    runner = await bench.runner()
    refusals = await runner.commit(_ask("a"), new("a"), _ask("a", "now"))
    expect_kinds(refusals, RefusalKind.UNKNOWN, None, None, what="a request before and after the registration")
    expect(await runner.store.cancel_requests(), [_ask("a", "now")], "what the home is told")
