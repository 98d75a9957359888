"""What is measured, as data: the workloads, their sizes, and the baseline that each ratio is taken to."""

from dataclasses import dataclass
from enum import StrEnum


class Workload(StrEnum):
    """A kind of work that a contender may know how to do."""

    FAN_OUT = "W1"
    AWAIT_ONE = "W2"
    YIELDING = "W3-yield"
    SLEEPING = "W3-sleep"
    THREADS = "W4"
    QUEUED = "W5-queued"
    RUNNING = "W5-running"
    FINISHED = "W5-finished"
    TREE = "W6"
    ENCODE = "W7-encode"
    DECODE = "W7-decode"
    CANCEL_QUEUED = "W8-queued"
    CANCEL_RUNNING = "W8-running"
    KEYED = "W9"
    KEYED_WAITING = "W9-waits"
    FAIR_SLOTS = "W10-slots"
    FAIR_TOTAL = "W10-total"
    DELAYED = "W11"
    PROCESSES = "W12"
    CANCEL_TREE = "W13"


class Kind(StrEnum):
    """How a workload is measured: the whole run, each await of it, the memory that it keeps, or how fair its order is."""

    DURATION = "duration"
    LATENCY = "latency"
    MEMORY = "memory"
    EXCESS = "excess"
    """The step returns the keys in the order in which their bodies began; see `measure`."""


class Scale(StrEnum):
    """How large the runs are: `small` while developing, `full` for the published table."""

    SMALL = "small"
    FULL = "full"


class WhenSlow(StrEnum):
    """What a contender does for which a size is too large."""

    SHRINK = "run its largest size, and take the cost per item as the same"
    SKIP = "leave the case out"
    KEEP = "run it all the same, for the size is part of the workload"


CONCURRENCY_LIMIT = 1_000
PROCESSES = 2
TREE_FAN_OUT = 10
TREE_LEVELS = 3
RETRIES = 3
TIMEOUT = 60.0
KEYS = 1_000
KEYS_LIMIT = 10
"""How many bodies of one key run at once where keys have a limit that is not reached."""
TREE_SIZE = sum(TREE_FAN_OUT**level for level in range(TREE_LEVELS + 1))


@dataclass(frozen=True, kw_only=True)
class Case:
    """One workload at one size. `small` is the size at small scale; None leaves the case to the full scale."""

    id: str
    title: str
    workload: Workload
    full: int
    small: int | None
    kind: Kind = Kind.DURATION
    baseline: str = "gather"
    cores: int = 1
    when_slow: WhenSlow = WhenSlow.SHRINK
    most_rounds: int | None = None
    """A bound on the rounds, for a case whose single run is long enough to be its own average."""

    def size(self, scale: Scale) -> int | None:
        return self.full if scale is Scale.FULL else self.small

    def size_for(self, scale: Scale, most: int | None) -> int | None:
        """How many items a contender runs whose largest size is `most`; None is not at all."""
        size = self.size(scale)
        if size is None or most is None or size <= most or self.when_slow is WhenSlow.KEEP:
            return size
        return most if self.when_slow is WhenSlow.SHRINK else None

    @property
    def metrics(self) -> tuple[str, ...]:
        return ("p50", "p99") if self.kind is Kind.LATENCY else ("per_item",)

    @property
    def unit(self) -> str:
        return {Kind.MEMORY: "bytes", Kind.EXCESS: "bodies"}.get(self.kind, "us")


def _fan_out(label: str, n: int, *, small: int | None, when_slow: WhenSlow, most_rounds: int | None = None) -> Case:
    return Case(
        id=f"W1-{label}",
        title=f"fan-out of {label} no-ops",
        workload=Workload.FAN_OUT,
        full=n,
        small=small,
        when_slow=when_slow,
        most_rounds=most_rounds,
    )


CASES: tuple[Case, ...] = (
    _fan_out("1k", 1_000, small=1_000, when_slow=WhenSlow.SKIP),
    _fan_out("10k", 10_000, small=10_000, when_slow=WhenSlow.SKIP),
    _fan_out("100k", 100_000, small=100_000, when_slow=WhenSlow.SHRINK),
    _fan_out("1M", 1_000_000, small=None, when_slow=WhenSlow.SKIP, most_rounds=3),
    Case(
        id="W2",
        title="one await at a time",
        workload=Workload.AWAIT_ONE,
        full=20_000,
        small=5_000,
        kind=Kind.LATENCY,
        baseline="each",
    ),
    Case(id="W3-yield", title="sleep(0) in each", workload=Workload.YIELDING, full=100_000, small=10_000),
    Case(
        id="W3-sleep",
        title=f"sleep(0.001) in each, {CONCURRENCY_LIMIT:,} at a time",
        workload=Workload.SLEEPING,
        full=10_000,
        small=5_000,
    ),
    # Two cores for every contender: on one, the hand-over between threads would be all that is measured.
    Case(id="W4", title="def no-ops in threads", workload=Workload.THREADS, full=20_000, small=5_000, cores=2),
    Case(
        id="W5-queued", title="bytes per queued", workload=Workload.QUEUED, full=10_000, small=10_000, kind=Kind.MEMORY
    ),
    Case(
        id="W5-running",
        title="bytes per running",
        workload=Workload.RUNNING,
        full=10_000,
        small=10_000,
        kind=Kind.MEMORY,
    ),
    Case(
        id="W5-finished",
        title="bytes per finished, result kept",
        workload=Workload.FINISHED,
        full=10_000,
        small=10_000,
        kind=Kind.MEMORY,
    ),
    Case(
        id="W6",
        title=f"a tree of {TREE_SIZE:,}",
        workload=Workload.TREE,
        full=TREE_SIZE,
        small=TREE_SIZE,
        when_slow=WhenSlow.KEEP,
    ),
    Case(id="W7-encode", title="to_json", workload=Workload.ENCODE, full=10_000, small=10_000, baseline="msgspec"),
    Case(id="W7-decode", title="from_json", workload=Workload.DECODE, full=10_000, small=10_000, baseline="msgspec"),
    Case(id="W8-queued", title="cancel 10k queued", workload=Workload.CANCEL_QUEUED, full=10_000, small=10_000),
    Case(id="W8-running", title="cancel 10k running", workload=Workload.CANCEL_RUNNING, full=10_000, small=10_000),
    Case(
        id="W9",
        title=f"no-ops with a key, {KEYS_LIMIT} for each of {KEYS:,} keys",
        workload=Workload.KEYED,
        full=KEYS * KEYS_LIMIT,
        small=KEYS * KEYS_LIMIT,
        baseline="ours",
        when_slow=WhenSlow.KEEP,
    ),
    Case(
        id="W9-waits",
        title=f"the same, one at a time for each of {KEYS:,} keys",
        workload=Workload.KEYED_WAITING,
        full=KEYS * KEYS_LIMIT,
        small=KEYS * KEYS_LIMIT,
        baseline="ours",
        when_slow=WhenSlow.KEEP,
    ),
    Case(
        id="W10-slots",
        title=f"one hot key and {KEYS - 1} others, a single slot: bodies beyond the fair share",
        workload=Workload.FAIR_SLOTS,
        full=10_000,
        small=10_000,
        kind=Kind.EXCESS,
        baseline="semaphores",
    ),
    Case(
        id="W10-total",
        title="the same, the task limited to one at a time",
        workload=Workload.FAIR_TOTAL,
        full=10_000,
        small=10_000,
        kind=Kind.EXCESS,
        baseline="semaphores",
    ),
    Case(id="W11", title="bytes per delayed", workload=Workload.DELAYED, full=100_000, small=10_000, kind=Kind.MEMORY),
    Case(
        id="W12",
        title=f"no-ops in {PROCESSES} worker processes",
        workload=Workload.PROCESSES,
        full=2_000,
        small=500,
        cores=2,
        baseline="executor",
    ),
    Case(
        id="W13",
        title=f"cancel a tree of {TREE_SIZE:,} running",
        workload=Workload.CANCEL_TREE,
        full=TREE_SIZE,
        small=TREE_SIZE,
        when_slow=WhenSlow.KEEP,
    ),
)
"""In the order of the issues. The ids are stable: result files and targets refer to them."""


def select(prefixes: list[str]) -> list[Case]:
    """The cases whose id starts with one of `prefixes`; all of them without any."""
    unknown = [prefix for prefix in prefixes if not any(_belongs(case, prefix) for case in CASES)]
    if unknown:
        raise ValueError(f"no workload {', '.join(unknown)}; there are {', '.join(case.id for case in CASES)}")
    return [case for case in CASES if not prefixes or any(_belongs(case, prefix) for prefix in prefixes)]


def _belongs(case: Case, prefix: str) -> bool:
    return case.id == prefix or case.id.startswith(f"{prefix}-")
