"""How a chart looks: panels of bars, one for each interpreter in every row, ours blue and the others grey.

The axes are logarithmic: contenders lie orders of magnitude apart, and half and double are equally far from equal.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, NullLocator

from benchmarks.results import Run
from benchmarks.tables import number

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
_FAINT = "#555555"
_MET = "#e6f3e6"

Values = Sequence[float | None]
"""One figure for each interpreter."""


@dataclass(frozen=True, kw_only=True)
class Bars:
    """One row: its label, its figures, and where its targets are."""

    label: str
    values: Values
    ours: bool
    limits: Values = ()
    tips: Sequence[str] = ()
    """What stands at the tips of the bars, where that is not the figures."""

    @property
    def first(self) -> float:
        """Where the row stands in an order; rows without any figure are not drawn."""
        return next(value for value in self.values if value is not None)

    @property
    def drawn(self) -> bool:
        return any(value is not None for value in self.values)


@dataclass(frozen=True, kw_only=True)
class Panel:
    """Rows on one axis. Bars grow from `origin`, or, without one, from the left edge."""

    title: str
    rows: Sequence[Bars]
    unit: str = "x"
    origin: float | None = 1.0
    room: float = 1.55
    """The factor by which the axis goes beyond the figures at both ends, for what stands at the tips."""
    met: str = ""
    """With a text: `origin` is the target; the text is written on the side, shaded, on which it is met."""
    met_right: bool = True


def paint(panels: Sequence[Panel], runs: list[Run], footer: str, path: Path) -> None:
    """Write the picture: panels one below the other, what the colours mean above, a line below.

    Panels without rows are left out; without any panel no picture is written.
    """
    panels = [panel for panel in panels if panel.rows]
    if not panels:
        return
    heights = [len(panel.rows) for panel in panels]
    with mpl.rc_context({"font.size": 9, "font.family": "DejaVu Sans", "axes.edgecolor": "#999999"}):
        size = (8.8, _ROW * sum(heights) + 0.65 * len(panels) + 0.4)
        figure = Figure(figsize=size, layout="constrained")
        every = figure.subplots(len(panels), 1, gridspec_kw={"height_ratios": heights}, squeeze=False)
        for axes, panel in zip(every[:, 0], panels, strict=True):
            _panel(axes, panel)
        _legend(figure, runs)
        figure.supxlabel(footer, fontsize=7.5, color=_FAINT)
        figure.savefig(path, dpi=150)


def _panel(axes: Axes, panel: Panel) -> None:
    axes.set_title(panel.title, loc="left", fontsize=10, fontweight="bold", color=_INK)
    _scale(axes, panel)
    for place, row in enumerate(panel.rows):
        _bars(axes, panel, place, row)
    axes.set_yticks(range(len(panel.rows)), [row.label for row in panel.rows])
    if not all(row.ours for row in panel.rows):
        for label, row in zip(axes.get_yticklabels(), panel.rows, strict=True):
            label.set_fontweight("bold" if row.ours else "normal")
    axes.set_ylim(len(panel.rows) - 0.4, -0.6)
    axes.grid(axis="x", color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    if panel.met:
        _shade(axes, panel)
    elif panel.origin is not None:
        axes.axvline(panel.origin, color=_INK, linewidth=1.0)


def _scale(axes: Axes, panel: Panel) -> None:
    # Room at both ends for the figures at the tips of the bars.
    values = [value for row in panel.rows for value in row.values if value is not None]
    around = [] if panel.origin is None else [panel.origin / 2, panel.origin * 2]
    axes.set_xscale("log")
    axes.set_xlim(min([*around, *values]) / panel.room, max([*around, *values]) * panel.room)
    low, high = axes.get_xlim()
    ticks = [step * 10.0**power for power in range(-3, 7) for step in _steps(panel, high / low)]
    axes.set_xticks([tick for tick in ticks if low <= tick <= high])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(_named(panel.unit)))


def _steps(panel: Panel, span: float) -> tuple[float, ...]:
    """The ticks in each decade: as many as their labels leave room for; those of plain figures are long."""
    if panel.origin is None:
        return (1, 3)
    return (1, 2, 5) if span >= _NARROW else (1, 1.5, 2, 3, 5, 7)


def _named(unit: str) -> Callable[[float, object], str]:
    return lambda value, _: f"{value:,g}{unit}"


def _bars(axes: Axes, panel: Panel, place: int, row: Bars) -> None:
    thickness = _FILLED / len(row.values)
    colours = _BLUES if row.ours else _GREYS
    origin = axes.get_xlim()[0] if panel.origin is None else panel.origin
    for index, value in enumerate(row.values):
        middle = place + _FILLED * ((index + 0.5) / len(row.values) - 0.5)
        if value is not None:
            tip = row.tips[index] if row.tips else _figure(value)
            colour = colours[index % len(colours)]
            axes.barh(middle, value - origin, left=origin, height=thickness * 0.92, color=colour)
            _write(axes, tip, value, middle, left=value < origin)
        limit = row.limits[index] if row.limits else None
        if limit is not None:
            axes.vlines(limit, middle - thickness / 2, middle + thickness / 2, color=_RED, linewidth=2)


def _figure(value: float) -> str:
    return number(value) if value < 10 else f"{value:,.0f}"


def _write(axes: Axes, text: str, value: float, middle: float, *, left: bool) -> None:
    axes.annotate(
        text,
        (value, middle),
        xytext=(-3 if left else 3, 0),
        textcoords="offset points",
        ha="right" if left else "left",
        va="center",
        fontsize=7,
        color=_INK,
        zorder=4,
        path_effects=[withStroke(linewidth=2, foreground="white")],  # a target's tick may lie beneath
    )


def _shade(axes: Axes, panel: Panel) -> None:
    """Draw the target as a line through all rows, and the side on which it is met."""
    if panel.origin is None:
        raise ValueError("a panel that says where its target is met has its origin there")
    low, high = axes.get_xlim()
    axes.axvspan(*((panel.origin, high) if panel.met_right else (low, panel.origin)), color=_MET, zorder=0, linewidth=0)
    axes.axvline(panel.origin, color=_RED, linewidth=2)
    axes.set_title(panel.met, loc="right", fontsize=8, color="#2e7d32", fontweight="bold")


def _legend(figure: Figure, runs: list[Run]) -> None:
    handles: list[Artist] = []
    for index, run in enumerate(runs):
        name = f"{run.implementation} {run.short}"
        handles += [
            Patch(color=_BLUES[index % len(_BLUES)], label=f"pynenc_async, {name}"),
            Patch(color=_GREYS[index % len(_GREYS)], label=f"others, {name}"),
        ]
    handles.append(Line2D([], [], color=_RED, marker="|", markersize=9, markeredgewidth=2, linewidth=0, label="target"))
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), frameon=False, fontsize=7.5)
