"""A check: a rule of the contract, and a coroutine that proves it on an empty store."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from pynenc_async.errors import reduce_error
from pynenc_async.store.values import Refusal, RefusalKind
from pynenc_async.testing.store_checks.bench import Bench
from pynenc_async.testing.store_checks.harness import StoreHarness


class Proof(Protocol):
    """An async function that raises `BrokenRuleError` unless the rule in its docstring is kept."""

    __name__: str
    __doc__: str | None

    async def __call__(self, bench: Bench, /) -> None:
        """Prove it, on an empty store."""
        ...


class BrokenRuleError(AssertionError):
    """Raised by a check: the store does not keep the rule."""

    def __reduce__(self) -> tuple[Any, ...]:
        return reduce_error(self)


@dataclass(frozen=True, slots=True)
class StoreCheck:
    """One rule of the contract, with its proof. Call it with what makes a harness; `str()` of it is its name."""

    name: str
    rule: str
    """The sentence that it proves."""
    proof: Proof

    async def __call__(self, make_harness: Callable[[], StoreHarness]) -> None:
        """Prove the rule on a new, empty store. Raises `BrokenRuleError`, or whatever the store raises."""
        async with Bench(make_harness()) as bench:
            try:
                await self.proof(bench)
            except Exception as error:
                error.add_note(f"the rule that is broken ({self.name}): {self.rule}")
                raise

    def __str__(self) -> str:
        return self.name


class Subject:
    """The checks of one part of the contract."""

    def __init__(self, name: str) -> None:
        self.name: Final = name
        self.checks: Final[list[StoreCheck]] = []

    def rule(self, proof: Proof) -> Proof:
        """Add the decorated coroutine function: its docstring is the rule that it proves."""
        self.checks.append(StoreCheck(f"{self.name}.{proof.__name__}", proof.__doc__ or "", proof))
        return proof


def expect(got: Any, expected: Any, what: str) -> None:
    """Raise `BrokenRuleError` unless both are equal."""
    if got != expected:
        raise BrokenRuleError(f"{what}: expected {expected!r:.2000}, got {got!r:.2000}")


def expect_made(refusals: Sequence[Refusal | None], what: str = "all changes are made") -> None:
    """Raise `BrokenRuleError` unless every change was made."""
    expect(list(refusals), [None] * len(refusals), what)


def expect_kinds(refusals: Sequence[Refusal | None], *kinds: RefusalKind | None, what: str) -> None:
    """Raise `BrokenRuleError` unless the changes were refused for these reasons; None: it was made."""
    expect([None if refusal is None else refusal.kind for refusal in refusals], list(kinds), what)
