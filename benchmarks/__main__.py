"""`python -m benchmarks`: measure, judge, write JSON, Markdown and a chart, print the table."""

import argparse

from benchmarks import command, contenders, report
from benchmarks.cases import Scale, select
from benchmarks.results import Run
from benchmarks.rounds import Effort, run_interpreter
from benchmarks.targets import TARGETS


def _arguments() -> argparse.Namespace:
    parser = command.parser("benchmarks", __doc__, command.RESULTS)
    parser.add_argument(
        "--workload", type=command.names, default=[], metavar="W1,W2", help="only these (W1, W1-100k, W5-queued)"
    )
    parser.add_argument(
        "--contender", type=command.names, default=[], metavar="A,B", help="only these, and the baselines"
    )
    parser.add_argument("--quick", action="store_true", help="one short round at small scale: a smoke test, no figures")
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


def _effort(given: argparse.Namespace) -> Effort:
    if given.quick:
        return Effort(rounds=1, repeats=1, budget=0.0, scale=given.scale)
    return Effort(rounds=given.rounds, repeats=3, budget=0.5, scale=given.scale)


def main() -> None:
    given = _arguments()

    def measure(python: str) -> Run:
        return run_interpreter(python, given.cases, set(given.contender), _effort(given), command.say)

    runs = command.gather(given, measure, TARGETS)
    command.publish(runs, given.output, "speed", page=report.markdown(runs), chart="benchmarks.chart")
    print(report.text(runs))


if __name__ == "__main__":
    main()
