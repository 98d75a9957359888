"""Waiting until what has been decided so far is committed, whatever is decided meanwhile.

A mark holds the numbers of the invocations about which something was not in the store yet when it was made. The batch that
takes the last of them answers it, once it is settled: so it waits for no more than what was there, under any load.
"""

import asyncio
from asyncio import Future
from collections.abc import Iterable


class Marks:
    """Those who wait."""

    def __init__(self) -> None:
        self._left: dict[Future[None], set[int]] = {}
        self._taken: dict[Future[None], None] = {}
        """Of whom everything is in a batch that is not settled yet."""

    def __bool__(self) -> bool:
        return bool(self._left)

    async def wait(self, numbers: Iterable[int]) -> None:
        """Return when a batch that is taken from now on is settled, by which all of these invocations are committed."""
        future: Future[None] = asyncio.get_running_loop().create_future()
        self._left[future] = set(numbers)
        await future

    def taken(self, numbers: Iterable[int]) -> list[Future[None]]:
        """A batch has taken these: return whom its settlement answers."""
        taken = set(numbers)
        for left in self._left.values():
            left.difference_update(taken)
        answered = [future for future, left in self._left.items() if not left]
        for future in answered:
            del self._left[future]
            self._taken[future] = None
        return answered

    def answer(self, futures: Iterable[Future[None]]) -> None:
        """Let those go on whom a batch answers."""
        for future in futures:
            self._taken.pop(future, None)
            if not future.done():
                future.set_result(None)

    def release(self) -> None:
        """Let everybody go on: nothing is left to wait for, or nothing will be committed for the time being."""
        everybody = [*self._left, *self._taken]
        self._left.clear()
        self.answer(everybody)
