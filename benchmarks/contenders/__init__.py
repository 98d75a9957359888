"""The contenders: one module each, whose `CONTENDER` says which workloads it knows and how it does them."""

import importlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sized
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from benchmarks.cases import KEYS, Workload

Step = Callable[[], Awaitable[object]]
"""What is timed. A run over n items returns what it kept, of length n: the proof, looked at after the clock."""


class Scenario(Protocol):
    """One workload, done one way: entering sets it up for n items, the step does it, leaving cleans up.

    Only the step is measured. Setting up must leave no work behind that the loop would do during the step.
    """

    def __call__(self, n: int, /) -> AbstractAsyncContextManager[Step]: ...


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One way to run work. A workload that is not among its scenarios is reported as "not run"."""

    label: str
    scenarios: Mapping[Workload, Scenario]
    distribution: str | None = None
    """The package whose version is reported; None for the standard library."""
    most: int | None = None
    """The largest n that is worth waiting for; None where any is."""


def plain(run: Callable[[int], Awaitable[Sized]]) -> Scenario:
    """A scenario that needs neither setting up nor cleaning up."""

    @asynccontextmanager
    async def scenario(n: int, /) -> AsyncIterator[Step]:
        yield partial(run, n)

    return scenario


def single(step: Step) -> Scenario:
    """A scenario whose step is one await, whatever n is; nothing is wrapped around the step."""

    @asynccontextmanager
    async def scenario(_n: int, /) -> AsyncIterator[Step]:
        yield step

    return scenario


def crowd(n: int) -> list[int]:
    """The customers of `n` calls, in the order of submission: many of customer 0, then two of each other one."""
    others = [*range(1, KEYS)] * 2
    return [0] * (n - len(others)) + others


LOOPS = ("asyncio", "uvloop")

MODULES: Mapping[str, tuple[str, ...]] = {
    "gather": LOOPS,
    "each": LOOPS,
    "task_group": LOOPS,
    "executor": ("asyncio",),
    "ours": LOOPS,
    "ours_each": LOOPS,
    "ours_gather": LOOPS,
    "ours_policed": LOOPS,
    "semaphores": ("asyncio",),
    "aiojobs": ("asyncio",),
    "taskiq": ("asyncio",),
    "taskiq_in_place": ("asyncio",),
    "pynenc": ("asyncio",),
    "dask": ("asyncio",),
    "msgspec": ("asyncio",),
    "stdlib_json": ("asyncio",),
    "pydantic": ("asyncio",),
}
"""Every module here, in the order of the rounds, with the event loops that it is measured on."""


def names() -> list[str]:
    """`gather` is the module on asyncio's loop, `gather+uvloop` the same module on the other."""
    return [module if loop == "asyncio" else f"{module}+{loop}" for module, loops in MODULES.items() for loop in loops]


def loop_of(name: str) -> str:
    return name.partition("+")[2] or "asyncio"


def load(name: str) -> Contender:
    """The contender of that name. Raises ImportError where its package is not installed."""
    module = importlib.import_module(f"{__name__}.{name.partition('+')[0]}")
    contender = module.CONTENDER
    if not isinstance(contender, Contender):
        raise TypeError(f"{module.__name__}.CONTENDER is a {type(contender).__name__}, not a Contender")
    return contender
