"""Measure every module of the standard library: some thousand invocations, no server, no configuration.

Run it with `python -m pynenc_async.examples.quickstart`.
"""

import ast
import sysconfig
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

from pynenc_async import DistributedInvocation, Pynenc
from pynenc_async.examples import quickstart_report as report

app = Pynenc()


@app.task
def read(path: Path) -> bytes:
    """A `def` task runs in a thread: a slow disk does not hold up the event loop."""
    return path.read_bytes()


@app.task
def parse(source: bytes) -> Counter[str]:
    """Neither does a long computation."""
    kinds = Counter(type(statement) for statement in statements(ast.parse(source)))
    functions = kinds[ast.FunctionDef] + kinds[ast.AsyncFunctionDef]
    return Counter(modules=1, lines=source.count(b"\n"), functions=functions, classes=kinds[ast.ClassDef])


@app.task
async def measure_module(path: Path) -> Counter[str]:
    """An `async def` task runs on the event loop. A call submits an invocation; awaiting that gives what it returns."""
    return await parse(await read(path))


class Package(NamedTuple):
    """What was found in a package: how much of everything, and the modules that could not be measured."""

    name: str
    size: Counter[str]
    failed: list[DistributedInvocation[[Path], Counter[str]]]


@app.task
async def measure_package(name: str, paths: list[Path]) -> Package:
    """Submit a group, and look at its invocations as they end: one that fails does not stop the others."""
    package = Package(name, size=Counter(), failed=[])
    modules = measure_module.parallelize([(path,) for path in paths])
    async for module in modules.as_completed():
        if module.exception() is None:
            package.size.update(module.result)
        else:
            package.failed.append(module)
    return package


async def main(library: Path) -> None:
    """Measure all packages at once, and take the results as they come."""
    started = perf_counter()
    packages: list[Package] = []
    async for package in measure_package.parallelize(find_packages(library).items()):
        packages.append(package)  # noqa: PERF401  the loop is what there is to see
    report.print_sizes({package.name: package.size for package in packages})
    report.print_invocations(app, perf_counter() - started)
    report.print_failures([module for package in packages for module in package.failed])


# -- no tasks from here on ---------------------------------------------------------------------------------------------

SINGLE_MODULES = "(single modules)"
NOT_OURS = {"site-packages", "dist-packages", "test", "tests", "idle_test"}


def find_packages(library: Path) -> dict[str, list[Path]]:
    """Return the modules of each package, without tests; and one that does not exist, to show a failure."""
    packages: dict[str, list[Path]] = defaultdict(list)
    packages[SINGLE_MODULES].append(library / "no_such_module.py")
    for path in sorted(library.rglob("*.py")):
        parts = path.relative_to(library).parts
        if NOT_OURS.isdisjoint(parts):
            packages[parts[0] if len(parts) > 1 else SINGLE_MODULES].append(path)
    return packages


def statements(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield every statement, however deeply nested. `ast.walk` would also pass through every expression."""
    pending: list[ast.AST] = list(tree.body)
    while pending:
        statement = pending.pop()
        yield statement
        for block in ("body", "orelse", "handlers", "finalbody", "cases"):
            pending += getattr(statement, block, ())


if __name__ == "__main__":
    app.run(main(Path(sysconfig.get_path("stdlib"))))
