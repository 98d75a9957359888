"""The model behind test_scheduler_model.py: what a program consists of, the world that runs it, and how it is judged."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from helpers import Gauge, S, assert_lawful, turns

from pynenc_async import CancelOutcome, InvocationCancelledError, Pynenc, RetryError, current_invocation

HOLDS_SLOT = {S.PENDING, S.RUNNING, S.RESUMED}
WAYS = ("await", "later", "gather", "group", "spawn", "impatient", "cancel")


@dataclass(kw_only=True)
class Node:
    """One call of the program."""

    in_thread: bool
    pause: float
    """Seconds to sleep before the children; below 1 it is a number of turns, in tenths."""
    way: str
    children: list["Node"]
    failures: int
    """How many attempts fail before one succeeds."""
    max_retries: int
    delay: float
    priority: int
    detached: bool
    stubborn: bool
    """Whether it swallows its cancellation and returns."""
    number: int = field(default=-1)

    @property
    def attempts(self):
        return min(self.failures, self.max_retries) + 1

    @property
    def ends_in(self):
        return S.SUCCESS if self.failures <= self.max_retries else S.FAILED

    @property
    def value(self):
        """What it returns: how many invocations its last attempt has seen succeed, itself included."""
        seen = self.way in ("await", "later", "gather", "group")
        return 1 + sum(child.value for child in self.children if seen and child.ends_in is S.SUCCESS)


@dataclass(frozen=True, kw_only=True)
class Disturbance:
    """Something from outside: a cancellation of the nth invocation, or of a waiter for it."""

    at: float
    target: int
    whom: str


class World:
    """One app that runs one program."""

    def __init__(self, forest, limit, max_threads, second=1.0):
        self.second = second
        """How long a second of the program is."""
        self.app = Pynenc(max_concurrency=limit, max_threads=max_threads)
        self.gauge = Gauge()
        self.thread_gauge = Gauge()
        self.table = []
        self.forest = forest
        self.cancelled = set()
        for root in forest:
            self._enter(root)
        self.in_loop = self.app.task(self._in_loop)
        self.in_thread = self.app.task(self._in_thread)

    def _enter(self, node):
        node.number = len(self.table)
        self.table.append(node)
        for child in node.children:
            self._enter(child)

    def submit(self, node):
        task = self.in_thread if node.in_thread else self.in_loop
        options = {name: getattr(node, name) for name in ("max_retries", "priority", "detached")}
        return task.with_options(**options)(node.number)

    # -- bodies --------------------------------------------------------------------------------------------------------

    async def _in_loop(self, number):
        node = self.table[number]
        with self.gauge:
            try:
                self.check()
                await (turns(round(node.pause * 10)) if node.pause < 1 else asyncio.sleep(node.pause * self.second))
                total = 1 + await getattr(self, f"_by_{node.way}")(node.children)
                self.check()
                await turns(1)
            except asyncio.CancelledError:
                if not node.stubborn:
                    raise
                return -1
            return self._end(node, total)

    def _in_thread(self, number):
        node = self.table[number]
        with self.gauge, self.thread_gauge:
            total = 1
            for handle in [self.submit(child) for child in node.children]:
                if node.way in ("await", "later", "gather", "group"):
                    with self.gauge.away(), self.thread_gauge.away():
                        total += value_of(lambda handle=handle: handle.result)
            return self._end(node, total)

    def _end(self, node, total):
        if current_invocation().num_retries < node.failures:
            raise RetryError(after=node.delay * self.second)
        return total

    # -- ways to deal with children ------------------------------------------------------------------------------------

    async def _value(self, handle):
        try:
            return await handle
        except (RetryError, InvocationCancelledError):
            return 0

    async def _by_await(self, children):
        total = 0
        for child in children:
            handle = self.submit(child)
            with self.gauge.away():
                total += await self._value(handle)
        return total

    async def _by_later(self, children):
        handles = [self.submit(child) for child in children]
        total = 0
        for handle in reversed(handles):
            with self.gauge.away():
                total += await self._value(handle)
        return total

    async def _by_gather(self, children):
        handles = [self.submit(child) for child in children]
        with self.gauge.away():
            return sum(await asyncio.gather(*map(self._value, handles)))

    async def _by_group(self, children):
        with self.gauge.away():
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._value(self.submit(child))) for child in children]
        return sum(task.result() for task in tasks)

    async def _by_spawn(self, children):
        for child in children:
            self.submit(child)
        return 0

    async def _by_impatient(self, children):
        for child in children:
            handle = self.submit(child)
            with self.gauge.away():
                try:
                    async with asyncio.timeout(0.7 * self.second):
                        await self._value(handle)
                except TimeoutError:
                    pass
        return 0

    async def _by_cancel(self, children):
        for child in children:
            handle = self.submit(child)
            await turns(1)
            with self.gauge.away():
                await self.cancel(handle)
        return 0

    # -- judging -------------------------------------------------------------------------------------------------------

    async def cancel(self, handle):
        if not handle.status.is_final():
            self.cancelled.add(handle.invocation_id)
        outcome = await handle.cancel("by the program")
        assert handle.status.is_final()
        assert (outcome is CancelOutcome.FINISHED) == (handle.status is not S.CANCELLED)

    def check(self):
        """Hold at every moment: the slots in use are those of the bodies that have one, and there are enough."""
        scheduler, place = self.app._dispatcher.scheduler, self.app._dispatcher.threads
        holders = [record for record in self.app._dispatcher.store if record._status in HOLDS_SLOT]
        threads = sum(record._task.place is not None for record in holders)
        assert (scheduler.in_use, place.in_use) == (len(holders), threads)
        assert scheduler.in_use <= scheduler.limit
        assert place.in_use <= place.limit + place.ahead

    def touched(self, invocation):
        """Whether it, or an ancestor from which a cancellation reaches it, was cancelled."""
        by_id = {one.invocation_id: one for one in self.app.invocations()}
        while invocation is not None:
            if invocation.invocation_id in self.cancelled:
                return True
            invocation = by_id.get(invocation.parent_invocation_id)
        return False

    def judge(self):
        for invocation in self.app.invocations():
            assert_lawful(invocation)
            if not self.touched(invocation):
                node = self.table[invocation.arguments.values[0]]
                assert invocation.status is node.ends_in
                assert invocation.num_retries == node.attempts - 1
        assert self.gauge.inside == 0
        assert self.gauge.peak <= self.app._dispatcher.scheduler.limit
        assert self.thread_gauge.peak <= self.app._dispatcher.threads.limit

    def judge_undisturbed(self):
        expected = Counter()

        def count(node, times):
            expected[node.number] += times
            for child in node.children:
                count(child, times * node.attempts)

        for root in self.forest:
            count(root, 1)
        assert Counter(one.arguments.values[0] for one in self.app.invocations()) == expected


def value_of(read):
    try:
        return read()
    except (RetryError, InvocationCancelledError):
        return 0
