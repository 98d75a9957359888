"""Random programs against a slow store: whatever is decided while something else is being committed, all of it is lawful.

Judged are the rows of the store (every one comes to its end, by a path of the status table), and that the handles say the
same, step by step, where the invocation has lived here all the time.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from dataclasses import dataclass, field

import pytest
from durable_world import World
from helpers import S, examples
from hypothesis import given, settings
from hypothesis import strategies as st

from pynenc_async import PynencError, Rate, RetryError, StoreError, current_invocation
from pynenc_async.store.values import check_steps
from pynenc_async.testing import run

PATIENCE_SECONDS = 3_000
SUCCEEDS = (
    "usual",
    "sleeps",
    "pauses",
    "thread",
    "later",
    "retries",
    "retries_later",
    "limited",
    "rated",
    "urgent",
    "flow",
)
FAILS = ("raises", "times_out")
DEPENDS = ("expires", "is_late")
PARENTS = ("pauses", "flow")
LIMITED = ("limited", "rated")
KINDS = SUCCEEDS + FAILS + DEPENDS


@dataclass
class Submission:
    """What was submitted, and what the program has done to it."""

    kind: str
    handle: object
    session: int
    number: int
    cancelled: bool = False


@dataclass
class Faults:
    """How slow the store is, and how many of the next commits fail."""

    latency: float = 0.0
    failing: int = 0
    prompt: int = 0
    """Of so many questions, one is answered before the loop turns, as by a store on a local disk; 0: none."""
    asked: int = 0

    def delay(self):
        self.asked += 1
        return None if self.prompt and self.asked % self.prompt == 0 else self.latency

    def before(self, name, changes):
        del changes
        if name == "commit" and self.failing:
            self.failing -= 1
            raise StoreError("full")


@dataclass
class Process:
    """One app on the store, with its faults."""

    app: object
    tasks: dict
    faults: Faults
    session: int = 0
    observed: dict = field(default_factory=dict)

    def see(self, event):
        self.observed.setdefault(event.invocation_id, []).append(event.status)


def define(app):
    """Return one task for each way that an invocation may take."""
    return {**define_bodies(app), **define_policies(app), **define_limits_of_time(app)}


def define_bodies(app):

    @app.task
    async def usual(x):
        return x

    @app.task
    async def sleeps(x):
        await asyncio.sleep(1)
        return x

    @app.task
    async def raises(x):
        raise ValueError(x)

    @app.task
    async def pauses(x):
        return await sleeps(x)

    @app.task
    def thread(x):
        return x

    @app.task(max_retries=9)
    async def retries(x):
        if current_invocation().num_retries < 2:
            raise RetryError
        return x

    @app.task(workflow=True)
    async def flow(x):
        return await usual(x) + await sleeps(0)

    return {kind: task for kind, task in locals().items() if kind in KINDS}


def define_policies(app):
    @app.task(max_retries=9)
    async def retries_later(x):
        if current_invocation().num_retries < 2:
            raise RetryError(after=0.7)
        return x

    @app.task(delay=0.5)
    async def later(x):
        return x

    @app.task(running_concurrency="task", delay=0.1)
    async def limited(x):
        await asyncio.sleep(0.5)
        return x

    @app.task(rate_limit=Rate(1, per=0.5), max_retries=9)
    async def rated(x):
        if not current_invocation().num_retries:
            raise RetryError
        return x

    @app.task(priority=3)
    async def urgent(x):
        return x

    return {kind: task for kind, task in locals().items() if kind in KINDS}


def define_limits_of_time(app):
    @app.task(timeout=0.5)
    async def times_out(x):
        await asyncio.sleep(5)

    @app.task(expires_in=1)
    async def expires(x):
        return x

    @app.task(deadline=2)
    async def is_late(x):
        await asyncio.sleep(1)
        return x

    return {kind: task for kind, task in locals().items() if kind in KINDS}


class Program:
    """Carries the steps out."""

    def __init__(self, setting):
        self.world = World()
        self.processes = []
        self.submissions = []
        self.refused = set()
        """The numbers of what the store has not taken: whoever submitted it was told so."""
        self.waiters = []
        self.has_failed = False
        for _ in range(setting["processes"]):
            faults = Faults(latency=setting["latency"], prompt=setting["prompt"])
            app = self.world.app(
                before=faults.before,
                latency=faults.delay,
                store_window=setting["window"],
                max_concurrency=setting["slots"],
                retain_count=setting["retained"],
            )
            process = Process(app, define(app), faults)
            if setting["observed"]:
                app.observe(process.see)
            self.processes.append(process)

    async def carry_out(self, steps):
        async with contextlib.AsyncExitStack() as stack:
            for process in self.processes:
                await stack.enter_async_context(process.app)
            for name, *arguments in steps:
                await getattr(self, name)(*arguments)
            for process in self.processes:
                process.faults.latency = process.faults.failing = 0
            await self._come_to_rest()
            for submission in self.submissions:
                self._judge(submission)
        for row in self.world.rows():
            self._judge_row(row)

    # -- steps ---------------------------------------------------------------------------------------------------------

    async def submit(self, which, kind, count):
        process = self.processes[which % len(self.processes)]
        for _ in range(count):
            number = len(self.submissions)
            try:
                handle = process.tasks[kind](number)
            except StoreError:
                return
            self.submissions.append(Submission(kind, handle, process.session, number))
            self.waiters.append(asyncio.create_task(self._accept(handle, number)))

    async def _accept(self, handle, number):
        try:
            await handle.accepted()
        except StoreError:
            self.refused.add(number)

    async def cancel(self, index):
        if self.submissions:
            submission = self.submissions[index % len(self.submissions)]
            submission.cancelled = True
            self.waiters.append(asyncio.create_task(submission.handle.cancel("no")))
            await asyncio.sleep(0)

    async def wait(self, index):
        if self.submissions:
            self.waiters.append(asyncio.create_task(self.submissions[index % len(self.submissions)].handle.wait()))

    async def sleep(self, seconds):
        await asyncio.sleep(seconds)

    async def slow(self, which, seconds):
        self.processes[which % len(self.processes)].faults.latency = seconds

    async def fail(self, which, times):
        self.has_failed = True
        self.processes[which % len(self.processes)].faults.failing = times

    async def restart(self, which, drain_seconds):
        process = self.processes[which % len(self.processes)]
        process.faults.failing = 0
        await process.app.shutdown(drain_seconds)
        process.session += 1
        await process.app.start()

    # -- judgement -----------------------------------------------------------------------------------------------------

    async def _come_to_rest(self):
        async with asyncio.timeout(PATIENCE_SECONDS):
            for submission in self.submissions:
                await submission.handle.wait()
            with contextlib.suppress(PynencError):
                await asyncio.gather(*self.waiters)
            while any(row.ended_at is None for row in self.world.rows()):
                await asyncio.sleep(10)
        for process in self.processes:
            scheduler = process.app._dispatcher.scheduler
            assert (scheduler.in_use, scheduler.paused, scheduler.waiting) == (0, 0, 0)

    def _judge(self, submission):
        handle = submission.handle
        if submission.number in self.refused:
            assert handle.invocation_id not in self.world.hub.tables.invocations
            assert isinstance(handle.exception(), StoreError)
            return
        row = self.world.row(handle.invocation_id)
        assert handle.status is row.status
        self._judge_outcome(submission)
        kept = self.world.hub.tables.histories[handle.invocation_id]
        told = [(step.status, step.timestamp, step.attempt, step.reason) for step in handle.history]
        assert told == [(step.status, step.timestamp, step.attempt, step.reason) for step in kept]
        for process in self.processes:
            observed = process.observed.get(handle.invocation_id)
            lived_here = len({step.runner_id for step in kept}) == 1
            if observed and lived_here and submission.kind not in LIMITED:  # whose starts may be tried in vain
                process.app._dispatcher.observers.tell()
                assert observed == [step.status for step in kept]

    def _judge_outcome(self, submission):
        kind, handle = submission.kind, submission.handle
        if handle.status is S.SUCCESS:
            assert handle.result == submission.number or kind in FAILS
        elif handle.status is S.CANCELLED:
            assert submission.cancelled or kind in DEPENDS
        else:
            assert handle.status is S.FAILED
            assert handle.exception() is not None  # which is how it counts as looked at
            assert kind in (*FAILS, *DEPENDS) or (kind in PARENTS and self.has_failed)  # it could not submit its child

    def _judge_row(self, row):
        steps = self.world.hub.tables.histories[row.invocation_id]
        check_steps(None, tuple((step.status, step.timestamp, step.attempt, step.reason) for step in steps))
        finals = Counter(step.status.is_final() for step in steps)
        assert finals[True] == 1
        assert steps[-1].status.is_final()


class Errors(logging.Handler):
    """Keeps what is reported of decisions that raised, and of changes that are no path of the table."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.messages = []

    def emit(self, record):
        if "everything else goes on" in record.getMessage():
            self.messages.append(record.getMessage())


WHICH, INDEX = st.integers(0, 1), st.integers(0, 30)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), WHICH, st.sampled_from(KINDS), st.integers(1, 4)),
        st.tuples(st.just("submit"), WHICH, st.sampled_from(KINDS), st.integers(1, 4)),
        st.tuples(st.just("cancel"), INDEX),
        st.tuples(st.just("cancel"), INDEX),
        st.tuples(st.just("wait"), INDEX),
        st.tuples(st.just("sleep"), st.sampled_from([0, 0.01, 0.2, 0.5, 1, 3])),
        st.tuples(st.just("sleep"), st.sampled_from([0, 0.01, 0.2, 0.5, 1, 3])),
        st.tuples(st.just("slow"), WHICH, st.sampled_from([0, 0.05, 0.3, 2])),
        st.tuples(st.just("fail"), WHICH, st.integers(0, 2)),
        st.tuples(st.just("restart"), WHICH, st.sampled_from([0, 0.5, 5])),
    ),
    min_size=3,
    max_size=14,
)
SETTINGS = st.fixed_dictionaries(
    {
        "processes": st.integers(1, 2),
        "latency": st.sampled_from([0, 0.05, 0.3, 2]),
        "prompt": st.sampled_from([0, 0, 1, 2, 3]),
        "window": st.sampled_from([2, 1_000]),
        "slots": st.sampled_from([1, 2, 100]),
        "retained": st.sampled_from([2, 1_000]),
        "observed": st.booleans(),
    }
)


@pytest.mark.slow
@settings(max_examples=examples(150), deadline=None, derandomize=True)
@given(setting=SETTINGS, steps=STEPS, seed=st.integers(0, 99))
def test_whatever_is_decided_during_a_commit_is_lawful(setting, steps, seed):
    errors, logger = Errors(), logging.getLogger("pynenc_async")
    logger.addHandler(errors)
    try:
        run(lambda: Program(setting).carry_out(steps), seed=seed)
    finally:
        logger.removeHandler(errors)
    assert not errors.messages
