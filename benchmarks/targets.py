"""The speed table, as data: each row a ratio of two figures of one run, or a figure that stands for itself, and its limit."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.results import Key, Ratio, Run, Verdict

Quotient = tuple[Key, Key]
"""The figure that is divided, and the one that it is divided by."""

_EAGER_START_SINCE = (3, 12)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A quotient of two figures, or, where there is nothing to divide by, a figure itself."""

    id: str
    what: str
    quotient: Quotient | tuple[Key]
    beyond: float | None = None
    """With a number: not divided; by how much the first is more than so many times the second."""
    unit: str = ""

    def measure(self, run: Run) -> Ratio | None:
        if len(self.quotient) == 1:
            return run.spread(*self.quotient)
        if self.beyond is not None:
            return run.beyond(*self.quotient, self.beyond)
        return run.ratio(*self.quotient)


@dataclass(frozen=True, kw_only=True)
class Target(Figure):
    """A figure that is at most `limit`, or at least, where that is the promise."""

    limit: float
    limit_with_eager_start: float | None = None
    """Where Python can start a task in place (3.12 and later), if that changes what can be asked for."""
    at_least: bool = False

    def limit_for(self, version: tuple[int, int]) -> float:
        if self.limit_with_eager_start is None or version < _EAGER_START_SINCE:
            return self.limit
        return self.limit_with_eager_start

    @property
    def limit_text(self) -> str:
        """The limit with its direction, such as `≥ 10` or `≤ 600 bytes`."""
        if self.unit:
            return f"≤ {self.limit:g} {self.unit}"
        if self.at_least:
            return f"≥ {self.limit:g}" if self.limit >= 1 else f"≥ {self.limit:.2f}"
        later = "" if self.limit_with_eager_start is None else f" / {self.limit_with_eager_start:.2f}"
        return f"≤ {self.limit:.2f}{later}"

    def judge(self, run: Run) -> Verdict:
        limit, measured = self.limit_for(run.version), self.measure(run)
        ok = None
        if measured is not None:
            ok = measured.median >= limit if self.at_least else measured.median <= limit
        return Verdict(target=self.id, limit=limit, measured=measured, ok=ok)


def _against(baseline: str, case: str, *, ours: str = "ours") -> Quotient:
    return Key(ours, case), Key(baseline, case)


def _rival(rival: str) -> Quotient:
    return Key(rival, "W1-100k"), Key("ours", "W1-100k")


TARGETS: tuple[Target, ...] = (
    Target(
        id="W1", what="W1, 100k, against `create_task` + `gather`", quotient=_against("gather", "W1-100k"), limit=0.60
    ),
    Target(
        id="W1-uvloop",
        what="the same, both on uvloop",
        quotient=_against("gather+uvloop", "W1-100k", ours="ours+uvloop"),
        limit=0.60,
    ),
    Target(
        id="W1-cheapest",
        what="W1, 100k, against the cheapest bare way (create all, then await each)",
        quotient=_against("each", "W1-100k"),
        limit=0.90,
    ),
    Target(
        id="W1-1M",
        what="W1, 1M, against `create_task` + `gather` there",
        quotient=_against("gather", "W1-1M"),
        limit=0.60,
    ),
    Target(
        id="W2",
        what="W2, p50, against `await create_task(noop())` (3.11 / 3.12 and later)",
        quotient=(Key("ours", "W2", "p50"), Key("each", "W2", "p50")),
        limit=1.60,
        limit_with_eager_start=1.00,
    ),
    Target(id="W3", what="W3, `sleep(0)`, against bare tasks", quotient=_against("gather", "W3-yield"), limit=1.60),
    Target(id="W4", what="W4, against `asyncio.to_thread`", quotient=_against("gather", "W4"), limit=0.60),
    Target(
        id="W5-queued", what="W5, queued, against a pending Task", quotient=_against("gather", "W5-queued"), limit=0.60
    ),
    Target(
        id="W5-finished",
        what="W5, finished, against a finished Task, result kept",
        quotient=_against("gather", "W5-finished"),
        limit=0.80,
    ),
    Target(id="W6", what="W6, against the same tree in bare tasks", quotient=_against("gather", "W6"), limit=1.50),
    Target(
        id="W7-encode",
        what="W7, `to_json`, against encoding the raw Struct",
        quotient=_against("msgspec", "W7-encode"),
        limit=4.0,
    ),
    Target(
        id="W7-decode",
        what="W7, `from_json`, against decoding the raw Struct",
        quotient=_against("msgspec", "W7-decode"),
        limit=6.0,
    ),
    Target(
        id="taskiq",
        what="W1 of taskiq InMemoryBroker, divided by ours",
        quotient=_rival("taskiq"),
        limit=10,
        at_least=True,
    ),
    Target(id="aiojobs", what="W1 of aiojobs, divided by ours", quotient=_rival("aiojobs"), limit=2, at_least=True),
    Target(id="pynenc", what="W1 of pynenc, divided by ours", quotient=_rival("pynenc"), limit=100, at_least=True),
    Target(
        id="W9",
        what="W9, with retries, a timeout and a limit by KEYS, against the same without",
        quotient=(Key("ours_policed", "W9"), Key("ours", "W9")),
        limit=2.0,
    ),
    Target(
        id="W10-slots",
        what="W10, 1,000 keys with a hot one: how long beyond its fair share a key waits",
        quotient=(Key("ours_policed", "W10-slots"),),
        limit=1,
        unit="body",
    ),
    Target(
        id="W10-total",
        what="the same, the task limited to one at a time",
        quotient=(Key("ours_policed", "W10-total"),),
        limit=1,
        unit="body",
    ),
    Target(id="W11", what="W11, each of 100k delayed", quotient=(Key("ours", "W11"),), limit=600, unit="bytes"),
    Target(
        id="W12",
        what="W12, in warm worker processes, against a warm `ProcessPoolExecutor`",
        quotient=_against("executor", "W12"),
        limit=1.2,
    ),
    Target(
        id="W13",
        what="W13, cancel a tree of 1,111 running, against cancelling as many bare tasks",
        quotient=_against("gather", "W13"),
        limit=2.0,
    ),
)


def judge(run: Run, promises: Sequence[Target]) -> None:
    """Write the verdict on every target into the run."""
    run.verdicts = [target.judge(run) for target in promises]
