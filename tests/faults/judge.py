"""What the fault suite runs, kills and judges: victims, their file, and the ledger that knows what was promised."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

from helpers import leases_beside

from pynenc_async import InvocationStatus as S
from pynenc_async.status import StatusRecord, advance
from pynenc_async.store.sqlite import SqliteStore
from pynenc_async.store.values import Query

ROOT = Path(__file__).parent.parent.parent
VICTIM = Path(__file__).parent / "victim.py"
OWNED = {S.PENDING, S.RUNNING, S.PAUSED, S.RESUMED}
PATIENCE = 60


class Scene:
    """One file, its ledger, and the processes that work on it."""

    def __init__(self, folder):
        self.folder = folder
        self.database = folder / "jobs.db"
        self.ledger_path = folder / "ledger"
        self.victims = []

    def start(self, *options, **popen):
        """Start a victim."""
        command = [sys.executable, str(VICTIM), str(self.database), str(self.ledger_path), *map(str, options)]
        output = (self.folder / f"victim-{len(self.victims)}.log").open("wb")
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        with output:
            victim = subprocess.Popen(command, stdout=output, stderr=output, env=environment, **popen)
        self.victims.append(victim)
        return victim

    def suspend(self, victim):
        """Stop a victim outside of a transaction: else it holds the lock of the file, and nobody could take over."""
        while True:
            victim.send_signal(signal.SIGSTOP)
            probe = sqlite3.connect(self.database, timeout=0.2, isolation_level=None)
            try:
                probe.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError:
                victim.send_signal(signal.SIGCONT)
                pause(0.01)
            finally:
                probe.close()

    def finish(self, *options):
        """Start a victim that submits nothing, and wait until it has brought everything to its end."""
        victim = self.start(*options)
        assert victim.wait(PATIENCE) == 0, self.log(victim)

    def run(self, program):
        """Run a program of its own."""
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        return subprocess.run(
            [sys.executable, "-c", program],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )

    def log(self, victim):
        return (self.folder / f"victim-{self.victims.index(victim)}.log").read_text()[-5_000:]

    def clear(self):
        """Leave no process behind."""
        for victim in self.victims:
            if victim.poll() is None:
                victim.send_signal(signal.SIGCONT)
                victim.kill()
            victim.wait()

    def ledger(self):
        """Return the lines of the ledger, as words."""
        if not self.ledger_path.exists():
            return []
        return [line.split() for line in self.ledger_path.read_text().splitlines() if line.count("at=") == 1]

    def written(self):
        """Return the size of the ledger."""
        return self.ledger_path.stat().st_size if self.ledger_path.exists() else 0

    def wait_for_renewals(self, victim, count=3):
        """Wait until a victim has renewed its lease so many times."""
        moments = set()
        for _ in range(PATIENCE * 100):
            moments.update(until for pid, until in leases_beside(self.database) if pid == victim.pid)
            if len(moments) > count:
                return
            pause(0.01)
        raise AssertionError("it has let its lease run out")

    def wait_for(self, count, *words, by=None):
        """Wait until so many lines of the ledger begin with these words; the reader blocks on nothing that may hang."""
        for _ in range(PATIENCE * 100):
            if sum(line[: len(words)] == list(words) for line in self.ledger()) >= count:
                return
            if by is not None and by.poll() is not None:
                return
            pause(0.01)
        raise AssertionError(
            f"the ledger never had {count} lines {words}: {Counter(line[0] for line in self.ledger())}"
        )


def pause(seconds):
    """Let other processes go on: what is waited for happens there, and has no event to wait for here."""
    signal.sigtimedwait([], seconds)


async def judge(scene, *, all_final=True, limits=True):
    """Hold the file against the ledger and the status table; return counts for the report."""
    check = sqlite3.connect(scene.database)
    assert check.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    check.close()
    store = SqliteStore(scene.database)
    await store.open("judge0000", lease_seconds=10)
    try:
        rows = await everything(store)
        for row in rows.values():
            judge_history(row, store.history(row.invocation_id), all_final=all_final)
    finally:
        await store.close()
    promised = {line[1] for line in scene.ledger() if line[0] == "accepted"}
    assert promised <= rows.keys(), "accepted, and not in the file"
    if limits:
        judge_limit(scene)
    return Counter(
        accepted=len(promised),
        rows=len(rows),
        crashed=sum(row.crashes > 0 for row in rows.values()),
        poisoned=sum(row.crashes >= row.max_crashes for row in rows.values()),
    )


async def everything(store):
    rows, after = {}, None
    while True:
        page = await store.find(Query(limit=500, after=after))
        rows |= {row.invocation_id: row for row in page.invocations}
        if (after := page.next) is None:
            return rows


def judge_history(row, steps, *, all_final):
    current: StatusRecord | None = None
    for step in steps:
        current = advance(current, step.status, runner_id=step.runner_id, attempt=step.attempt)
    assert current.status is row.status
    assert sum(step.status.is_final() for step in steps) == row.status.is_final()
    if all_final:
        assert row.status.is_final(), (row.invocation_id, row.task_id, [str(step.status) for step in steps])


def judge_limit(scene, limit=2):
    """No more than `limit` bodies of living processes were inside at once: a body dies with its process."""
    lines = scene.ledger()
    last_word = {line[-2]: position for position, line in enumerate(lines)}
    inside = defaultdict(set)
    for position, line in enumerate(lines):
        pid = line[-2]
        if line[0] == "enter":
            inside[pid].add(line[1])
            living = [bodies for one, bodies in inside.items() if last_word[one] >= position]
            assert sum(map(len, living)) <= limit, line
        elif line[0] == "leave":
            inside[pid].discard(line[1])
