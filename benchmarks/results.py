"""What a run found, as values: written to JSON, read back, and asked for ratios."""

import statistics
from pathlib import Path
from typing import NamedTuple

import msgspec


class Key(NamedTuple):
    """Names one figure: who, at what, and which figure of it."""

    contender: str
    case: str
    metric: str = "per_item"


class Entrant(msgspec.Struct, kw_only=True):
    """A contender as one interpreter has it."""

    label: str
    distribution: str | None = None
    version: str | None = None
    most: int | None = None
    workloads: list[str] = []
    problem: str | None = None


class Ratio(msgspec.Struct, frozen=True):
    """The median over rounds of a figure, most often divided by another of the same round; the least and the largest."""

    median: float
    least: float
    largest: float


class Series(msgspec.Struct, kw_only=True):
    """One figure of one contender, round by round; None where a round has none."""

    contender: str
    case: str
    metric: str
    unit: str
    n: int
    rounds: list[float | None] = []
    median: float | None = None
    to_baseline: Ratio | None = None

    @property
    def key(self) -> Key:
        return Key(self.contender, self.case, self.metric)


class Problem(msgspec.Struct, frozen=True):
    """A measurement that failed."""

    contender: str
    case: str
    text: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """How one target stands on one interpreter."""

    target: str
    limit: float
    measured: Ratio | None
    ok: bool | None


class Run(msgspec.Struct, kw_only=True):
    """Everything that was found on one interpreter. The machine is named by its cores alone."""

    implementation: str
    python: str
    cores: int
    scale: str
    contenders: dict[str, Entrant]
    series: list[Series] = []
    problems: list[Problem] = []
    verdicts: list[Verdict] = []
    notes: dict[str, str] = {}
    """By case, what a reader must know of it."""

    @property
    def version(self) -> tuple[int, int]:
        major, minor, *_ = self.python.split(".")
        return int(major), int(minor)

    @property
    def short(self) -> str:
        """The interpreter as the tables head it, such as `3.13`."""
        return ".".join(map(str, self.version))

    @property
    def name(self) -> str:
        """The stem of the run's file."""
        return f"{self.implementation}-{self.short}{'' if self.scale == 'full' else f'-{self.scale}'}"

    def find(self, key: Key) -> Series | None:
        return next((one for one in self.series if one.key == key), None)

    def ratio(self, of: Key, to: Key) -> Ratio | None:
        """`of` divided by `to`, round by round; None where they never met in a round."""
        return _spread([upper / lower for upper, lower in self._met(of, to) if lower])

    def beyond(self, of: Key, to: Key, times: float) -> Ratio | None:
        """By how much `of` is more than so many times `to`, round by round."""
        return _spread([upper - times * lower for upper, lower in self._met(of, to)])

    def spread(self, of: Key) -> Ratio | None:
        """The figure itself, over the rounds."""
        found = self.find(of)
        return _spread([] if found is None else [value for value in found.rounds if value is not None])

    def _met(self, of: Key, to: Key) -> list[tuple[float, float]]:
        """The rounds in which both have a figure."""
        left, right = self.find(of), self.find(to)
        if left is None or right is None:
            return []
        pairs = zip(left.rounds, right.rounds, strict=False)
        return [(one, other) for one, other in pairs if one is not None and other is not None]

    def summarise(self, baselines: dict[str, str]) -> None:
        """Fill in the medians, and the ratios to the baseline of each case."""
        for one in self.series:
            values = [value for value in one.rounds if value is not None]
            one.median = statistics.median(values) if values else None
            one.to_baseline = self.ratio(one.key, Key(baselines[one.case], one.case, one.metric))

    def replace_cases(self, newer: "Run") -> None:
        """Take over from `newer` all that it has of the cases that it measured; the rest stays."""
        measured = {one.case for one in newer.series}
        self.series = [one for one in self.series if one.case not in measured] + newer.series
        self.problems = [one for one in self.problems if one.case not in measured] + newer.problems
        self.notes = {case: text for case, text in self.notes.items() if case not in measured} | newer.notes
        self.contenders |= newer.contenders
        self.python, self.cores = newer.python, newer.cores


def _spread(values: list[float]) -> Ratio | None:
    return Ratio(statistics.median(values), min(values), max(values)) if values else None


def label_of(runs: list[Run], name: str) -> str:
    """What a contender calls itself, on the first interpreter that could import it."""
    found = [run.contenders[name] for run in runs if name in run.contenders]
    return next((one.label for one in found if one.problem is None), name)


def save(run: Run, directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{run.name}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(run), indent=1) + b"\n")
    return path


def load(path: Path) -> Run:
    return msgspec.json.decode(path.read_bytes(), type=Run)
