"""The simulated event loop: an asyncio loop in virtual time, which reports a deadlock in place of hanging.

How it waits, and when time moves, is in `autojump`; what a seed shuffles, in `shuffle`. Here is what the program under
test sees, and how the threads that work for it are counted: `run_in_executor` counts by itself, a pool that wakes the
loop by other means calls `thread_work_began` and `thread_work_ended`.

Not simulated are signals, subprocesses and threads that nobody counts. They work as ever, but time may jump while they
do, so a timeout around them may fire at once. How long threads run is real as well: a program without threads does the
same with the same seed, always; with threads, as long as each piece of their work takes no longer than a moment
(`thread_turns`).
"""

import asyncio
import contextlib
import contextvars
import random
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import TypeVar, TypeVarTuple, Unpack

from pynenc_async.testing.autojump import AutojumpSelector
from pynenc_async.testing.shuffle import Delivery
from pynenc_async.testing.thread_turns import ThreadTurn

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

EPOCH = 946_684_800.0  # 2000-01-01T00:00:00Z: a date that shows at a glance that it is not today
DEFAULT_PATIENCE = 20.0  # real seconds; far beyond what a test's thread takes, and below the usual timeout of a test


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop with autojump and deadlock detection; with a seed, it shuffles what asyncio does not promise.

    It is a `pynenc_async.clock.SimulatedLoop`. `patience` is the real time, in seconds, that it waits for a thread or a
    socket without a sign of life before it raises `StalledError`.
    """

    def __init__(self, *, seed: int | None = None, patience: float = DEFAULT_PATIENCE) -> None:
        # Two streams: how often the program draws from `tie_break` must not change the order of the loop's turns.
        self.tie_break = _stream("ties", seed)
        self._turn_order = _stream("turns", seed)
        self._at_close: list[Callable[[], object]] = []
        self._pool: ThreadPoolExecutor | None = None
        self._autojump = AutojumpSelector(self, turn_order=self._turn_order, patience=patience)
        super().__init__(self._autojump)
        self._autojump.adopt_open_files()

    def time(self) -> float:
        """Return the virtual time, in seconds since the loop was made."""
        return self._autojump.now

    def wall_time(self) -> float:
        """Return the virtual time of day, in seconds since the epoch; this world began with the year 2000."""
        return EPOCH + self._autojump.now

    def new_thread_turn(self) -> ThreadTurn | None:
        """Return the turn of a piece of work that a thread will do, in seeded mode: see `thread_turns`."""
        return self._autojump.new_turn(None)

    def settle_threads(self) -> None:
        """In seeded mode, block until no thread works, or a moment of real time is over."""
        self._autojump.settle_threads()

    def call_at_close(self, callback: Callable[[], object]) -> None:
        """Call back when this loop is closed; what serves it can be let go then."""
        self._at_close.append(callback)

    def close(self) -> None:
        """Do what the base class does, then call back whoever asked for it."""
        super().close()
        self._autojump.close_turns()
        while self._at_close:
            self._at_close.pop()()

    def wait_idle(self) -> asyncio.Future[None]:
        """Return a future that is done as soon as nothing is ready and no thread works, before time moves."""
        waiter: asyncio.Future[None] = self.create_future()
        self._autojump.add_idle_waiter(waiter)
        return waiter

    def thread_work_began(self) -> None:
        """Hold time still, until the matching `thread_work_ended`; any thread may call it."""
        self._autojump.thread_work.began()

    def thread_work_ended(self) -> None:
        """Let time move again, if this was the last piece of work; any thread may call it."""
        was_the_last = self._autojump.thread_work.ended()
        if was_the_last and asyncio._get_running_loop() is not self:
            # The loop may be waiting for exactly this. If it was closed meanwhile, it is not.
            with contextlib.suppress(RuntimeError):
                super().call_soon_threadsafe(_wake_up)

    def call_soon_threadsafe(
        self,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        """Do what the base class does, and remember, in seeded mode, which thread called."""
        if self._turn_order is None or asyncio._get_running_loop() is self:
            return super().call_soon_threadsafe(callback, *args, context=context)
        return super().call_soon_threadsafe(Delivery(callback), *args, context=context)

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Do what the base class does, and hold time still until the work is done, even if its waiter is cancelled."""
        if self.is_closed():
            raise RuntimeError("Event loop is closed")
        pool = executor or self._default_pool()
        self.thread_work_began()
        turn = self._autojump.new_turn(pool) if isinstance(pool, ThreadPoolExecutor) else None
        try:
            work = pool.submit(func if turn is None else _in_turn(turn, func), *args)
        except BaseException:
            if turn is not None:
                turn.end()
            self.thread_work_ended()
            raise
        future = asyncio.wrap_future(work, loop=self)
        # After `wrap_future`: callbacks run in order of arrival, so the result is delivered before the count falls.
        work.add_done_callback(lambda _: self.thread_work_ended())
        if turn is not None:
            work.add_done_callback(lambda _: turn.end())
        return future

    def _default_pool(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(thread_name_prefix="asyncio")
            super().set_default_executor(self._pool)
        return self._pool

    def set_default_executor(self, executor: ThreadPoolExecutor) -> None:  # type: ignore[override]  # as in asyncio
        """Do what the base class does."""
        super().set_default_executor(executor)
        self._pool = executor

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109  # inherited
        """Wait for the work of all threads, within the patience of the loop; a timeout has no meaning in virtual time.

        The base class joins the pool in a thread that nobody counts, and may then block this one for minutes. What has
        stalled the loop already is not waited for again: its error is on the way out.
        """
        if self._pool is not None and not self._autojump.has_stalled:
            await self.wait_idle()
            self._pool.shutdown(wait=True)


def _stream(name: str, seed: int | None) -> random.Random | None:
    # A string is hashed in full by `Random`, the same in every process: two names are two independent streams.
    return None if seed is None else random.Random(f"{name} of seed {seed}")  # noqa: S311  # no secret


def _in_turn(turn: ThreadTurn, func: Callable[[Unpack[Ts]], T]) -> Callable[[Unpack[Ts]], T]:
    def run(*args: *Ts) -> T:
        turn.wait()
        return func(*args)

    return run


def _wake_up() -> None:
    """Do nothing: that the selector returned was the point."""
