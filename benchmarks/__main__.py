"""`python -m benchmarks`: measure, judge, write JSON, Markdown and a chart, print the table."""

import argparse
import importlib
import importlib.util
import sys
from pathlib import Path

from benchmarks import contenders, report, results, targets
from benchmarks.cases import Scale, select
from benchmarks.rounds import Effort, run_interpreter

_RESULTS = Path(__file__).resolve().parent / "results"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--workload", type=_names, default=[], metavar="W1,W2", help="only these (W1, W1-100k, W5-queued)"
    )
    parser.add_argument("--contender", type=_names, default=[], metavar="A,B", help="only these, and the baselines")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=Scale, choices=list(Scale), default=Scale.FULL)
    parser.add_argument("--python", action="append", default=[], metavar="PATH", help="an interpreter; repeatable")
    parser.add_argument("--output", type=Path, default=_RESULTS, metavar="DIR")
    parser.add_argument("--quick", action="store_true", help="one short round at small scale: a smoke test, no figures")
    parser.add_argument("--update", action="store_true", help="keep the other workloads of the earlier run's file")
    parser.add_argument("--render", action="store_true", help="measure nothing; write tables and chart of earlier runs")
    given = parser.parse_args()
    if given.quick:
        given.scale = Scale.SMALL
    unknown = set(given.contender) - set(contenders.names())
    if unknown:
        parser.error(f"no contender {', '.join(sorted(unknown))}; there are {', '.join(contenders.names())}")
    try:
        given.cases = select(given.workload)
    except ValueError as error:
        parser.error(str(error))
    return given


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _effort(given: argparse.Namespace) -> Effort:
    if given.quick:
        return Effort(rounds=1, repeats=1, budget=0.0, scale=given.scale)
    return Effort(rounds=given.rounds, repeats=3, budget=0.5, scale=given.scale)


def _measure(given: argparse.Namespace, python: str) -> results.Run:
    run = run_interpreter(python, given.cases, set(given.contender), _effort(given), _say)
    earlier = given.output / f"{run.name}.json"
    if given.update and earlier.exists():
        kept = results.load(earlier)
        kept.replace_cases(run)
        run = kept
    targets.judge(run)
    results.save(run, given.output)
    return run


def _earlier(given: argparse.Namespace) -> list[results.Run]:
    runs = [results.load(path) for path in sorted(given.output.glob("*.json"))]
    for run in runs:
        targets.judge(run)
    return sorted((run for run in runs if run.scale == given.scale), key=lambda run: run.version)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _draw(runs: list[results.Run], path: Path) -> None:
    if importlib.util.find_spec("matplotlib") is None:
        _say("no chart: matplotlib is not installed")
        return
    importlib.import_module("benchmarks.chart").draw(runs, path)


def main() -> None:
    given = _arguments()
    pythons = given.python or [sys.executable]
    runs = _earlier(given) if given.render else [_measure(given, python) for python in pythons]
    if not runs:
        sys.exit(f"no results at {given.scale} scale in {given.output}")
    stem = "speed" if given.scale is Scale.FULL else f"speed-{given.scale}"
    (given.output / f"{stem}.md").write_text(report.markdown(runs), encoding="utf-8")
    _draw(runs, given.output / f"{stem}.png")
    print(report.text(runs))


if __name__ == "__main__":
    main()
