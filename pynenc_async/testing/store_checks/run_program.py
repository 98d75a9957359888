"""Runs a program on a store and, in step with it, on the store in memory, which is the model; and compares them."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import msgspec

from pynenc_async.errors import InvocationStatusError
from pynenc_async.store.base import Store
from pynenc_async.store.memory import MemoryHub, MemoryStore
from pynenc_async.store.values import Change, Query, Recovery, Refusal, RefusalKind, Retention, StoredInvocation
from pynenc_async.testing.store_checks.bench import NOW, Bench, Runner
from pynenc_async.testing.store_checks.check import expect
from pynenc_async.testing.store_checks.harness import StoreHarness
from pynenc_async.testing.store_checks.judge import Judge
from pynenc_async.testing.store_checks.program import (
    RUNNERS,
    SLOTS,
    UNIQUES,
    Claim,
    Commit,
    Die,
    Operation,
    Part,
    Purge,
    Recover,
    Return,
    Wait,
    Walk,
    change_of,
    name_of,
)


async def run_store_program(make_harness: Callable[[], StoreHarness], program: Sequence[Operation]) -> None:
    """Run a program (see `testing.store_programs`) on a new store. Raises `BrokenRuleError` where it breaks a rule."""
    async with Bench(make_harness()) as bench:
        ours = await bench.runners(RUNNERS)
        hub = MemoryHub(clock=lambda: 0.0)
        models = [MemoryStore(hub) for _ in ours]
        for runner, model in zip(ours, models, strict=True):
            await model.open(runner.id, lease_seconds=1)
        course = _Course(bench, ours, hub, models)
        try:
            for operation in program:
                await course.take(operation)
        except Exception as error:
            error.add_note(f"in step {course.steps} of {list(program)!r}")
            raise


class _Course:
    """A program under way."""

    def __init__(self, bench: Bench, ours: list[Runner], hub: MemoryHub, models: list[MemoryStore]) -> None:
        self._bench: Final = bench
        self._ours: Final = ours
        self._hub: Final = hub
        self._models: Final = models
        self._dead: Final[set[int]] = set()
        self._judge: Final = Judge()
        self._now = NOW
        self.steps = 0

    async def take(self, operation: Operation) -> None:
        """Do one operation on both, and compare."""
        self.steps += 1
        self._now += 0.125
        match operation:
            case Commit():
                await self._commit(operation)
            case Claim():
                await self._claim(operation)
            case Die():
                await self._die(operation.runner)
            case Return():
                await self._return(operation.runner)
            case Recover():
                await self._recover(operation)
            case Purge():
                await self._purge(operation)
            case Wait():
                self._now += operation.seconds
        await self._compare()

    async def _commit(self, operation: Commit) -> None:
        runner = self._home(operation.parts[0]) if operation.runner is None else operation.runner
        model = self._models[runner]
        changes: list[Change] = []
        for place, part in enumerate(_not_ahead(operation.parts)):
            row, journal = model.peek(name_of(part.slot)), await model.journal(name_of(part.slot))
            changes.append(change_of(part, row, len(journal), self._now + place / 1024))
        got = await _commit(self._ours[runner].store, changes)
        expected = await _commit(model, changes)
        expect(self._comparable(got, runner), self._comparable(expected, runner), f"{changes!r}")
        if got is not None:
            self._judge.hear(changes, got)

    def _home(self, part: Part) -> int:
        row = self._models[0].peek(name_of(part.slot))
        homes = [number for number, runner in enumerate(self._ours) if row is not None and runner.id == row.home]
        return homes[0] if homes else 0

    def _comparable(self, refusals: list[Refusal | None] | None, runner: int) -> Any:
        if refusals is None:
            return "InvocationStatusError"
        return [None if refusal is None else self._comparable_refusal(refusal, runner) for refusal in refusals]

    def _comparable_refusal(self, refusal: Refusal, runner: int) -> Any:
        if runner in self._dead and refusal.kind in (RefusalKind.UNKNOWN, RefusalKind.STALE):
            return "the dead change nothing"  # where it is not known either, both are true
        return refusal.kind, refusal.detail, None if refusal.retry_at is None else round(refusal.retry_at, 3)

    async def _claim(self, operation: Claim) -> None:
        ours, model = self._ours[operation.runner].store, self._models[operation.runner]
        backlog = await ours.backlog(operation.tasks, now=self._now)
        if operation.runner not in self._dead:
            expect(backlog, await model.backlog(operation.tasks, now=self._now), "the backlog")
        only = None if operation.slots is None else [name_of(slot) for slot in operation.slots]
        got = await ours.claim(operation.tasks, operation.limit, now=self._now, only=only)
        expected = await model.claim(operation.tasks, operation.limit, now=self._now, only=only)
        names = [row.invocation_id for row in got], [row.invocation_id for row in expected]
        expect(*names, "what was claimed")

    async def _die(self, runner: int) -> None:
        living = [other for other in range(RUNNERS) if other != runner and other not in self._dead]
        if runner in self._dead or not living:
            return
        await self._bench.bury(self._ours[runner], by=self._ours[living[0]])
        self._hub.declare_dead(self._ours[runner].id)
        self._dead.add(runner)

    async def _return(self, runner: int) -> None:
        if runner in self._dead:
            await self._ours[runner].store.rejoin()
            await self._models[runner].rejoin()
            self._dead.discard(runner)

    async def _recover(self, operation: Recover) -> None:
        ours, model = self._ours[operation.runner].store, self._models[operation.runner]
        got = await ours.recover(operation.tasks, now=self._now)
        expected = await model.recover(operation.tasks, now=self._now)
        if operation.runner in self._dead:
            expect((got.adopted, got.poisoned), (0, ()), "what a dead runner recovers")
        else:
            expect(_comparable_recovery(got), _comparable_recovery(expected), "what was recovered")

    async def _purge(self, operation: Purge) -> None:
        retention = Retention(count=operation.count)
        ended = [row.ended_at for row in await _rows(self._models[0]) if row.ended_at is not None]
        if len(ended) != len(set(ended)):
            return  # which of those that ended at one moment goes first, is not promised
        got = await self._ours[operation.runner].store.purge(retention, now=self._now)
        expect(got, await self._models[operation.runner].purge(retention, now=self._now), "how many were forgotten")

    async def _compare(self) -> None:
        living = next(number for number in range(RUNNERS) if number not in self._dead)
        ours, model = self._ours[living].store, self._models[living]
        rows = await _rows(ours)
        expected = await _rows(model)
        homes = {runner.id for number, runner in enumerate(self._ours) if number not in self._dead}
        expect(
            [_comparable_row(row, known, homes) for row, known in zip(rows, expected, strict=False)],
            [_comparable_row(row, row, homes) for row in expected],
            "what is stored, and what the model has",
        )
        expect(len(rows), len(expected), "how many there are")
        for slot in range(SLOTS):
            name = name_of(slot)
            expect(_comparable_history(ours, name), _comparable_history(model, name), f"the history of {name}")
            expect(await ours.journal(name), await model.journal(name), f"the journal of {name}")
        for unique in UNIQUES:
            standing = ours.standing(unique.key, now=self._now)
            expect(standing, model.standing(unique.key, now=self._now), f"who stands under {unique.key!r}")
        requests = sorted(request.invocation_id for request in await ours.cancel_requests())
        known = sorted(request.invocation_id for request in await model.cancel_requests())
        expect(requests, known, "what is asked to be cancelled")
        self._judge.look(ours, rows)


def _not_ahead(parts: Sequence[Part]) -> Iterator[Part]:
    """Yield the parts; no second walk of a slot guesses the revision that the first one leaves, for it knows no more."""
    walked: set[int] = set()
    for part in parts:
        if isinstance(part, Walk) and part.slot in walked:
            yield msgspec.structs.replace(part, lag=max(0, part.lag))
        else:
            yield part
        if isinstance(part, Walk):
            walked.add(part.slot)


async def _commit(store: Store, changes: Sequence[Change]) -> list[Refusal | None] | None:
    try:
        return await store.commit(changes)
    except InvocationStatusError:
        return None


async def _rows(store: Store) -> tuple[StoredInvocation, ...]:
    page = await store.find(Query(limit=1_000))
    return tuple(sorted(page.invocations, key=lambda row: row.invocation_id))


def _comparable_recovery(recovery: Recovery) -> Any:
    return recovery.adopted, recovery.interrupted, sorted(recovery.poisoned), recovery.parked


def _comparable_row(row: StoredInvocation, known: StoredInvocation, homes: set[str]) -> StoredInvocation:
    """Leave out what may differ: the words of an error, and who is the home of what has ended or belongs to the dead."""
    has_home = known.ended_at is None and known.home in homes
    return msgspec.structs.replace(
        row,
        error=None if row.error is None else b"some",
        home=row.home if has_home else "",
        taken=row.taken if has_home else False,
    )


def _comparable_history(store: Store, name: str) -> Any:
    return [(step.status, step.timestamp, step.attempt, step.runner_id) for step in store.history(name)]
