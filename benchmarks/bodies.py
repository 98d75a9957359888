"""The functions that every contender runs: the same objects, so that nobody's body is cheaper."""

import asyncio

NAP = 0.001
LONG = 3_600.0
"""Seconds: longer than any run."""


async def noop() -> None:
    """Finish without suspending."""


def noop_in_thread() -> None:
    """Finish at once, off the event loop."""


async def yielding() -> None:
    """Give the loop one turn."""
    await asyncio.sleep(0)


async def napping() -> None:
    """Suspend on a timer."""
    await asyncio.sleep(NAP)


async def keyed(customer: int) -> None:
    """Finish without suspending; the argument is what limits may go by."""


ORDER: list[int] = []
"""The customers, in the order in which their bodies began."""


async def noted(customer: int) -> None:
    """Say that the body has begun, and let others do so before it ends."""
    ORDER.append(customer)
    await asyncio.sleep(0)


async def add(left: int, right: int) -> int:
    """Take arguments and give a result, for what is written as JSON."""
    return left + right


class Gate:
    """Bodies enter and stay inside until it opens, so that a known number of them is running."""

    def __init__(self) -> None:
        self._opened = asyncio.Event()
        self._inside = 0

    async def enter(self) -> None:
        self._inside += 1
        try:
            await self._opened.wait()
        finally:
            self._inside -= 1

    async def filled(self, n: int) -> None:
        """Return when `n` bodies are inside. Turns of the loop, not a timer: nothing else is due here."""
        while self._inside < n:  # noqa: ASYNC110  # an Event would add its cost to each body that enters
            await asyncio.sleep(0)

    def open(self) -> None:
        self._opened.set()

    def close(self) -> None:
        self._opened.clear()


GATE = Gate()
"""One per process is enough: a process measures one contender, one workload, in one loop."""


async def held() -> None:
    """Run until the gate opens."""
    await GATE.enter()
