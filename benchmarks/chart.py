"""The chart: every contender at W1, and pynenc_async at every workload, as ratios to bare asyncio.

Bars grow from 1.0, the baseline: to the left is cheaper than the bare way, to the right dearer. The axes are
logarithmic: the contenders lie three orders of magnitude apart, and half and double are equally far from equal.
"""

from pathlib import Path

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, NullLocator

from benchmarks import contenders
from benchmarks.cases import CASES
from benchmarks.results import Key, Run, label_of
from benchmarks.targets import TARGETS

_HEADLINE = "W1-100k"
_OURS = "ours"
_NARROW = 40
"""Between axes that leave room for ticks at every third or so, and those that do not."""
_ROW = 0.31
"""Inches for a row, however many interpreters share it."""
_FILLED = 0.78
"""The part of a row that its bars fill."""
_BLUES = ("#1f5fa8", "#7fb2e5", "#b9d6f2")
_GREYS = ("#6d6d6d", "#ababab", "#d3d3d3")
_RED = "#d1242f"
_INK = "#222222"

Values = list[float | None]
"""One ratio for each interpreter."""


def draw(runs: list[Run], path: Path) -> None:
    """Write the chart of these runs, one bar for each interpreter in every row."""
    everybody, workloads = _contender_rows(runs), _workload_rows(runs)
    heights = [max(len(everybody), 1), max(len(workloads), 1)]
    with mpl.rc_context({"font.size": 9, "font.family": "DejaVu Sans", "axes.edgecolor": "#999999"}):
        figure = Figure(figsize=(8.8, _ROW * sum(heights) + 1.7), layout="constrained")
        upper, lower = figure.subplots(2, 1, gridspec_kw={"height_ratios": heights})
        _panel(upper, "Fan-out of 100,000 no-ops (W1), against create_task + gather", everybody)
        _panel(lower, "pynenc_async against bare asyncio (W7: a raw msgspec Struct)", workloads)
        _mark_targets(lower, runs, workloads)
        _legend(figure, runs)
        figure.savefig(path, dpi=150)


class _Row:
    """A label, its ratios, whether it is ours, and, for a workload, which figure it is."""

    def __init__(self, label: str, values: Values, *, ours: bool, key: Key) -> None:
        self.label = label
        self.values = values
        self.ours = ours
        self.key = key


def _contender_rows(runs: list[Run]) -> list[_Row]:
    rows = [
        _Row(
            label_of(runs, name),
            _ratios(runs, Key(name, _HEADLINE)),
            ours=name.startswith(_OURS),
            key=Key(name, _HEADLINE),
        )
        for name in contenders.names()
    ]
    measured = [row for row in rows if any(value is not None for value in row.values)]
    return sorted(measured, key=lambda row: next(value for value in row.values if value is not None))


def _workload_rows(runs: list[Run]) -> list[_Row]:
    rows = [
        _Row(
            f"{case.id.partition('-')[0]} {case.title}" + (f", {metric}" if len(case.metrics) > 1 else ""),
            _ratios(runs, Key(_OURS, case.id, metric)),
            ours=True,
            key=Key(_OURS, case.id, metric),
        )
        for case in CASES
        for metric in case.metrics
    ]
    return [row for row in rows if any(value is not None for value in row.values)]


def _ratios(runs: list[Run], key: Key) -> Values:
    found = [run.find(key) for run in runs]
    return [one.to_baseline.median if one is not None and one.to_baseline is not None else None for one in found]


def _panel(axes: Axes, title: str, rows: list[_Row]) -> None:
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold", color=_INK)
    for place, row in enumerate(rows):
        _bars(axes, place, row)
    axes.set_yticks(range(len(rows)), [row.label for row in rows])
    if not all(row.ours for row in rows):
        for label, row in zip(axes.get_yticklabels(), rows, strict=True):
            label.set_fontweight("bold" if row.ours else "normal")
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xscale("log")
    _scale(axes, [value for row in rows for value in row.values if value is not None])
    axes.axvline(1.0, color=_INK, linewidth=1.0)
    axes.grid(axis="x", color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _bars(axes: Axes, place: int, row: _Row) -> None:
    thickness = _FILLED / len(row.values)
    colours = _BLUES if row.ours else _GREYS
    for index, value in enumerate(row.values):
        if value is None:
            continue
        middle = _middle(place, index, len(row.values))
        axes.barh(middle, value - 1.0, left=1.0, height=thickness * 0.92, color=colours[index % len(colours)])
        axes.annotate(
            f"{value:.2f}" if value < 10 else f"{value:,.0f}",
            (value, middle),
            xytext=(-3 if value < 1 else 3, 0),
            textcoords="offset points",
            ha="right" if value < 1 else "left",
            va="center",
            fontsize=7,
            color=_INK,
            zorder=4,
            path_effects=[withStroke(linewidth=2, foreground="white")],  # a target's tick may lie beneath
        )


def _middle(place: int, index: int, count: int) -> float:
    """The vertical middle of one interpreter's bar in its row."""
    return place + _FILLED * ((index + 0.5) / count - 0.5)


def _scale(axes: Axes, values: list[float]) -> None:
    # Room at both ends for the figures at the tips of the bars.
    axes.set_xlim(min([0.5, *values]) / 1.5, max([2.0, *values]) * 1.6)
    low, high = axes.get_xlim()
    ticks = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000]
    if high / low < _NARROW:
        ticks += [0.3, 0.7, 1.5, 3, 7]
    axes.set_xticks([tick for tick in ticks if low <= tick <= high])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}x"))


def _mark_targets(axes: Axes, runs: list[Run], rows: list[_Row]) -> None:
    """A tick across each bar at the limit that the row of the table sets for it."""
    baselines = {case.id: case.baseline for case in CASES}
    for target in TARGETS:
        of, *to = target.quotient
        for place, row in enumerate(rows):
            if row.key != of or not to or to[0].contender != baselines[of.case]:
                continue
            for index, run in enumerate(runs):
                middle, half = _middle(place, index, len(runs)), _FILLED / len(runs) / 2
                axes.vlines(target.limit_for(run.version), middle - half, middle + half, color=_RED, linewidth=2)


def _legend(figure: Figure, runs: list[Run]) -> None:
    """What the shades and the ticks mean, above the panels; where it was measured, below them."""
    handles: list[Artist] = []
    for index, run in enumerate(runs):
        name = f"{run.implementation} {run.short}"
        handles += [
            Patch(color=_BLUES[index % len(_BLUES)], label=f"pynenc_async, {name}"),
            Patch(color=_GREYS[index % len(_GREYS)], label=f"others, {name}"),
        ]
    handles.append(Line2D([], [], color=_RED, marker="|", markersize=9, markeredgewidth=2, linewidth=0, label="target"))
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), frameon=False, fontsize=7.5)
    figure.supxlabel(
        f"Left of 1x is cheaper. Medians of interleaved rounds, a process each, {runs[0].cores} cores.",
        fontsize=7.5,
        color="#555555",
    )
