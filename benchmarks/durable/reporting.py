"""The verdicts on the targets, and the page with them and with every figure."""

import statistics

from benchmarks.durable.cases import CASES, CPU_TARGETS, ROUND_TRIP, TARGETS
from benchmarks.results import Key, Ratio, Run, Verdict, label_of

_ROUND_TRIP = "round trip"


def _round_trip(run: Run) -> Verdict:
    """How much longer one await takes than the raw commits that it is allowed, in microseconds."""
    of, to, commits, limit = ROUND_TRIP
    ours, raw = run.find(of), run.find(to)
    pairs = [] if ours is None or raw is None else zip(ours.rounds, raw.rounds, strict=True)
    beyond = [upper - commits * lower for upper, lower in pairs if upper is not None and lower is not None]
    measured = Ratio(statistics.median(beyond), min(beyond), max(beyond)) if beyond else None
    return Verdict(
        target=_ROUND_TRIP, limit=limit, measured=measured, ok=None if measured is None else measured.median <= limit
    )


def judge(run: Run) -> None:
    """Write the verdict on every target into the run."""
    run.verdicts = [*(target.judge(run) for target in (*TARGETS, *CPU_TARGETS)), _round_trip(run)]


def markdown(runs: list[Run]) -> str:
    """Everything, for a page."""
    pythons = ", ".join(f"{run.implementation} {run.python} ({run.scale} scale)" for run in runs)
    return (
        "\n\n".join(
            [
                "# Speed of the durable runtime",
                f"Measured on {runs[0].cores} cores with {pythons}. Reproduce with `python -m benchmarks.durable`.",
                "Ratios are medians over rounds, each taken within one round; in brackets, the least and the largest round.",
                _TEXT,
                "## Targets",
                _table(["what", "target", *(f"measured {run.short}" for run in runs), "ok"], _verdicts(runs)),
                "## All figures",
                "Microseconds for each item, D5 bytes.",
                _table(
                    ["case", "contender", *(f"n, {run.short}" for run in runs), *(run.short for run in runs)],
                    _figures(runs),
                ),
                *_problems(runs),
            ]
        )
        + "\n"
    )


_TEXT = """\
What is compared: ours submits through the public API, runs each body, and returns each result; every invocation is
registered, started and ended in the file, with its history. Raw is a lower bound, not a runtime: ready values, statements
prepared once, no body, nobody who waits. It writes the same rows into the same tables and indexes, 500 to a transaction:
INSERT, UPDATE to running, UPDATE to success; the stricter one writes what we write where there is room to start at once,
registration and start in one INSERT, and one UPDATE. The default window keeps 10,000 in memory: of a burst of 100,000 the
rest is written, read back, claimed and ended. In D2 raw commits once for each invocation, `synchronous=FULL`, the whole row
in one INSERT. In D3 its unit is that commit with `synchronous=NORMAL`. Rivals run sizes that they can bear (see n).

On a machine that is busy with other work a program of two threads waits for its cores more often than one of one thread,
which the times of the wall show and those of the CPU do not."""


def _verdicts(runs: list[Run]) -> list[list[str]]:
    names = [
        *((target.id, target.what, target.limit_text) for target in (*TARGETS, *CPU_TARGETS)),
        (_ROUND_TRIP, "D3, beyond two raw commits", f"{ROUND_TRIP[3]:g} us"),
    ]
    rows: list[list[str]] = []
    for name, what, limit in names:
        found = [next((one for one in run.verdicts if one.target == name), None) for run in runs]
        marks = [one.ok for one in found if one is not None]
        ok = "NO" if False in marks else "yes" if marks and all(marks) else "-"
        rows.append([what, limit, *("-" if one is None else _spread(one.measured) for one in found), ok])
    return rows


def _spread(found: Ratio | None) -> str:
    return "-" if found is None else f"{found.median:,.2f} ({found.least:,.2f} to {found.largest:,.2f})"


def _figures(runs: list[Run]) -> list[list[str]]:
    rows: list[list[str]] = []
    for case in CASES:
        names = dict.fromkeys(one.contender for run in runs for one in run.series if one.case == case.id)
        for name, metric in ((name, metric) for name in names for metric in case.metrics):
            found = [run.find(Key(name, case.id, metric)) for run in runs]
            sizes = ["-" if one is None else f"{one.n:,}" for one in found]
            values = ["-" if one is None or one.median is None else f"{one.median:,.1f}" for one in found]
            rows.append(
                [f"{case.id} {case.title}{', CPU' if metric == 'cpu' else ''}", label_of(runs, name), *sizes, *values]
            )
    return rows


def _problems(runs: list[Run]) -> list[str]:
    lines = [
        f"* {run.short}: {name}: {one.problem}" for run in runs for name, one in run.contenders.items() if one.problem
    ]
    lines += [f"* {run.short}: {one.contender}, {one.case}: {one.text}" for run in runs for one in run.problems]
    for run in runs:
        rivals = [f"{one.distribution} {one.version}" for one in run.contenders.values() if one.version]
        lines.append(f"* {run.short}: versions: {', '.join(rivals)}")
    return ["## Remarks", "\n".join(lines)]


def _table(header: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *rows))
