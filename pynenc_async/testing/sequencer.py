"""Forcing one interleaving out of the many that the loop could choose."""

import asyncio
import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from pynenc_async.errors import reduce_error


class SequenceBrokenError(RuntimeError):
    """A block that comes earlier in the sequence will never run, so this one cannot either.

    Raised by `async with seq(n)` once a block with a smaller number was cancelled while it waited for its turn.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return reduce_error(self)

    def __init__(self, position: int, broken_at: float) -> None:
        super().__init__(
            f"position {position} will never have its turn: position {broken_at:g} was cancelled before it ran"
        )


class Sequencer:
    """Runs blocks of code, in whichever tasks they are, in the order of their numbers.

    `async with seq(2):` waits until the block of `seq(1)` has ended, with or without an exception. Numbers start at 0
    and each is used once. One sequencer serves one sequence in one loop.
    """

    def __init__(self) -> None:
        self._turn = 0
        self._broken_at = math.inf
        self._claimed: set[int] = set()
        self._waiters: list[asyncio.Future[None]] = []

    @asynccontextmanager
    async def __call__(self, position: int) -> AsyncGenerator[None]:
        """Wait for the turn of this position; pass the turn on when the block ends."""
        if position < 0 or position in self._claimed:
            raise ValueError(f"position {position} is {'negative' if position < 0 else 'taken already'}")
        self._claimed.add(position)
        await self._wait_for_turn(position)
        try:
            yield
        finally:
            self._turn += 1
            self._announce()

    async def _wait_for_turn(self, position: int) -> None:
        try:
            while position != self._turn:
                if position > self._broken_at:
                    raise SequenceBrokenError(position, self._broken_at)
                await self._wait_for_change()
        except asyncio.CancelledError:
            self._broken_at = min(self._broken_at, position)
            self._announce()
            raise

    async def _wait_for_change(self) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    def _announce(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
