"""The child: one contender, one case, one process. The last line that it prints is the answer, in JSON."""

import argparse
import importlib.metadata
import json
import os
import platform
import sys
from pathlib import Path

from benchmarks.durable import contenders
from benchmarks.durable.cases import Work
from benchmarks.durable.contenders import Job, Stopwatch


def _introduce(name: str) -> dict[str, object]:
    return {
        "implementation": sys.implementation.name,
        "python": platform.python_version(),
        "entrant": _describe(name),
    }


def _describe(name: str) -> dict[str, object]:
    try:
        contender = contenders.load(name)
    except Exception as error:  # noqa: BLE001  # a rival that breaks on import must not end the run; its error is shown
        return {"label": name, "problem": f"{type(error).__name__}: {error}"}
    version = None
    if contender.distribution and contender.distribution != "pynenc-async":
        version = importlib.metadata.version(contender.distribution)
    return {
        "label": contender.label,
        "distribution": contender.distribution,
        "version": version,
        "most": contender.most,
        "workloads": [str(work) for work in contender.runs],
    }


def _run(name: str, work: Work, job: Job) -> dict[str, object]:
    found = contenders.load(name).runs[work](job)
    return {"per_item": found, "cpu": Stopwatch.cpu}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.durable.measure", description=__doc__)
    parser.add_argument("--describe", action="store_true")
    parser.add_argument("--contender", default="ours")
    parser.add_argument("--work", type=Work, default=Work.BURST)
    parser.add_argument("--size", type=int, default=1_000)
    parser.add_argument("--directory", type=Path, default=Path())
    parser.add_argument("--filled", type=Path)
    given = parser.parse_args()
    job = Job(n=given.size, directory=given.directory, filled=given.filled)
    answer = _introduce(given.contender) if given.describe else _run(given.contender, given.work, job)
    print(json.dumps(answer))
    sys.stdout.flush()
    # No rival's threads or exit hooks: what had to be measured is measured.
    os._exit(0)


if __name__ == "__main__":
    main()
