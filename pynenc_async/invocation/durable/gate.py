"""One start or stop at a time: both wait for the store, and who comes meanwhile must not find half of it."""

import asyncio
from asyncio import Future
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager


class Gate:
    """A lock for Tasks of one loop after another: what a loop had begun that is gone holds nobody up."""

    def __init__(self) -> None:
        self._passage: Future[None] | None = None
        """Done when whoever passes now has passed."""

    @asynccontextmanager
    async def pass_through(self) -> AsyncGenerator[None]:
        """Wait until nobody else passes, and pass."""
        loop = asyncio.get_running_loop()
        while self._passage is not None and self._passage.get_loop() is loop:
            await asyncio.wait([self._passage])
        mine = self._passage = loop.create_future()
        try:
            yield
        finally:
            if self._passage is mine:
                self._passage = None
            if not mine.done():
                mine.set_result(None)
