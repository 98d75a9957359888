"""Random programs for stores, made and shrunk by Hypothesis, which has to be installed (it is in the `test` extra).

    @given(store_programs())
    def test_random_programs(program):
        asyncio.run(run_store_program(MyHarness, program))

A program lets three runners register, move, claim, die, recover and purge. It is run in step with the store in memory,
which is the model, and what holds of any store is looked at after each operation.
"""

from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from pynenc_async.testing.store_checks.bench import OTHER_TASK, TASK
from pynenc_async.testing.store_checks.program import (
    PERMITS,
    RUNNERS,
    SLOTS,
    UNIQUES,
    Ask,
    Claim,
    Commit,
    Die,
    Note,
    Operation,
    Part,
    Purge,
    Recover,
    Register,
    Return,
    Wait,
    Walk,
)
from pynenc_async.testing.store_checks.run_program import run_store_program

__all__ = ["run_store_program", "store_programs"]


def store_programs(*, operations: int = 40) -> SearchStrategy[list[Operation]]:
    """Return a strategy for programs to give to `run_store_program`, of up to so many operations."""
    beginning = st.builds(Commit, _runners(), st.tuples(*(_registrations(st.just(slot)) for slot in range(SLOTS))))
    rest = st.lists(_operations(), min_size=operations // 2, max_size=operations)
    return st.builds(_program, beginning, rest)


def _program(first: Operation, rest: list[Operation]) -> list[Operation]:
    return [first, *rest]


def _runners() -> SearchStrategy[int]:
    return st.integers(0, RUNNERS - 1)


def _operations() -> SearchStrategy[Operation]:
    runner = _runners()
    tasks = _mostly((TASK, OTHER_TASK), st.sampled_from([(TASK,), (OTHER_TASK,), ()]))
    commits = st.builds(Commit, _mostly(None, runner), st.lists(_parts(), min_size=1, max_size=3).map(tuple))
    slots = _mostly(None, st.lists(st.integers(0, SLOTS - 1), max_size=4).map(tuple))
    others = _weighted(
        (st.builds(Claim, runner, st.integers(1, 4), tasks, slots), 2),
        (st.builds(Die, runner), 2),
        (st.builds(Return, runner), 2),
        (st.builds(Recover, runner, tasks), 3),
        (st.builds(Wait, st.integers(1, 5)), 1),
        (st.builds(Purge, runner, st.integers(0, 3)), 1),
    )
    return _weighted((commits, 2), (others, 1))


def _parts() -> SearchStrategy[Part]:
    slot = st.integers(0, SLOTS - 1)
    walk = st.builds(
        Walk,
        slot,
        st.lists(st.sampled_from((0, 0, 0, 0, 0, 1, 1, 2, 3, 4)), min_size=1, max_size=3).map(tuple),
        lag=_mostly(0, st.integers(-1, 1)),
        permits=_mostly((), st.lists(st.sampled_from(sorted(PERMITS)), min_size=1, unique=True).map(tuple)),
        has_rate=_mostly(False, st.just(True)),
        taken=st.booleans(),
        delay=_mostly(None, st.integers(0, 4)),
    )
    ask = st.builds(Ask, slot, st.text(max_size=3))
    return _weighted((_registrations(slot), 1), (walk, 8), (ask, 1), (_notes(slot), 1))


def _registrations(slot: SearchStrategy[int]) -> SearchStrategy[Part]:
    return st.builds(
        Register,
        slot,
        is_other_task=st.booleans(),
        is_scheduled=st.booleans(),
        taken=st.booleans(),
        priority=st.integers(-1, 1),
        delay=_mostly(None, st.integers(0, 4)),
        unique=_mostly(None, st.integers(0, len(UNIQUES) - 1)),
        fire=_mostly(None, st.integers(0, 1)),
        max_crashes=st.integers(1, 3),
    )


def _notes(slot: SearchStrategy[int]) -> SearchStrategy[Part]:
    return st.builds(Note, slot, st.integers(0, 4), st.integers(0, 3), _mostly(None, st.integers(0, SLOTS - 1)))


def _mostly(usual: Any, other: SearchStrategy[Any]) -> SearchStrategy[Any]:
    return _weighted((st.just(usual), 3), (other, 1))


def _weighted(*choices: tuple[SearchStrategy[Any], int]) -> SearchStrategy[Any]:
    """Return one of the strategies, more often those of more weight: `one_of` would take each of them once."""
    return st.sampled_from([strategy for strategy, weight in choices for _ in range(weight)]).flatmap(_itself)


def _itself(strategy: SearchStrategy[Any]) -> SearchStrategy[Any]:
    return strategy
