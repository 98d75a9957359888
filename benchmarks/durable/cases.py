"""What is measured of the durable runtime, as data: the cases and their sizes."""

from dataclasses import dataclass
from enum import StrEnum

from benchmarks.cases import Scale


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

    def size(self, scale: Scale) -> int:
        return self.full if scale is Scale.FULL else self.small

    def finished_rows(self, scale: Scale) -> int:
        return self.finished[0 if scale is Scale.FULL else 1]

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
    # More than the window holds: a part is read back and claimed from the file.
    DurableCase(
        id="D4-empty", title="20,000 no-ops, empty file", work=Work.FINISHED, full=20_000, small=20_000, baseline="ours"
    ),
    DurableCase(
        id="D4-filled",
        title="the same, finished rows in the file (how many: see the remarks)",
        work=Work.FINISHED,
        full=20_000,
        small=20_000,
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
