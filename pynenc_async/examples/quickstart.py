"""Measure every module of the standard library: some thousand invocations, no server, no configuration.

Run it with `python -m pynenc_async.examples.quickstart`.
"""

import ast
import dataclasses
import shutil
import sys
import sysconfig
import textwrap
from collections import Counter, defaultdict
from pathlib import Path
from time import perf_counter

from pynenc_async import DistributedInvocation, Pynenc

app = Pynenc()


@app.task
def read(path: Path) -> bytes:
    """A `def` task runs in a thread: a slow disk does not hold up the event loop."""
    return path.read_bytes()


@app.task
def parse(source: bytes) -> Counter[str]:
    """Neither does a long computation."""
    kinds = Counter(map(type, ast.walk(ast.parse(source))))
    functions = kinds[ast.FunctionDef] + kinds[ast.AsyncFunctionDef]
    return Counter(modules=1, lines=source.count(b"\n"), functions=functions, classes=kinds[ast.ClassDef])


@app.task
async def measure_module(path: Path) -> Counter[str]:
    """An `async def` task runs on the event loop. A call submits an invocation; awaiting that gives what it returns."""
    return await parse(await read(path))


@dataclasses.dataclass
class Package:
    """What was found in a package: how much of everything, and what could not be measured."""

    name: str
    size: Counter[str] = dataclasses.field(default_factory=Counter[str])
    failed: list[DistributedInvocation[[Path], Counter[str]]] = dataclasses.field(default_factory=list)


@app.task
async def measure_package(name: str, modules: list[Path]) -> Package:
    """Submit a group, and look at its invocations as they end: one that failed does not stop the others."""
    package = Package(name)
    group = measure_module.parallelize([(path,) for path in modules])
    async for invocation in group.as_completed():
        if invocation.exception() is None:
            package.size += invocation.result
        else:
            package.failed.append(invocation)
    return package


async def main(library: Path) -> None:
    """Measure all packages, and take the results of their group as they come."""
    started = perf_counter()
    packages: list[Package] = []
    async for package in measure_package.parallelize(find_packages(library).items()):
        packages.append(package)  # noqa: PERF401  the loop is what there is to see
    print_table(packages)
    print_summary(perf_counter() - started)
    print_failures(packages)


# That was the program. What follows finds the files and prints the report.

SINGLE_MODULES = "(single modules)"
SKIPPED = {"site-packages", "dist-packages", "test", "tests", "idle_test"}
COLUMNS = ("modules", "lines", "functions", "classes")
LARGEST = 12
RULE = "-" * 66


def find_packages(library: Path) -> dict[str, list[Path]]:
    """Return the modules of each package, without the tests, and one that does not exist: so that there is a failure."""
    packages: dict[str, list[Path]] = defaultdict(list)
    packages[SINGLE_MODULES].append(library / "no_such_module.py")
    for path in sorted(library.rglob("*.py")):
        parts = path.relative_to(library).parts
        if SKIPPED.isdisjoint(parts):
            packages[parts[0] if len(parts) > 1 else SINGLE_MODULES].append(path)
    return packages


def print_table(packages: list[Package]) -> None:
    """Print the largest packages, the others together, and the total."""
    packages = sorted(packages, key=lambda package: package.size["lines"], reverse=True)
    largest, others = packages[:LARGEST], packages[LARGEST:]
    print(f"{'package':22}" + "".join(f"{column:>11}" for column in COLUMNS), RULE, sep="\n")
    for package in largest:
        print_row(package.name, package.size)
    if others:
        print_row(f"{len(others)} more", total_of(others))
    print(RULE)
    print_row(f"{len(packages)} packages", total_of(packages))


def print_row(name: str, size: Counter[str]) -> None:
    """Print a line of the table."""
    print(f"{name:22.22}" + "".join(f"{size[column]:>11,}" for column in COLUMNS))


def total_of(packages: list[Package]) -> Counter[str]:
    """Add up."""
    return sum((package.size for package in packages), Counter[str]())


def print_summary(seconds: float) -> None:
    """Print how many invocations there were, and how they ended."""
    by_status = Counter(app.statistics().by_status)
    ended = ", ".join(f"{count:,} {status}" for status, count in by_status.items())
    python = f"Python {sys.version.split()[0]}"
    print(f"\n{by_status.total():,} invocations on {python} in {seconds:.1f} seconds: {ended}.")


def print_failures(packages: list[Package]) -> None:
    """Print what failed, why, and what happened to it."""
    failed = [invocation for package in packages for invocation in package.failed]
    print(f"\n{len(failed)} failed:" if failed else "\nNone failed.")
    for invocation in failed:
        print(f"  {invocation.arguments.kwargs['path'].name}")
        error = invocation.exception()
        print_indented(f"{type(error).__name__}: {error}")
        print_indented(f"{invocation.invocation_id}: {' > '.join(step.status for step in invocation.history)}")


def print_indented(text: str) -> None:
    """Print a paragraph."""
    width = shutil.get_terminal_size().columns
    print(textwrap.fill(text, width, initial_indent="    ", subsequent_indent="      ", break_on_hyphens=False))


if __name__ == "__main__":
    app.run(main(Path(sysconfig.get_path("stdlib"))))
