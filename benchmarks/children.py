"""The processes that measure: `python -m MODULE`, whose last line is the answer, in JSON."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parent.parent
_PATIENCE = 600
"""Seconds after which a child is given up."""


class ChildError(Exception):
    """A child ended without an answer; the text is the last line of what it wrote to stderr."""


def ask(python: str, module: str, *arguments: str) -> dict[str, Any]:
    """Run one child to its end and return its answer. Raises `ChildError`."""
    # Settings that change what asyncio does would not be the default behaviour that the tables speak of.
    environment = {
        name: value for name, value in os.environ.items() if name not in {"PYTHONASYNCIODEBUG", "PYTHONDEVMODE"}
    }
    try:
        done = subprocess.run(  # noqa: S603  # the interpreter that the user named, our own module
            [python, "-m", module, *arguments],
            cwd=_ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ChildError(f"no answer within {_PATIENCE} s") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise ChildError(lines[-1] if lines else f"exit status {done.returncode}")
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer
