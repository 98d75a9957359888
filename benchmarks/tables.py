"""Tables of what runs found, a column for each interpreter: the targets, other comparisons, every figure, the remarks."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from benchmarks.cases import Scale
from benchmarks.results import Key, Ratio, Run, Series, Verdict, label_of
from benchmarks.targets import Figure, Target

Row = Sequence[str]
_NONE = "-"
_SHOWN = {"per_item": "wall", "cpu": "CPU"}
"""Names of figures, where a case has several, that are not those of the tables."""

HOW = "Ratios are medians over rounds, each taken within one round; in brackets, the least and the largest round."


class AnyCase(Protocol):
    """What a table asks of a case."""

    @property
    def id(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def baseline(self) -> str: ...
    @property
    def metrics(self) -> tuple[str, ...]: ...
    def size(self, scale: Scale) -> int | None: ...


def machine(runs: list[Run]) -> str:
    pythons = ", ".join(f"{run.implementation} {run.python}" for run in runs)
    cores = " / ".join(sorted({str(run.cores) for run in runs}))
    return f"Measured on {cores} cores with {pythons}, {runs[0].scale} scale."


def promised(targets: Sequence[Target], runs: list[Run]) -> list[Row]:
    """Every target, and whether it is met."""
    header = ["what", "target", *(f"measured {run.short}" for run in runs), "ok"]
    return [header, *(_promise(target, runs) for target in targets)]


def _promise(target: Target, runs: list[Run]) -> Row:
    verdicts = [next(one for one in run.verdicts if one.target == target.id) for run in runs]
    return [target.what, target.limit_text, *(_spread(one.measured) for one in verdicts), _ok(verdicts)]


def _ok(verdicts: list[Verdict]) -> str:
    """One word for all interpreters; a figure that is missing is neither."""
    if any(one.ok is False for one in verdicts):
        return "NO"
    return "yes" if all(one.ok for one in verdicts) else _NONE


def compared(figures: Sequence[Figure], runs: list[Run]) -> list[Row]:
    """Comparisons that nothing was promised of."""
    header = ["what", *(f"measured {run.short}" for run in runs)]
    return [header, *([one.what, *(_spread(one.measure(run)) for run in runs)] for one in figures)]


def _spread(found: Ratio | None) -> str:
    if found is None:
        return _NONE
    return f"{number(found.median)} ({number(found.least)} to {number(found.largest)})"


def number(value: float) -> str:
    """As many digits as say something."""
    return f"{value:,.2f}" if abs(value) < 100 else f"{value:,.0f}"


def figures(cases: Sequence[AnyCase], names: Sequence[str], runs: list[Run]) -> list[Row]:
    """Every case, and in it every contender, in the order of `names`, with its ratio to the baseline of the case."""
    header = ["workload", "contender"]
    for run in runs:
        header += [run.short, f"ratio {run.short}"]
    return [header, *(row for case in cases for metric in case.metrics for row in _block(case, metric, names, runs))]


def _block(case: AnyCase, metric: str, names: Sequence[str], runs: list[Run]) -> Iterable[Row]:
    measured = {one.contender for run in runs for one in run.series if one.case == case.id}
    title = f"{case.id} {case.title}" + (f", {_SHOWN.get(metric, metric)}" if len(case.metrics) > 1 else "")
    for name in (name for name in names if name in measured):
        cells: list[str] = []
        for run in runs:
            cells += _cells(run.find(Key(name, case.id, metric)), baseline=case.baseline)
        yield [title, label_of(runs, name), *cells]
        title = ""  # once for the block


def _cells(series: Series | None, *, baseline: str) -> list[str]:
    if series is None or series.median is None:
        return [_NONE, _NONE]
    figure = number(series.median)
    if series.contender == baseline or series.to_baseline is None:
        return [figure, ""]
    return [figure, number(series.to_baseline.median)]


def remarks(cases: Sequence[AnyCase], runs: list[Run]) -> list[str]:
    """What a reader must know besides: who is absent, who failed, whose figures stand for a larger size."""
    found: list[str] = []
    for run in runs:
        found += [f"{run.short}: {name}: {one.problem}" for name, one in run.contenders.items() if one.problem]
        found += [f"{run.short}: {one.contender}, {one.case}: {one.text}" for one in run.problems]
        found += [f"{run.short}: {case}: {text}" for case, text in run.notes.items()]
        found += _extrapolations(cases, run)
        versions = {
            f"{one.distribution} {one.version or '(this clone)'}" for one in run.contenders.values() if one.distribution
        }
        found.append(f"{run.short}: versions: {', '.join(sorted(versions))}")
    return found


def _extrapolations(cases: Sequence[AnyCase], run: Run) -> list[str]:
    sizes = {case.id: case.size(Scale(run.scale)) for case in cases}
    return [
        f"{run.short}: {run.contenders[one.contender].label} ran {one.case} with {one.n:,} items, "
        "and its cost per item is taken as the same"
        for one in run.series
        if one.metric in ("per_item", "p50") and one.n != sizes[one.case]
    ]


def aligned(rows: list[Row]) -> str:
    """For a terminal."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def piped(rows: list[Row]) -> str:
    """For a page."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def listed(lines: list[str]) -> str:
    return "\n".join(f"* {line}" for line in lines)
