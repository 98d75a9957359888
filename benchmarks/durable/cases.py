"""What is measured of the durable runtime: cases, sizes and targets, as data."""

from dataclasses import dataclass
from enum import StrEnum

from benchmarks.results import Key
from benchmarks.targets import Target


class Work(StrEnum):
    """A kind of work that a contender may know how to do."""

    BURST = "D1"
    CONCURRENT_FULL = "D2"
    AWAIT_ONE = "D3"
    FINISHED = "D4"
    QUEUED = "D5"


@dataclass(frozen=True, kw_only=True)
class DurableCase:
    """One kind of work at one size, in microseconds for each item, or in bytes."""

    id: str
    title: str
    work: Work
    full: int
    small: int
    baseline: str
    finished: tuple[int, int] = (0, 0)
    """How many finished rows the file has before, at full and at small scale."""
    unit: str = "us"
    most_rounds: int | None = None
    """A bound on the rounds, for a case that is long and hardly varies."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """`per_item` is time of the wall; `cpu` is that of all threads of the process."""
        return ("per_item", "cpu") if self.work in (Work.BURST, Work.FINISHED) else ("per_item",)


CASES: tuple[DurableCase, ...] = (
    DurableCase(
        id="D1", title="100k no-ops, `normal`", work=Work.BURST, full=100_000, small=100_000, baseline="raw_three"
    ),
    DurableCase(
        id="D2",
        title="1,000 concurrent submitters, `full`",
        work=Work.CONCURRENT_FULL,
        full=1_000,
        small=1_000,
        baseline="raw_each",
    ),
    DurableCase(
        id="D3", title="one await, p50, `normal`", work=Work.AWAIT_ONE, full=3_000, small=1_000, baseline="raw_each"
    ),
    DurableCase(
        id="D4-empty", title="5,000 no-ops, empty file", work=Work.FINISHED, full=5_000, small=5_000, baseline="ours"
    ),
    DurableCase(
        id="D4-filled",
        title="the same, 10M (small scale: 1M) finished rows in the file",
        work=Work.FINISHED,
        full=5_000,
        small=5_000,
        baseline="ours",
        finished=(10_000_000, 1_000_000),
    ),
    DurableCase(
        id="D5",
        title="resident bytes for each queued beyond the first quarter",
        work=Work.QUEUED,
        full=1_000_000,
        small=400_000,
        baseline="ours",
        unit="bytes",
        most_rounds=1,
    ),
)


def _rival(name: str, limit: float) -> Target:
    return Target(
        id=name,
        what=f"D1 of {name} on SQLite, divided by ours",
        quotient=(Key(name, "D1"), Key("ours", "D1")),
        limit=limit,
        at_least=True,
    )


TARGETS: tuple[Target, ...] = (
    Target(
        id="raw_three",
        what="D1, rate against raw batched statements: INSERT, UPDATE to running, UPDATE to success",
        quotient=(Key("raw_three", "D1"), Key("ours", "D1")),
        limit=0.30,
        at_least=True,
    ),
    Target(
        id="raw_two",
        what="D1, the same against INSERT, UPDATE to success (registered and started at once)",
        quotient=(Key("raw_two", "D1"), Key("ours", "D1")),
        limit=0.30,
        at_least=True,
    ),
    Target(
        id="raw_three_wide",
        what="D1, against INSERT, UPDATE, UPDATE, with `store_window` as large as the burst",
        quotient=(Key("raw_three", "D1"), Key("ours_wide", "D1")),
        limit=0.30,
        at_least=True,
    ),
    Target(
        id="raw_two_wide",
        what="D1, against INSERT, UPDATE, with `store_window` as large as the burst",
        quotient=(Key("raw_two", "D1"), Key("ours_wide", "D1")),
        limit=0.30,
        at_least=True,
    ),
    _rival("pynenc", 20),
    _rival("dbos", 50),
    _rival("huey", 10),
    Target(
        id="full",
        what="D2, rate against one commit for each invocation",
        quotient=(Key("raw_each", "D2"), Key("ours", "D2")),
        limit=5,
        at_least=True,
    ),
    Target(
        id="filled",
        what="D4, with the finished rows, against an empty file",
        quotient=(Key("ours", "D4-filled"), Key("ours", "D4-empty")),
        limit=1.3,
    ),
    Target(id="queued", what="D5, bytes for each queued", quotient=(Key("ours", "D5"),), limit=64, unit="bytes"),
)


def _of_cpu(target: Target) -> Target:
    of, to = target.quotient[0], target.quotient[-1]
    return Target(
        id=f"{target.id}-cpu",
        what=f"{target.what}; time of the CPU",
        quotient=(Key(of.contender, of.case, "cpu"), Key(to.contender, to.case, "cpu")),
        limit=target.limit,
        at_least=target.at_least,
    )


CPU_TARGETS: tuple[Target, ...] = tuple(
    _of_cpu(target) for target in TARGETS if target.id.startswith(("raw", "filled"))
)
"""The same of the time that the processes had a core: what a machine that is busy with other work distorts least."""
ROUND_TRIP = (Key("ours", "D3"), Key("raw_each", "D3"), 2.0, 500.0)
"""Ours is at most so many raw commits, and so many microseconds more; see `judging`."""
