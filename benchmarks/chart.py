"""The chart of the core: every contender at W1, and pynenc_async at every workload, as ratios to bare asyncio.

Bars grow from 1.0, the baseline: to the left is cheaper than the bare way, to the right dearer.
"""

from pathlib import Path

from benchmarks import contenders
from benchmarks.cases import CASES, Case
from benchmarks.drawing import Bars, Panel, Values, paint
from benchmarks.results import Key, Run, label_of
from benchmarks.targets import TARGETS

_HEADLINE = "W1-100k"
_OURS = "ours"


def draw(runs: list[Run], path: Path) -> None:
    """Write the chart of these runs."""
    panels = [
        Panel(title="Fan-out of 100,000 no-ops (W1), against create_task + gather", rows=_everybody(runs)),
        Panel(title="pynenc_async against bare asyncio (W7: a raw msgspec Struct)", rows=_workloads(runs)),
    ]
    footer = f"Left of 1x is cheaper. Medians of interleaved rounds, a process each, {runs[0].cores} cores."
    paint(panels, runs, footer, path)


def _everybody(runs: list[Run]) -> list[Bars]:
    rows = [
        Bars(
            label=label_of(runs, name),
            values=_ratios(runs, Key(name, _HEADLINE)),
            ours=name.startswith(_OURS),
        )
        for name in contenders.names()
    ]
    return sorted((row for row in rows if row.drawn), key=lambda row: row.first)


def _workloads(runs: list[Run]) -> list[Bars]:
    rows = [_workload(runs, case, metric) for case in CASES for metric in case.metrics]
    return [row for row in rows if row.drawn]


def _workload(runs: list[Run], case: Case, metric: str) -> Bars:
    return Bars(
        label=f"{case.id.partition('-')[0]} {case.title}" + (f", {metric}" if len(case.metrics) > 1 else ""),
        values=_ratios(runs, Key(_OURS, case.id, metric)),
        ours=True,
        limits=_limits(runs, case, metric),
    )


def _ratios(runs: list[Run], key: Key) -> Values:
    found = [run.find(key) for run in runs]
    return [one.to_baseline.median if one is not None and one.to_baseline is not None else None for one in found]


def _limits(runs: list[Run], case: Case, metric: str) -> Values:
    """What the table of targets sets for this ratio."""
    quotient = (Key(_OURS, case.id, metric), Key(case.baseline, case.id, metric))
    target = next((one for one in TARGETS if one.quotient == quotient), None)
    return [] if target is None else [target.limit_for(run.version) for run in runs]
