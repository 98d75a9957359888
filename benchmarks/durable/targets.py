"""What was promised of the durable runtime, and the same figures seen otherwise, as data."""

from benchmarks.results import Key
from benchmarks.targets import Figure, Quotient, Target


def _rate(of: str, *, ours: str = "ours", metric: str = "per_item") -> Quotient:
    """Our rate in D1 as a part of another's: the quotient of the times the other way round."""
    return Key(of, "D1", metric), Key(ours, "D1", metric)


def _rival(name: str, limit: float) -> Target:
    return Target(
        id=name,
        what=f"D1, rate against {name} on SQLite",
        quotient=_rate(name),
        limit=limit,
        at_least=True,
    )


TARGETS: tuple[Target, ...] = (
    Target(
        id="raw",
        what="D1, rate against raw batched `sqlite3` statements: INSERT, UPDATE, UPDATE",
        quotient=_rate("raw_three"),
        limit=0.30,
        at_least=True,
    ),
    _rival("pynenc", 20),
    _rival("dbos", 50),
    Target(
        id="huey",
        what="D1, rate against huey on SQLite, as it comes",
        quotient=_rate("huey_plain"),
        limit=10,
        at_least=True,
    ),
    Target(
        id="full",
        what="D2, rate against one commit for each invocation",
        quotient=(Key("raw_each", "D2"), Key("ours", "D2")),
        limit=5,
        at_least=True,
    ),
    Target(
        id="round-trip",
        what="D3, one await, beyond two raw commits",
        quotient=(Key("ours", "D3"), Key("raw_each", "D3")),
        beyond=2.0,
        limit=500,
        unit="us",
    ),
    Target(
        id="filled",
        what="D4, time with the finished rows, against an empty file",
        quotient=(Key("ours", "D4-filled"), Key("ours", "D4-empty")),
        limit=1.3,
    ),
    Target(id="queued", what="D5, memory for each queued", quotient=(Key("ours", "D5"),), limit=64, unit="bytes"),
)

OTHERWISE: tuple[Figure, ...] = (
    Figure(
        id="raw-cpu",
        what="D1 against INSERT, UPDATE, UPDATE, time of the CPU",
        quotient=_rate("raw_three", metric="cpu"),
    ),
    Figure(
        id="raw-wide",
        what="D1 against INSERT, UPDATE, UPDATE, wide window",
        quotient=_rate("raw_three", ours="ours_wide"),
    ),
    Figure(
        id="raw-wide-cpu",
        what="D1 against INSERT, UPDATE, UPDATE, wide window, time of the CPU",
        quotient=_rate("raw_three", ours="ours_wide", metric="cpu"),
    ),
    Figure(id="two", what="D1 against INSERT, UPDATE", quotient=_rate("raw_two")),
    Figure(id="two-cpu", what="D1 against INSERT, UPDATE, time of the CPU", quotient=_rate("raw_two", metric="cpu")),
    Figure(id="two-wide", what="D1 against INSERT, UPDATE, wide window", quotient=_rate("raw_two", ours="ours_wide")),
    Figure(
        id="two-wide-cpu",
        what="D1 against INSERT, UPDATE, wide window, time of the CPU",
        quotient=_rate("raw_two", ours="ours_wide", metric="cpu"),
    ),
    Figure(id="huey-tuned", what="D1, rate against huey, tuned (see below)", quotient=_rate("huey")),
    Figure(
        id="filled-cpu",
        what="D4, with the finished rows, against an empty file, time of the CPU",
        quotient=(Key("ours", "D4-filled", "cpu"), Key("ours", "D4-empty", "cpu")),
    ),
)
