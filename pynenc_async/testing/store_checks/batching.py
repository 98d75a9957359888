"""Transactions: all of a batch, or nothing of it, for whoever looks and whatever happens to the caller."""

import asyncio
from typing import Final

from pynenc_async.testing.store_checks.bench import Bench, new
from pynenc_async.testing.store_checks.check import Subject, expect, expect_made

BATCHING: Final = Subject("batching")
_BATCHES: Final = 20
_PARTS: Final = 10
_MOST_LOOKS: Final = 10_000


@BATCHING.rule
async def seen_whole(bench: Bench) -> None:
    """Others see all of a batch, or nothing of it."""
    runner, other = await bench.runners(2)
    batches = [[new(f"{number}-{part}") for part in range(_PARTS)] for number in range(_BATCHES)]
    commits = asyncio.gather(*(runner.commit(*batch) for batch in batches))
    seen = [0]
    while seen[-1] < _BATCHES * _PARTS and len(seen) < _MOST_LOOKS:
        seen.append((await other.store.counts()).get("registered", 0))
    for refusals in await commits:
        expect_made(refusals)
    expect(
        [count for count in seen if count % _PARTS], [], "the counts that another runner has seen, of parts of batches"
    )


@BATCHING.rule
async def cancelled(bench: Bench) -> None:
    """A commit whose caller was cancelled is made as a whole, or not at all; the store goes on."""
    runner = await bench.runner()
    for turns in range(6):
        names = [f"{turns}-{part}" for part in range(_PARTS)]
        commit = asyncio.ensure_future(runner.commit(*(new(name) for name in names)))
        for _ in range(turns):
            await asyncio.sleep(0)
        commit.cancel()
        await asyncio.wait([commit])
        refusals = await runner.commit(*(new(name) for name in names))
        kinds = {None if refusal is None else refusal.kind for refusal in refusals}
        expect(len(kinds), 1, f"how many different answers the same batch gets when it is committed again: {kinds}")
        expect(len(await runner.rows()), _PARTS * (turns + 1), "how many there are then")
