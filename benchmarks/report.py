"""What is said of the runs: the targets, and every figure, as aligned text and as Markdown."""

from benchmarks import contenders, tables
from benchmarks.cases import CASES
from benchmarks.results import Run
from benchmarks.targets import TARGETS


def text(runs: list[Run]) -> str:
    """Everything, for a terminal."""
    parts = [
        tables.machine(runs),
        tables.aligned(tables.promised(TARGETS, runs)),
        tables.aligned(tables.figures(CASES, contenders.names(), runs)),
        "\n".join(tables.remarks(CASES, runs)),
    ]
    return "\n\n".join(parts)


def markdown(runs: list[Run]) -> str:
    """Everything, for a page."""
    parts = [
        "# Speed",
        tables.machine(runs),
        "Reproduce with `python -m benchmarks`, once for each interpreter or with `--python PATH` for several.",
        tables.HOW,
        "## Targets",
        tables.piped(tables.promised(TARGETS, runs)),
        "## All figures",
        "Per item: microseconds, bytes in W5 and W11, in W10 by how many bodies the worst was late.",
        "The ratio is to the bare way, the row without one.",
        tables.piped(tables.figures(CASES, contenders.names(), runs)),
        "## Remarks",
        tables.listed(tables.remarks(CASES, runs)),
    ]
    return "\n\n".join(parts) + "\n"
