"""`python -m benchmarks.durable`: measure on this interpreter, write JSON and the table, print the table.

One process for each contender, case and round, the rounds interleaved, every ratio taken within one round. Nothing is
pinned: the writer's thread is part of the design. All files lie in one temporary directory, on the disk that TMPDIR names.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.cases import Scale
from benchmarks.durable import reporting
from benchmarks.durable.cases import CASES, DurableCase
from benchmarks.durable.contenders import NAMES
from benchmarks.durable.files import fill
from benchmarks.results import Entrant, Problem, Run, Series, load, save

_ROOT = Path(__file__).resolve().parent.parent.parent
_RESULTS = _ROOT / "benchmarks" / "results" / "durable"
_PATIENCE = 600

Lane = tuple[Series, ...]
"""All figures of one contender in one case."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.durable", description=__doc__)
    parser.add_argument("--case", action="append", default=[], choices=[case.id for case in CASES])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=Scale, choices=list(Scale), default=Scale.FULL)
    parser.add_argument("--finished", type=int, help="rows in the filled file of D4, in place of the scale's")
    parser.add_argument("--output", type=Path, default=_RESULTS, metavar="DIR")
    parser.add_argument("--update", action="store_true", help="keep the other cases of the earlier run's file")
    return parser.parse_args()


def _child(*arguments: str) -> dict[str, Any]:
    done = subprocess.run(  # noqa: S603  # our own interpreter and module
        [sys.executable, "-m", "benchmarks.durable.measure", *arguments],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise RuntimeError(lines[-1] if lines else f"exit status {done.returncode}")
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def _filled(case: DurableCase, given: argparse.Namespace, directory: Path) -> Path | None:
    """The file with the finished rows, made once for all rounds."""
    finished = case.finished[0 if given.scale is Scale.FULL else 1]
    if not finished:
        return None
    path = directory / "filled.db"
    if not path.exists():
        fill(path, given.finished or finished)
    return path


def _measure(run: Run, lane: Lane, case: DurableCase, filled: Path | None, directory: Path) -> None:
    """Add one round; a contender that failed once sits out the rest of the case."""
    found: dict[str, Any] = {}
    series = lane[0]
    if not any((one.contender, one.case) == (series.contender, case.id) for one in run.problems):
        found = _ask(run, series, case, filled, directory)
    for one in lane:
        one.rounds.append(found.get("value" if one.metric == "per_item" else one.metric))
    print(f"{case.id} {series.contender}: {found}", file=sys.stderr, flush=True)


def _ask(run: Run, series: Series, case: DurableCase, filled: Path | None, directory: Path) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=directory) as own:
        where = ["--directory", own, *(["--filled", str(filled)] if filled else [])]
        try:
            return _child("--contender", series.contender, "--work", case.work, "--size", str(series.n), *where)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            run.problems.append(Problem(series.contender, case.id, str(error)))
            return {}


def _lanes(run: Run, case: DurableCase, scale: Scale) -> list[Lane]:
    size = case.full if scale is Scale.FULL else case.small
    return [
        tuple(
            Series(contender=name, case=case.id, metric=metric, unit=case.unit, n=min(size, one.most or size))
            for metric in case.metrics
        )
        for name, one in run.contenders.items()
        if case.work in one.workloads
    ]


def _measure_all(given: argparse.Namespace, directory: Path) -> Run:
    described = {name: msgspec.convert(_child("--describe", "--contender", name), Entrant) for name in NAMES}
    run = Run(
        implementation=sys.implementation.name,
        python=platform.python_version(),
        cores=os.cpu_count() or 1,
        scale=given.scale,
        contenders=described,
    )
    cases = [case for case in CASES if not given.case or case.id in given.case]
    lanes = [(case, one) for case in cases for one in _lanes(run, case, given.scale)]
    run.series = [one for _, lane in lanes for one in lane]
    for number in range(given.rounds):
        for case, one in lanes:
            if case.most_rounds is not None and number >= case.most_rounds:
                continue
            _measure(run, one, case, _filled(case, given, directory), directory)
    run.summarise({case.id: case.baseline for case in CASES})
    return run


def main() -> None:
    given = _arguments()
    with tempfile.TemporaryDirectory() as directory:
        run = _measure_all(given, Path(directory))
    earlier = given.output / f"{run.name}.json"
    if given.update and earlier.exists():
        kept = load(earlier)
        kept.replace_cases(run)
        run = kept
    reporting.judge(run)
    save(run, given.output)
    runs = [load(path) for path in sorted(given.output.glob("*.json"))]
    text = reporting.markdown([one for one in runs if one.scale == run.scale])
    (given.output.parent / "durable.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
