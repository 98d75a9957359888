"""What holds of a store whatever was done to it: rules that need no other store to compare with."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from pynenc_async.status import RULES, Ownership
from pynenc_async.store.base import Store
from pynenc_async.store.values import Change, Fire, NewInvocation, Refusal, StoredInvocation, Transition, check_steps
from pynenc_async.testing.store_checks.check import BrokenRuleError, expect
from pynenc_async.testing.store_checks.program import PERMITS, UNIQUES

_OWNED: Final = (Ownership.ACQUIRES, Ownership.REQUIRED)
_PLAIN: Final = UNIQUES[0]


class Judge:
    """Remembers what a store has said, and looks at it after each operation."""

    def __init__(self) -> None:
        self._fired: Final = Counter[Fire]()
        self._plain: Final[set[str]] = set()
        """Who was registered under the plain unique key."""
        self._holders: Final[dict[str, set[str]]] = {name: set() for name in PERMITS}

    def hear(self, changes: Iterable[Change], refusals: Iterable[Refusal | None]) -> None:
        """Take note of what was committed."""
        for change, refusal in zip(changes, refusals, strict=True):
            if refusal is None:
                self._hear_made(change)

    def _hear_made(self, change: Change) -> None:
        match change:
            case NewInvocation():
                if change.fire is not None:
                    self._fired[change.fire] += 1
                if change.unique == _PLAIN:
                    self._plain.add(change.invocation_id)
            case Transition():
                self._settle(change)
            case _:
                pass

    def _settle(self, change: Transition) -> None:
        if any(RULES[step[0]].ownership not in _OWNED for step in change.steps):
            self._release(change.invocation_id)
        if RULES[change.steps[-1][0]].ownership in _OWNED:
            for permit in change.permits:
                self._holders[permit.name].add(change.invocation_id)

    def _release(self, invocation_id: str) -> None:
        for holders in self._holders.values():
            holders.discard(invocation_id)

    def look(self, store: Store, rows: Iterable[StoredInvocation]) -> None:
        """Raise `BrokenRuleError` where something is not as it must be."""
        living = set[str]()
        for row in rows:
            _check_history(store, row)
            if row.ended_at is None:
                living.add(row.invocation_id)
            if RULES[row.status].ownership not in _OWNED:
                self._release(row.invocation_id)
        for name, limit in PERMITS.items():
            if len(self._holders[name]) > limit:
                raise BrokenRuleError(f"{sorted(self._holders[name])} hold the permit {name!r}, whose limit is {limit}")
        if len(self._plain & living) > 1:
            raise BrokenRuleError(f"{sorted(self._plain & living)} live under one unique key")
        if self._fired and max(self._fired.values()) > 1:
            raise BrokenRuleError(f"a moment of a schedule was fired more than once: {dict(self._fired)}")


def _check_history(store: Store, row: StoredInvocation) -> None:
    history = store.history(row.invocation_id)
    steps = tuple((step.status, step.timestamp, step.attempt, step.reason) for step in history)
    check_steps(None, steps)
    expect(len(history), row.revision, f"the entries of the history of {row.invocation_id}, and its revision")
    last = (history[-1].status, history[-1].attempt)
    expect(last, (row.status, row.attempt), f"the last entry of the history of {row.invocation_id}, and itself")
    attempts = [step.attempt for step in history]
    expect(attempts, sorted(attempts), f"the attempts in the history of {row.invocation_id}")
    expect(row.ended_at is not None, row.status.is_final(), f"whether {row.invocation_id} has ended")
