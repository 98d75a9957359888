"""The chart of the durable runtime: how far each target is met, and what an invocation costs here and elsewhere."""

from pathlib import Path

from benchmarks.drawing import Bars, Panel, paint
from benchmarks.durable.targets import TARGETS
from benchmarks.results import Key, Run, label_of
from benchmarks.tables import number
from benchmarks.targets import Target

_LABELS = {
    "raw": "D1 rate, against raw sqlite3",
    "pynenc": "D1 rate, against pynenc",
    "dbos": "D1 rate, against dbos",
    "huey": "D1 rate, against huey",
    "full": "D2 rate, against one commit each",
    "round-trip": "D3 one await, beyond two raw commits",
    "filled": "D4 time with a filled file, against an empty one",
    "queued": "D5 memory for each queued",
}
_LEAST = 0.1
"""The axis would reach down to what is next to nothing, and leave no room for the rest."""
_SHOWN = ("raw_three", "ours", "huey", "huey_plain", "pynenc", "dbos")


def draw(runs: list[Run], path: Path) -> None:
    """Write the chart of these runs."""
    larger = [_reached(target, runs) for target in TARGETS if target.at_least]
    smaller = [_reached(target, runs) for target in TARGETS if not target.at_least]
    panels = [
        Panel(
            title="Larger is better: measured / target",
            rows=[row for row in larger if row.drawn],
            room=3.0,
            met="met: right of the line →",
        ),
        Panel(
            title="Smaller is better: measured / limit",
            rows=[row for row in smaller if row.drawn],
            room=4.0,
            met="← met: left of the line",
            met_right=False,
        ),
        Panel(
            title="Microseconds for each stored no-op (D1); shorter is better",
            rows=_costs(runs),
            unit="",
            room=2.0,
            origin=None,
        ),
    ]
    footer = (
        "D1: 100,000 no-ops (rivals: fewer), submitted, run, ended, all in the file. In brackets what was measured. "
        f"Medians of interleaved rounds, {runs[0].cores} cores."
    )
    paint(panels, runs, footer, path)


def _reached(target: Target, runs: list[Run]) -> Bars:
    """A target as a row: the measured figure as a part of it."""
    values: list[float | None] = []
    tips: list[str] = []
    for run in runs:
        found = target.measure(run)
        part = None if found is None else found.median / target.limit_for(run.version)
        values.append(None if part is None else max(part, _LEAST))
        share = "" if part is None else f"{number(part)}x" if part >= _LEAST else f"< {_LEAST}x"
        tips.append("" if found is None else f"{share} ({_measured(found.median, target)})")
    return Bars(label=f"{_LABELS[target.id]} ({target.limit_text})", values=values, ours=True, tips=tips)


def _measured(value: float, target: Target) -> str:
    return f"{number(value)} {target.unit}".rstrip()


def _costs(runs: list[Run]) -> list[Bars]:
    rows = [
        Bars(
            label=label_of(runs, name).replace(": INSERT, UPDATE, UPDATE, batches of 500", " alone, batches of 500"),
            values=[found.median if (found := run.find(Key(name, "D1"))) is not None else None for run in runs],
            ours=name == "ours",
        )
        for name in _SHOWN
    ]
    return sorted((row for row in rows if row.drawn), key=lambda row: row.first)
