"""The world of test_random_storms.py: tasks under all policies at once, bodies that do anything, and what must always hold."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass

from helpers import S, assert_lawful, turns

from pynenc_async import ConcurrencyControlType as Scope
from pynenc_async import InvocationCancelledError, Pynenc, Rate, RetryError, current_invocation
from pynenc_async.scheduler.ready import is_due
from pynenc_async.scheduler.statuses import HOLDS_SLOT
from pynenc_async.testing import wait_all_tasks_blocked

LONG = 100_000.0
WAYS = ("await", "gather", "group", "each", "impatient", "cancel", "spawn", "block", "submit")


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The options of one task."""

    scope: str
    limit: int
    total: int | None
    rate: float | None
    rate_scope: str
    drop: bool
    timeout: float | None
    deadline: float | None
    expires_in: float | None
    grace: float
    retries: int
    retry_delay: float
    unique: str | None
    in_thread: bool

    def options(self):
        unique = {} if self.unique is None else {"registration_concurrency": "keys", "on_duplicate": self.unique}
        return {
            "running_concurrency": self.scope,
            **({"key_arguments": "key"} if self.counts_by_key else {}),
            **({} if self.scope == "disabled" else {"running_limit": self.limit}),
            "running_total": self.total,
            "rate_limit": None if self.rate is None else Rate(self.rate, scope=Scope(self.rate_scope)),
            **({"on_limit": "drop" if self.drop else "wait"} if self.is_limited else {}),
            "timeout": self.timeout,
            "deadline": self.deadline,
            "expires_in": self.expires_in,
            "cancel_grace": self.grace,
            "max_retries": self.retries,
            **({"retry_delay": self.retry_delay} if self.retries else {}),
            **unique,
        }

    @property
    def counts_by_key(self):
        return self.scope == "keys" or self.unique is not None or (self.rate is not None and self.rate_scope == "keys")

    @property
    def is_limited(self):
        return self.scope != "disabled" or self.total is not None or self.rate is not None


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call, and what its body does."""

    task: int
    key: str
    priority: int
    delay: float
    detached: bool
    narrow: bool
    """Whether this use of its task has a limit of its own, of 1."""
    gate: bool
    """Whether it waits for the gate, which somebody opens now and then; bodies in threads never do."""
    sleeps: float
    cleans_up: float
    """How long it takes to end once it is cancelled."""
    fails: int
    """How many attempts fail."""
    way: str
    """What it does with its children."""
    children: tuple["Call", ...]


class World:
    """An app, its tasks, who is inside of their bodies, and what must hold at every moment."""

    def __init__(self, rules, *, slots, threads, room):
        self.app = Pynenc(max_concurrency=slots, max_threads=threads, max_queued=room, ageing_seconds=5)
        self.rules = rules
        self.calls = []
        self.inside = [defaultdict(set) for _ in rules]
        self.tasks = [self._define(number, one) for number, one in enumerate(rules)]
        self.gate = asyncio.Event()
        self.broken = []

    def _define(self, number, rules):
        async def in_loop(key, index):
            with self._inside(number, key):
                await self._run(self.calls[index])

        def in_thread(key, index):
            with self._inside(number, key):
                self._run_in_thread(self.calls[index])

        body = in_thread if rules.in_thread else in_loop
        body.__qualname__ = body.__name__ = f"storm_{number}"
        return self.app.task(**rules.options())(body)

    def call(self, call):
        """Submit a call."""
        return self.task_of(call)(call.key, self.enter(call))

    def task_of(self, call):
        own = {"running_limit": 1} if call.narrow else {}
        return self.tasks[call.task].with_options(
            priority=call.priority, delay=call.delay, detached=call.detached, **own
        )

    def enter(self, call):
        self.calls.append(call)
        return len(self.calls) - 1

    # -- bodies --------------------------------------------------------------------------------------------------------

    def _inside(self, number, key):
        return _Visit(self, number, key)

    async def _run(self, call):
        try:
            if call.gate:
                await self.gate.wait()
            await (turns(round(call.sleeps * 10)) if call.sleeps < 1 else asyncio.sleep(call.sleeps))
            await getattr(self, f"_{call.way}")(call.children)
        except asyncio.CancelledError:
            await (turns(1) if call.cleans_up < 1 else asyncio.sleep(call.cleans_up))
            raise
        self._end(call)

    def _run_in_thread(self, call):
        for handle in [self._try(child) for child in call.children]:
            if handle is not None and call.way != "spawn":
                handle.exception()
        self._end(call)

    def _end(self, call):
        if current_invocation().num_retries < call.fails:
            raise RetryError

    def _try(self, child):
        """Submit a child; None where a policy refuses it."""
        try:
            return self.call(child)
        except Exception as error:
            self._expect(error)
            return None

    def _expect(self, error):
        if isinstance(error, (AssertionError, TypeError, AttributeError, KeyError, IndexError)):
            self.broken.append(error)

    async def _value(self, handle):
        if handle is not None:
            try:
                await handle
            except Exception as error:
                self._expect(error)

    async def _await(self, children):
        for child in children:
            await self._value(self._try(child))

    async def _gather(self, children):
        await asyncio.gather(*[self._value(self._try(child)) for child in children])

    async def _group(self, children):
        if children:
            await self._read(self._group_of(children).as_completed(), len(children))

    async def _each(self, children):
        if children:
            await self._read(self._group_of(children, window=2).as_completed(), 1)

    def _group_of(self, children, window=None):
        params = [(child.key, self.enter(child)) for child in children]
        return self.task_of(children[0]).parallelize(iter(params) if window else params, window=window)

    async def _read(self, members, most):
        async for _ in members:
            most -= 1
            if not most:
                break

    async def _impatient(self, children):
        for child in children:
            try:
                async with asyncio.timeout(0.5):
                    await self._value(self._try(child))
            except TimeoutError:
                pass

    async def _cancel(self, children):
        for handle in [self._try(child) for child in children]:
            if handle is not None:
                await turns(1)
                await handle.cancel("by its parent")

    async def _spawn(self, children):
        for child in children:
            self._try(child)

    async def _block(self, children):
        for child in children:
            handle = self._try(child)
            if handle is not None:
                await self._leave_block_of(handle)

    async def _leave_block_of(self, handle):
        """As `async with handle`, but for a coroutine that is thrown away with its loop: there, nobody can wait."""
        try:
            await turns(2)
        except GeneratorExit:
            raise
        except BaseException as error:
            await handle.__aexit__(type(error), error, None)
            raise
        await handle.__aexit__(None, None, None)

    async def _submit(self, children):
        for child in children:
            try:
                handle = await self.task_of(child).submit(child.key, self.enter(child))
            except Exception as error:
                self._expect(error)
            else:
                await self._value(handle)

    # -- what must hold ------------------------------------------------------------------------------------------------

    def check(self):
        """At every moment: slots, threads and permits are those of the bodies that have them, and never too many."""
        assert not self.broken, self.broken
        scheduler, place = self.app._dispatcher.scheduler, self.app._dispatcher.threads
        holders = [record for record in self.app._dispatcher.store if record._status in HOLDS_SLOT]
        left_behind = len(scheduler.leftovers._bodies)  # their attempts have timed out, and they keep their threads
        in_threads = sum(record._task.place is not None for record in holders) + left_behind
        paused = sum(record._status is S.PAUSED for record in self.app._dispatcher.store)
        assert (scheduler.in_use, place.in_use, scheduler.paused) == (len(holders), in_threads, paused)
        assert scheduler.in_use <= scheduler.limit
        assert place.in_use <= place.limit + place.ahead
        for task, rules in zip(self.tasks, self.rules, strict=True):
            self._check_limiter(task, rules)

    def _check_limiter(self, task, rules):
        if task.limiter is None:
            return
        holders = task.limiter.holders
        sizes = [len(one) for one in holders.values()]
        assert rules.total is None or sum(sizes) <= rules.total
        assert rules.scope == "disabled" or max(sizes, default=0) <= rules.limit
        for records in holders.values():
            assert all(record._ended_at is None for record in records.values())

    def check_inside(self, number):
        """Measured inside of the bodies: no more of them are under way than the limits allow."""
        rules, inside = self.rules[number], self.inside[number]
        counts = {key: sum(not one.status.is_final() for one in list(those)) for key, those in inside.items()}
        assert rules.total is None or sum(counts.values()) <= rules.total
        if rules.scope == "keys":
            assert max(counts.values()) <= rules.limit
        elif rules.scope == "task":
            assert sum(counts.values()) <= rules.limit

    async def check_idle(self):
        """When nothing moves, then because nothing can: no wake-up was lost."""
        await wait_all_tasks_blocked()
        self.check()
        scheduler, place = self.app._dispatcher.scheduler, self.app._dispatcher.threads
        full = scheduler.in_use >= scheduler.limit
        assert full or not scheduler._comebacks
        assert full or place.in_use >= place.limit or not place.comebacks
        for record in self.app._dispatcher.store:
            if is_due(record):
                assert full or (record._task.place is not None and not place.has_room()), record
        for task in self.tasks:
            if task.limiter is not None:
                self._check_nobody_waits_for_nothing(task.limiter)
        room = self.app._dispatcher.room
        assert room is None or not room.is_asked_for or not room.has_room()

    def _check_nobody_waits_for_nothing(self, limiter):
        for key, line in limiter._lines.items():
            head = line.head()
            if head is not None:
                permit, options = head._task.permit_key(head._values), head._task.options
                assert limiter._obstacle(head, permit) is not None, head
                key_is_full = len(limiter.holders.get(permit, ())) >= options.running_limit
                waits_for_key = options.running_concurrency is not Scope.DISABLED and key_is_full
                asleep = any(key in keys for _, keys in limiter._turns._asleep.values())
                assert waits_for_key or key in limiter._turns._in_turn or asleep, head

    def describe_living(self):
        """What lives, and what it waits for."""
        lines = []
        for one in self.app._dispatcher.living():
            more, call = one._more, self.calls[one.arguments.values[1]]
            waits = (
                None
                if more is None
                else [[str(it._number) for it in wait] for wait in (more.blocked_on or {}).values()]
            )
            held = more is not None and more.held
            lines.append(f"{one._number}: {one.status} {call.task}/{call.key} {call.way} held={held} awaits={waits}")
        for task in self.tasks:
            if task.limiter is not None:
                holders = {key: list(map(str, those)) for key, those in task.limiter.holders.items()}
                lines.append(f"{task.task_id}: holders {holders}, lines {list(task.limiter._lines)}")
        return "\n".join(lines)

    def check_ended(self):
        """When all is over: every history is a path of the table, and nobody is inside."""
        for one in self.app.invocations():
            assert one.status.is_final()
            assert_lawful(one)
            error = one.exception()
            assert not isinstance(error, (AssertionError, TypeError, AttributeError)), error
            if one.status is S.CANCELLED:
                assert error is not None
                assert isinstance(error, InvocationCancelledError) or one.history[-1].reason


class _Visit:
    def __init__(self, world, number, key):
        self.world, self.number, self.key = world, number, key

    def __enter__(self):
        self.me = current_invocation()
        self.world.inside[self.number][self.key].add(self.me)
        self._check()

    def __exit__(self, *_):
        self.world.inside[self.number][self.key].discard(self.me)

    def _check(self):
        try:
            self.world.check_inside(self.number)
        except AssertionError as error:
            self.world.broken.append(error)
