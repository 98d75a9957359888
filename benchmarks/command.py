"""What the commands have in common: options, the merging of what several runs found, the files that they write."""

import argparse
import importlib
import importlib.util
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import targets
from benchmarks.cases import Scale
from benchmarks.results import Run, load, save
from benchmarks.targets import Target

RESULTS = Path(__file__).resolve().parent / "results"


def parser(module: str, description: str | None, output: Path) -> argparse.ArgumentParser:
    """The options of every command; `output` is the directory of the JSON files."""
    made = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    made.add_argument("--rounds", type=int, default=5)
    made.add_argument("--scale", type=Scale, choices=list(Scale), default=Scale.FULL)
    made.add_argument("--python", action="append", default=[], metavar="PATH", help="an interpreter; repeatable")
    made.add_argument("--output", type=Path, default=output, metavar="DIR")
    made.add_argument("--update", action="store_true", help="keep the other cases of the earlier run's file")
    made.add_argument("--render", action="store_true", help="measure nothing; write tables and chart of earlier runs")
    return made


def names(text: str) -> list[str]:
    """The parts of an option with commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def say(line: str) -> None:
    """Report progress."""
    print(line, file=sys.stderr, flush=True)


def gather(given: argparse.Namespace, measure: Callable[[str], Run], promises: Sequence[Target]) -> list[Run]:
    """Measure on every interpreter that was asked for; return all runs of that scale, the earlier ones too."""
    if not given.render:
        for python in given.python or [sys.executable]:
            _keep(measure(python), given, promises)
    runs = [run for run in map(load, sorted(given.output.glob("*.json"))) if run.scale == given.scale]
    if not runs:
        sys.exit(f"no results at {given.scale} scale in {given.output}")
    for run in runs:
        targets.judge(run, promises)
    return sorted(runs, key=lambda run: run.version)


def _keep(run: Run, given: argparse.Namespace, promises: Sequence[Target]) -> None:
    earlier = given.output / f"{run.name}.json"
    if given.update and earlier.exists():
        kept = load(earlier)
        kept.replace_cases(run)
        run = kept
    targets.judge(run, promises)
    save(run, given.output)


def publish(runs: list[Run], directory: Path, stem: str, *, page: str, chart: str) -> None:
    """Write the page, and the chart that the module `chart` draws, where matplotlib is there."""
    if runs[0].scale != Scale.FULL:
        stem = f"{stem}-{runs[0].scale}"
    (directory / f"{stem}.md").write_text(page, encoding="utf-8")
    if importlib.util.find_spec("matplotlib") is None:
        say("no chart: matplotlib is not installed")
        return
    importlib.import_module(chart).draw(runs, directory / f"{stem}.png")
