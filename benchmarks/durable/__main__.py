"""`python -m benchmarks.durable`: measure, judge, write JSON, Markdown and a chart, print the page.

One process for each contender, case and round, the rounds interleaved, every ratio taken within one round. Nothing is
pinned: the writer's thread is part of the design. All files lie in one temporary directory, on the disk that TMPDIR names.
"""

import argparse
import tempfile
from pathlib import Path

from benchmarks import command
from benchmarks.durable import report
from benchmarks.durable.cases import CASES
from benchmarks.durable.rounds import Site, run_interpreter
from benchmarks.durable.targets import TARGETS
from benchmarks.results import Run


def _arguments() -> argparse.Namespace:
    parser = command.parser("benchmarks.durable", __doc__, command.RESULTS / "durable")
    parser.add_argument("--case", action="append", default=[], choices=[case.id for case in CASES], help="repeatable")
    parser.add_argument("--finished", type=int, help="rows in the filled file of D4, in place of the scale's")
    return parser.parse_args()


def main() -> None:
    given = _arguments()
    cases = [case for case in CASES if not given.case or case.id in given.case]
    with tempfile.TemporaryDirectory() as directory:
        site = Site(Path(directory), scale=given.scale, finished=given.finished, say=command.say)

        def measure(python: str) -> Run:
            return run_interpreter(python, cases, given.rounds, site)

        runs = command.gather(given, measure, TARGETS)
    page = report.markdown(runs)
    command.publish(runs, given.output.parent, "durable", page=page, chart="benchmarks.durable.chart")
    print(page)


if __name__ == "__main__":
    main()
