"""The parent: starts one process per contender, workload and round, in turn, and gathers what they found.

The rounds are interleaved (A B C, A B C, ...) and every ratio is taken within one round: what slows the machine for a
while slows a ratio's two sides alike.
"""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from benchmarks.cases import Case, Scale
from benchmarks.children import ChildError, ask
from benchmarks.results import Problem, Run, Series

_CHILD = "benchmarks.measure"


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How much is measured."""

    rounds: int
    repeats: int
    budget: float
    scale: Scale


def run_interpreter(
    python: str, cases: list[Case], wanted: set[str], effort: Effort, say: Callable[[str], None]
) -> Run:
    """Measure `cases` on one interpreter, all contenders or the `wanted` ones, always with each case's baseline."""
    described = ask(python, _CHILD, "--describe")
    run = msgspec.convert({**described, "scale": str(effort.scale)}, Run)
    for case in cases:
        lanes = _lanes(run, case, wanted, effort.scale)
        for number in range(effort.rounds if case.most_rounds is None else min(effort.rounds, case.most_rounds)):
            for lane in lanes:
                _measure(python, run, lane, number, effort)
                say(f"{run.short} {case.id} round {number + 1} {lane.describe(number)}")
    run.summarise({case.id: case.baseline for case in cases})
    return run


@dataclass(eq=False)
class _Lane:
    """One contender through all rounds of one case."""

    contender: str
    case: Case
    n: int
    series: dict[str, Series]
    failed: bool = False

    def describe(self, number: int) -> str:
        values = {metric: one.rounds[number] for metric, one in self.series.items()}
        shown = ", ".join(
            f"{metric} {value:,.2f} {self.case.unit}" for metric, value in values.items() if value is not None
        )
        return f"{self.contender}: {shown or 'no figure'}"


def _lanes(run: Run, case: Case, wanted: set[str], scale: Scale) -> list[_Lane]:
    lanes: list[_Lane] = []
    for name, entrant in run.contenders.items():
        chosen = not wanted or name in wanted or name == case.baseline
        n = case.size_for(scale, entrant.most)
        if not chosen or n is None or case.workload not in entrant.workloads:
            continue
        series = {
            metric: Series(contender=name, case=case.id, metric=metric, unit=case.unit, n=n) for metric in case.metrics
        }
        run.series.extend(series.values())
        lanes.append(_Lane(name, case, n, series))
    return lanes


def _measure(python: str, run: Run, lane: _Lane, number: int, effort: Effort) -> None:
    """Add one round to the lane; a contender that failed once sits out the rest of the case."""
    found: dict[str, float] = {}
    if not lane.failed:
        try:
            answer = ask(
                python,
                _CHILD,
                *("--contender", lane.contender, "--case", lane.case.id, "--size", str(lane.n)),
                *("--repeats", str(effort.repeats), "--budget", str(effort.budget)),
            )
            found = answer["medians"]
        except ChildError as error:
            lane.failed = True
            run.problems.append(Problem(lane.contender, lane.case.id, f"round {number + 1}: {error}"))
    for metric, series in lane.series.items():
        series.rounds.append(found.get(metric))
