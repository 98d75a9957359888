"""What the quickstart prints: in 80 columns and ASCII, which every terminal shows."""

import sys
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from pynenc_async import DistributedInvocation, InvocationStatus, Pynenc

LARGEST: Final = 12
"""How many packages get a line of their own."""
NAME_WIDTH: Final = 22
NUMBER_WIDTH: Final = 11


def print_sizes(sizes: Mapping[str, Counter[str]]) -> None:
    """Print the largest packages, the others together, and the total."""
    columns = ("modules", "lines", "functions", "classes")
    ranked = sorted(sizes.items(), key=lambda package: package[1]["lines"], reverse=True)
    rows, others = ranked[:LARGEST], ranked[LARGEST:]
    if others:
        rows.append((f"{len(others)} more packages", _total(size for _, size in others)))
    rows.append(("total", _total(sizes.values())))
    _print_table("package", columns, [(name, [size[column] for column in columns]) for name, size in rows])


def print_invocations(app: Pynenc, seconds: float) -> None:
    """Print how many invocations of each task there were, and how they ended."""
    endings = (InvocationStatus.SUCCESS, InvocationStatus.FAILED)
    rows = [
        (task.func.__name__, [len(app.invocations(task=task, status=ending)) for ending in endings])
        for task in app.tasks.values()
    ]
    _print_table("task", endings, rows)
    count = len(app.invocations())
    print(f"{count:,} invocations in {seconds:.1f} seconds, on Python {sys.version.split()[0]}.\n")


def print_failures(modules: Sequence[DistributedInvocation[Any, Any]]) -> None:
    """Print which modules could not be measured, why, and through which statuses their invocations went."""
    print(f"Modules that could not be measured: {len(modules)}")
    for module in modules:
        error = module.exception()
        print(f"  {module.arguments.kwargs['path'].name}")
        _print_wrapped(f"{type(error).__name__}: {error}")
        _print_wrapped(" > ".join(step.status for step in module.history))


def _total(sizes: Iterable[Counter[str]]) -> Counter[str]:
    return sum(sizes, Counter[str]())


def _print_table(first: str, columns: Sequence[str], rows: Sequence[tuple[str, list[int]]]) -> None:
    print(f"{first:{NAME_WIDTH}}" + "".join(f"{column:>{NUMBER_WIDTH}}" for column in columns))
    print("-" * (NAME_WIDTH + NUMBER_WIDTH * len(columns)))
    for name, numbers in rows:
        print(f"{name:{NAME_WIDTH}.{NAME_WIDTH}}" + "".join(f"{number:>{NUMBER_WIDTH},}" for number in numbers))
    print()


def _print_wrapped(text: str) -> None:
    print(textwrap.fill(text, 79, initial_indent="    ", subsequent_indent="      ", break_on_hyphens=False))
