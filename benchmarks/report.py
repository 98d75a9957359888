"""The tables: the targets, and every figure, as aligned text and as Markdown."""

from collections.abc import Iterable, Sequence

from benchmarks import contenders
from benchmarks.cases import CASES, Case, Scale
from benchmarks.results import Key, Ratio, Run, Series, Verdict, label_of
from benchmarks.targets import TARGETS, Target

Row = Sequence[str]
_NONE = "-"


def text(runs: list[Run]) -> str:
    """Everything, for a terminal."""
    parts = [_machine(runs), _aligned(_target_rows(runs)), _aligned(_figure_rows(runs))]
    remarks = _remarks(runs)
    return "\n\n".join([*parts, *(["\n".join(remarks)] if remarks else [])])


def markdown(runs: list[Run]) -> str:
    """Everything, for a page."""
    remarks = _remarks(runs)
    parts = [
        "# Speed",
        _machine(runs),
        "Reproduce with `python -m benchmarks`, once for each interpreter or with `--python PATH` for several.",
        "Ratios are medians over rounds, each taken within one round; in brackets, the least and the largest round.",
        "## Targets",
        _piped(_target_rows(runs)),
        "## All figures",
        "Per item: microseconds, bytes in W5 and W11, in W10 by how many bodies the worst was late.",
        "The ratio is to the bare way, the row without one.",
        _piped(_figure_rows(runs)),
        *(["## Remarks", "\n".join(f"* {remark}" for remark in remarks)] if remarks else []),
    ]
    return "\n\n".join(parts) + "\n"


def _machine(runs: list[Run]) -> str:
    pythons = ", ".join(f"{run.implementation} {run.python}" for run in runs)
    cores = " / ".join(sorted({str(run.cores) for run in runs}))
    return f"Measured on {cores} cores with {pythons}, {runs[0].scale} scale."


def _target_rows(runs: list[Run]) -> list[Row]:
    header = ["what", "at most", *(f"measured {run.short}" for run in runs), "ok"]
    return [header, *(_target_row(target, runs) for target in TARGETS)]


def _target_row(target: Target, runs: list[Run]) -> Row:
    verdicts = [next(one for one in run.verdicts if one.target == target.id) for run in runs]
    return [target.what, target.limit_text, *(_ratio(one.measured) for one in verdicts), _ok(verdicts)]


def _ok(verdicts: list[Verdict]) -> str:
    """One word for all interpreters; a figure that is missing is neither."""
    if any(one.ok is False for one in verdicts):
        return "NO"
    return "yes" if all(one.ok for one in verdicts) else _NONE


def _ratio(ratio: Ratio | None) -> str:
    if ratio is None:
        return _NONE
    return f"{_number(ratio.median)} ({_number(ratio.least)} to {_number(ratio.largest)})"


def _number(value: float) -> str:
    return f"{value:,.2f}" if value < 100 else f"{value:,.0f}"


def _figure_rows(runs: list[Run]) -> list[Row]:
    header = ["workload", "contender"]
    for run in runs:
        header += [run.short, f"ratio {run.short}"]
    return [header, *(row for case in CASES for metric in case.metrics for row in _case_rows(case, metric, runs))]


def _case_rows(case: Case, metric: str, runs: list[Run]) -> Iterable[Row]:
    measured = {one.contender for run in runs for one in run.series if one.case == case.id}
    names = [name for name in contenders.names() if name in measured]
    title = f"{case.id} {case.title}" + (f", {metric}" if len(case.metrics) > 1 else "")
    for name in names:
        cells: list[str] = []
        for run in runs:
            cells += _cells(run.find(Key(name, case.id, metric)), baseline=case.baseline)
        yield [title, label_of(runs, name), *cells]
        title = ""  # once for the block


def _cells(series: Series | None, *, baseline: str) -> list[str]:
    if series is None or series.median is None:
        return [_NONE, _NONE]
    figure = _number(series.median)
    if series.contender == baseline or series.to_baseline is None:
        return [figure, ""]
    return [figure, _number(series.to_baseline.median)]


def _remarks(runs: list[Run]) -> list[str]:
    """What a reader must know besides: who is absent, who failed, whose figures stand for a larger size."""
    remarks: list[str] = []
    for run in runs:
        remarks += [f"{run.short}: {name}: {one.problem}" for name, one in run.contenders.items() if one.problem]
        remarks += [f"{run.short}: {one.contender}, {one.case}: {one.text}" for one in run.problems]
        remarks += _extrapolations(run)
        versions = {
            f"{one.distribution} {one.version or '(this clone)'}" for one in run.contenders.values() if one.distribution
        }
        remarks.append(f"{run.short}: versions: {', '.join(sorted(versions))}")
    return remarks


def _extrapolations(run: Run) -> list[str]:
    sizes = {case.id: case.size(Scale(run.scale)) for case in CASES}
    return [
        f"{run.short}: {run.contenders[one.contender].label} ran {one.case} with {one.n:,} items, "
        "and its cost per item is taken as the same"
        for one in run.series
        if one.metric != "p99" and one.n != sizes[one.case]
    ]


def _aligned(rows: list[Row]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def _piped(rows: list[Row]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])
