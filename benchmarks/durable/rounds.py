"""The parent: starts one process per contender, case and round, in turn, and gathers what they found."""

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.cases import Scale
from benchmarks.children import ChildError, ask
from benchmarks.durable.cases import CASES, DurableCase
from benchmarks.durable.contenders import NAMES
from benchmarks.durable.files import fill
from benchmarks.results import Entrant, Problem, Run, Series

_CHILD = "benchmarks.durable.measure"

Lane = tuple[Series, ...]
"""All figures of one contender in one case."""


@dataclass(frozen=True, kw_only=True)
class Filled:
    """A file with finished rows, made once: all rounds and interpreters go on with it."""

    path: Path
    note: str


class Site:
    """Where the files lie, and how large everything is."""

    def __init__(self, directory: Path, *, scale: Scale, finished: int | None, say: Callable[[str], None]) -> None:
        self.directory = directory
        self.scale = scale
        self.say = say
        self._finished = finished
        self._filled: Filled | None = None

    def filled(self, case: DurableCase) -> Filled | None:
        """The file that a case goes on with; None: an empty one of its own."""
        rows = case.finished_rows(self.scale)
        if not rows:
            return None
        if self._filled is None:
            self._filled = self._fill(self._finished or rows)
        return self._filled

    def _fill(self, rows: int) -> Filled:
        self.say(f"filling a file with {rows:,} finished rows, in {self.directory}")
        path = self.directory / "filled.db"
        seconds = fill(path, rows)
        note = f"{rows:,} finished rows, a file of {path.stat().st_size / 1e6:,.0f} MB"
        self.say(f"{note}, filled in {seconds:.0f} s")
        return Filled(path=path, note=note)


def run_interpreter(python: str, cases: list[DurableCase], rounds: int, site: Site) -> Run:
    """Measure `cases` on one interpreter."""
    run = _introduced(python, site)
    lanes = [(case, lane) for case in cases for lane in _lanes(run, case, site.scale)]
    run.series = [one for _, lane in lanes for one in lane]
    for number in range(rounds):
        for case, lane in lanes:
            if case.most_rounds is None or number < case.most_rounds:
                _measure(python, run, lane, case, site)
    run.summarise({case.id: case.baseline for case in CASES})
    return run


def _introduced(python: str, site: Site) -> Run:
    described = {name: ask(python, _CHILD, "--describe", "--contender", name) for name in NAMES}
    return Run(
        implementation=described["ours"]["implementation"],
        python=described["ours"]["python"],
        cores=os.cpu_count() or 1,
        scale=site.scale,
        contenders={name: msgspec.convert(one["entrant"], Entrant) for name, one in described.items()},
    )


def _lanes(run: Run, case: DurableCase, scale: Scale) -> list[Lane]:
    size = case.size(scale)
    return [
        tuple(
            Series(contender=name, case=case.id, metric=metric, unit=case.unit, n=min(size, one.most or size))
            for metric in case.metrics
        )
        for name, one in run.contenders.items()
        if case.work in one.workloads
    ]


def _measure(python: str, run: Run, lane: Lane, case: DurableCase, site: Site) -> None:
    """Add one round; a contender that failed once sits out the rest of the case."""
    found: dict[str, Any] = {}
    name = lane[0].contender
    if not any((one.contender, one.case) == (name, case.id) for one in run.problems):
        found = _found(python, run, lane[0], case, site)
    for one in lane:
        one.rounds.append(found.get(one.metric))
    shown = ", ".join(f"{metric} {value:,.2f} {case.unit}" for metric, value in found.items() if value is not None)
    site.say(f"{run.short} {case.id} {name}: {shown or 'no figure'}")


def _found(python: str, run: Run, series: Series, case: DurableCase, site: Site) -> dict[str, Any]:
    filled = site.filled(case)
    if filled is not None:
        run.notes[case.id] = filled.note
    with tempfile.TemporaryDirectory(dir=site.directory) as own:
        where = ["--directory", own, *(["--filled", str(filled.path)] if filled else [])]
        job = ["--contender", series.contender, "--work", case.work, "--size", str(series.n)]
        try:
            return ask(python, _CHILD, *job, *where)
        except ChildError as error:
            run.problems.append(Problem(series.contender, case.id, str(error)))
            return {}
