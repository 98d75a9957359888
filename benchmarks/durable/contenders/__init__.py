"""The durable contenders, a module each. Their packages are imported in the process that measures them, and nowhere else."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

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


@dataclass(frozen=True, kw_only=True)
class DurableContender:
    """One way of doing the work."""

    label: str
    runs: Mapping[Work, Run]
    distribution: str | None = None
    most: int | None = None
    """The largest n that is worth waiting for."""


NAMES = ("raw_three", "raw_two", "raw_each", "ours", "ours_wide", "huey", "pynenc", "dbos")
"""Every module here, in the order of the rounds."""


def load(name: str) -> DurableContender:
    """The contender of that name. Raises ImportError where its package is not installed."""
    contender = importlib.import_module(f"{__name__}.{name}").CONTENDER
    if not isinstance(contender, DurableContender):
        raise TypeError(f"{name}.CONTENDER is a {type(contender).__name__}, not a DurableContender")
    return contender
