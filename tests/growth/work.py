"""Counts work, not time: the Python and C functions that are called while n items go through an operation."""

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable
from contextlib import contextmanager

from pynenc_async.testing import VirtualLoop

FEW, MANY = 150, 600


class Counter:
    """How much was done while `counting`."""

    def __init__(self):
        self.calls = 0

    @contextmanager
    def counting(self):
        gc.disable()  # what the collector calls is nobody's work
        sys.setprofile(self._note)
        try:
            yield
        finally:
            sys.setprofile(None)
            gc.enable()

    def _note(self, frame, event, argument):
        del frame, argument
        if event in ("call", "c_call"):
            self.calls += 1


def work_of(scenario: Callable[[int, Counter], Awaitable[None]], n: int) -> int:
    """Run a scenario with n items, and return how much work it counted."""
    counter = Counter()
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(scenario(n, counter))
    return counter.calls


def growth_of(scenario) -> float:
    """How much more work four times as many items are: 4, where each costs the same."""
    work_of(scenario, 2)  # what is made on first use is no matter of numbers
    return work_of(scenario, MANY) / work_of(scenario, FEW)
