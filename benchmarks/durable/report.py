"""What is said of the runs, as a page: the targets, the same figures seen otherwise, and every figure."""

from benchmarks import tables
from benchmarks.durable.cases import CASES
from benchmarks.durable.contenders import NAMES
from benchmarks.durable.targets import OTHERWISE, TARGETS
from benchmarks.results import Run


def markdown(runs: list[Run]) -> str:
    """Everything."""
    parts = [
        "# Speed of the durable runtime",
        tables.machine(runs),
        "Reproduce with `python -m benchmarks.durable`, once for each interpreter or with `--python PATH` for several.",
        tables.HOW,
        _COMPARED,
        "## Targets",
        tables.piped(tables.promised(TARGETS, runs)),
        "## The same, looked at otherwise",
        _OTHERWISE,
        tables.piped(tables.compared(OTHERWISE, runs)),
        "## All figures",
        "Per item: microseconds, bytes in D5. The ratio is to the row without one.",
        tables.piped(tables.figures(CASES, NAMES, runs)),
        "## Remarks",
        tables.listed(tables.remarks(CASES, runs)),
    ]
    return "\n\n".join(parts) + "\n"


_COMPARED = """\
Ours submits through the public API, runs each body, and returns each result; every invocation is registered, started and
ended in the file, with its history. The settings are the defaults, but that the watchdog is off: it names in the log what
keeps the event loop for more than half a second, and submitting 100,000 in one go does.

Raw is a lower bound, not a runtime: ready values, statements prepared once, no body, nobody who waits. In D1 it writes the
same rows into the same tables and indexes, 500 to a transaction: INSERT, UPDATE to running, UPDATE to success. In D2 it
commits once for each invocation, `synchronous=FULL`, the whole row in one INSERT; in D3 its unit is that commit with
`synchronous=NORMAL`.

Rivals run sizes that they can bear (see the remarks). pynenc sets `synchronous=NORMAL`, as our `normal` does; dbos keeps what
SQLite does by itself, FULL, but most of its time goes elsewhere. huey has the settings that it comes with, FULL as well, and
polls of a millisecond; one worker, two and four differ little."""

_OTHERWISE = """\
Nothing is promised here. On a machine that is busy with other work a program of two threads waits for its cores more often
than one of one thread, which the times of the wall show and those of the CPU do not. The default window keeps 10,000 in
memory: of a burst of 100,000 the rest is put off, and some of it written, read back and claimed; the wide one,
`store_window=200,000`, keeps them all. Raw with INSERT, UPDATE is the stricter bound: it writes what we write where there is
room to start at once, registration and start in one.

huey, tuned, has `fsync=False`, which survives a crash of the process, as our `normal` does, but may leave a damaged file
after a loss of power, as that does not; its worker is a process of its own, and results stay in the file. It takes some
twelve times as long as the raw statements, so ten times its rate is beyond whatever runs a body in Python."""
