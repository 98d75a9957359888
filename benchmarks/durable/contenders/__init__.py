"""The durable contenders, a module each. Their packages are imported in the process that measures them, and nowhere else."""

import importlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from benchmarks.durable.cases import Work


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a contender is asked for: `n` items, its files in `directory`."""

    n: int
    directory: Path
    filled: Path | None = None
    """A store with finished rows to go on with."""


Run = Callable[[Job], float]
"""Does the work of a job and returns microseconds, or bytes, for each item."""


class Stopwatch:
    """Time of the wall and of all threads of the process, from its creation on.

    On a machine that has other work to do the second says more: it does not grow while the process waits for a core.
    """

    cpu: ClassVar[float | None] = None
    """What the last reading found, in microseconds for each item; the child reports it."""

    def __init__(self) -> None:
        self._begin, self._cpu = time.perf_counter(), time.process_time()

    def read(self, n: int) -> float:
        """Microseconds of the wall for each of `n` items."""
        elapsed, Stopwatch.cpu = time.perf_counter() - self._begin, (time.process_time() - self._cpu) / n * 1e6
        return elapsed / n * 1e6

    def read_wall(self, n: int) -> float:
        """The same where other processes did a part of the work: what they took of the CPU is not known here."""
        elapsed, Stopwatch.cpu = self.read(n), None
        return elapsed


@dataclass(frozen=True, kw_only=True)
class DurableContender:
    """One way of doing the work."""

    label: str
    runs: Mapping[Work, Run]
    distribution: str | None = None
    most: int | None = None
    """The largest n that is worth waiting for."""


NAMES = ("raw_three", "raw_two", "raw_each", "ours", "ours_wide", "huey", "huey_plain", "pynenc", "dbos")
"""Every module here, in the order of the rounds."""


def load(name: str) -> DurableContender:
    """The contender of that name. Raises ImportError where its package is not installed."""
    contender = importlib.import_module(f"{__name__}.{name}").CONTENDER
    if not isinstance(contender, DurableContender):
        raise TypeError(f"{name}.CONTENDER is a {type(contender).__name__}, not a DurableContender")
    return contender
