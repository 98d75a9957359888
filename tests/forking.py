"""Forks of the test's own process: what a child says, and how it is made to say it."""

import json
import os
import signal
import subprocess
import sys
import threading
import traceback
import warnings
from pathlib import Path

import pytest

_PATIENCE_SECONDS = 60
_ROOT = Path(__file__).parent.parent
needs_forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")


class Child:
    """A forked process that calls `act` and writes down what that returns, as JSON."""

    def __init__(self, act):
        self._said, says = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of the threads that are not there in the child
            self._pid = os.fork()
        if self._pid == 0:
            signal.alarm(_PATIENCE_SECONDS)  # one that hangs must not outlive the test
            try:
                os.write(says, json.dumps(act()).encode())
            except BaseException:
                os.write(says, json.dumps({"raised": traceback.format_exc()}).encode())
            finally:
                os._exit(0)
        os.close(says)

    def answer(self):
        """Wait for its end; return what it has said."""
        with os.fdopen(self._said) as file:
            said = json.loads(file.read() or '{"raised": "nothing was said"}')
        os.waitpid(self._pid, 0)
        assert not (isinstance(said, dict) and "raised" in said), said["raised"]
        return said


def run_program(program, *arguments):
    """Run the text of a program that forks, in a process of its own, which has to end well."""
    done = subprocess.run(  # noqa: S603  itself
        [sys.executable, "-c", program, *arguments],
        env=os.environ | {"PYTHONPATH": str(_ROOT)},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def in_children(count, act):
    """Return what `count` children say that are forked off now, and run side by side."""
    children = [Child(act) for _ in range(count)]
    return [child.answer() for child in children]


def in_child(act):
    """Return what one child says."""
    return Child(act).answer()


def from_thread(act):
    """Return what `act` returns in a thread of its own."""
    returned = []
    thread = threading.Thread(target=lambda: returned.append(act()))
    thread.start()
    thread.join(30)
    return returned[0]
