"""A system that refuses threads, or processes: the n-th that is asked for, or all."""

import gc
import re
import subprocess
import threading
from pathlib import Path

REFUSALS = (RuntimeError("can't start new thread"), MemoryError(), OSError(11, "Resource temporarily unavailable"))


class System:
    """Starts the first `free` threads whose name is like `name`, and refuses the others until it is asked to `relent`."""

    def __init__(self, monkeypatch, *, name=r"pynenc-\d+", free=0, error=REFUSALS[0]):
        self.refused = 0
        self._free = free
        self._name = name
        self._error = error
        self._refuses = True
        start = threading.Thread.start

        def start_or_refuse(thread):
            if re.fullmatch(self._name, thread.name):
                self._decide()
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", start_or_refuse)

    def _decide(self):
        if self._refuses and self._free <= 0:
            self.refused += 1
            raise self._error
        self._free -= 1

    def relent(self):
        self._refuses = False


class ProcessSystem(System):
    """The same for processes."""

    def __init__(self, monkeypatch, *, free=0, error=REFUSALS[2]):
        super().__init__(monkeypatch, name="nobody", free=free, error=error)
        start = subprocess.Popen.__init__

        def start_or_refuse(process, *arguments, **options):
            self._decide()
            start(process, *arguments, **options)

        monkeypatch.setattr(subprocess.Popen, "__init__", start_or_refuse)


def open_files(where=None):
    """Count the open files, or those in this directory; what only garbage holds is closed first."""
    gc.collect()
    files = list(map(_target, Path("/proc/self/fd").iterdir()))
    return sum(file is not None and (where is None or file.startswith(str(where))) for file in files)


def _target(file):
    try:
        return str(file.readlink())
    except FileNotFoundError:
        return None  # it was that of the listing, or was closed meanwhile
