"""Where a check works: runners on one database, and short ways to write what they commit."""

import asyncio
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Final, Self

from pynenc_async.status import InvocationStatus
from pynenc_async.store.base import Store
from pynenc_async.store.values import (
    Change,
    NewInvocation,
    Permit,
    Query,
    RatePermit,
    Refusal,
    Step,
    StoredInvocation,
    Transition,
)
from pynenc_async.testing.store_checks.harness import StoreHarness

S = InvocationStatus
NOW: Final = 1_700_000_000.0
"""The moment at which most things happen: what time it is, the caller says, and no check depends on the real one."""
TASK: Final = "suite.work"
OTHER_TASK: Final = "suite.other_work"
TASKS: Final = (TASK, OTHER_TASK)


class Runner:
    """One runner: its id, its store."""

    def __init__(self, runner_id: str, store: Store) -> None:
        self.id: Final = runner_id
        self.store: Final = store

    async def commit(self, *changes: Change) -> list[Refusal | None]:
        """Commit changes in one batch."""
        return await self.store.commit(changes)

    async def row(self, invocation_id: str) -> StoredInvocation:
        """Return an invocation, which is there."""
        (row,) = await self.store.load([invocation_id])
        return row

    async def rows(self) -> dict[str, StoredInvocation]:
        """Return every invocation of the store, by id."""
        page = await self.store.find(Query(limit=100_000))
        return {row.invocation_id: row for row in page.invocations}

    def statuses(self, invocation_id: str) -> list[InvocationStatus]:
        """Return the history of an invocation, statuses only."""
        return [step.status for step in self.store.history(invocation_id)]

    async def claim_ids(
        self, limit: int = 1_000, *, tasks: Sequence[str] = TASKS, now: float = NOW, only: Sequence[str] | None = None
    ) -> list[str]:
        """Claim, and return the ids."""
        return [row.invocation_id for row in await self.store.claim(tasks, limit, now=now, only=only)]


class Bench:
    """The runners of one check. They are closed at its end."""

    def __init__(self, harness: StoreHarness) -> None:
        self.harness: Final = harness
        self._runners: Final[list[Runner]] = []

    async def runner(self) -> Runner:
        """Enrol a new runner."""
        runner_id = f"runner{len(self._runners)}"
        runner = Runner(runner_id, await self.harness.open(runner_id))
        self._runners.append(runner)
        return runner

    async def runners(self, count: int) -> list[Runner]:
        """Enrol some new runners."""
        return [await self.runner() for _ in range(count)]

    async def lose(self, runner: Runner) -> None:
        """Let the lease of a runner run out."""
        await self.harness.lose(runner.store)

    async def bury(self, runner: Runner, by: Runner) -> None:
        """Let a runner die, and be declared dead by another, who takes nothing over."""
        await self.lose(runner)
        await by.store.recover([], now=NOW)

    async def until(self, condition: Callable[[], bool]) -> bool:
        """Wait for what comes soon, from elsewhere; say whether it came. Real time: a virtual clock knows no other threads."""
        deadline = time.monotonic() + self.harness.patience
        while not condition():
            if time.monotonic() > deadline:
                return False
            await asyncio.to_thread(time.sleep, 0.005)
        return True

    async def __aenter__(self) -> Self:
        await self.harness.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            for runner in self._runners:
                await runner.store.close()
        finally:
            await self.harness.stop()


def steps_of(*statuses: InvocationStatus, at: float = NOW, attempt: int = 0) -> tuple[Step, ...]:
    """Return steps that are made at one moment, in one attempt."""
    return tuple((status, at, attempt, "") for status in statuses)


def new(invocation_id: str, *, at: float = NOW, task: str = TASK, **fields: Any) -> NewInvocation:
    """Return a registration."""
    fields.setdefault("arguments", b"{}")
    fields.setdefault("steps", steps_of(S.REGISTERED, at=at))
    return NewInvocation(invocation_id=invocation_id, task_id=task, **fields)


def move(
    invocation_id: str, revision: int, *statuses: InvocationStatus, at: float = NOW, attempt: int = 1, **fields: Any
) -> Transition:
    """Return a transition."""
    steps = steps_of(*statuses, at=at, attempt=attempt)
    return Transition(invocation_id=invocation_id, revision=revision, steps=steps, **fields)


def start(
    invocation_id: str, *permits: Permit, at: float = NOW, revision: int = 1, rate: RatePermit | None = None
) -> Transition:
    """Return the start of what is in its first revision."""
    return move(invocation_id, revision, S.PENDING, S.RUNNING, at=at, permits=permits, rate=rate)


def path_to(status: InvocationStatus) -> tuple[InvocationStatus, ...]:
    """Return a short path of the status table that leads from nothing to `status`."""
    paths: list[tuple[InvocationStatus, ...]] = [(S.REGISTERED,), (S.SCHEDULED,)]
    for path in paths:
        if path[-1] is status:
            return path
        paths.extend((*path, step) for step in S if path[-1].can_transition_to(step) and step not in path)
    raise ValueError(f"no path leads to {status}")


def in_status(invocation_id: str, status: InvocationStatus, **fields: Any) -> NewInvocation:
    """Return a registration whose history has led to `status` already; every step but the first ones is of attempt 1."""
    path = path_to(status)
    first = next((place for place, step in enumerate(path) if step is S.PENDING), len(path))
    steps = steps_of(*path[:first]) + steps_of(*path[first:], attempt=1)
    return new(invocation_id, steps=steps, **fields)
