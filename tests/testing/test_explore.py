"""Many seeds: the ones that fail are found, grouped and repeatable."""

import asyncio

import pytest

from pynenc_async import Pynenc
from pynenc_async.testing import DeadlockError, explore, simulate


async def loses_an_update():
    """Two invocations read, wait, and write: whoever is last wins."""
    app = Pynenc()
    account = {"balance": 0}

    @app.task
    async def deposit(amount):
        if amount == 1:
            await asyncio.sleep(0)
        balance = account["balance"]
        if amount == 2:
            await asyncio.sleep(0)
        account["balance"] = balance + amount

    await asyncio.gather(deposit(1), deposit(2))
    assert account["balance"] == 3, "an update was lost"


async def locks():
    app = Pynenc()
    account, lock = {"balance": 0}, asyncio.Lock()

    @app.task
    async def deposit(amount):
        async with lock:
            balance = account["balance"]
            await asyncio.sleep(0)
            account["balance"] = balance + amount

    await asyncio.gather(*map(deposit, range(5)))
    assert account["balance"] == 10


async def answers_out_of_order():
    """Results of threads are taken for ordered, which nobody promised."""
    app = Pynenc()
    answers = []

    @app.task
    def ask(number):
        return number

    async def note(number):
        answers.append(await ask(number))

    await asyncio.gather(note(1), note(2))
    assert answers == [1, 2]


async def keeps_order():
    app = Pynenc()

    @app.task
    def ask(number):
        return number

    assert await ask.parallelize([(number,) for number in range(3)]) == [0, 1, 2]


@pytest.mark.slow
@pytest.mark.parametrize("main", [loses_an_update, answers_out_of_order])
def test_a_racy_program_is_found_and_the_seed_repeats(main):
    found = explore(main, seeds=40)
    assert 0 < len(found.failures) < 40
    failing, passing = next(iter(found.failures)), next(seed for seed in found.seeds if seed not in found.failures)
    for _ in range(3):
        with pytest.raises(AssertionError) as caught:
            simulate(main, seed=failing)
        assert f"seed={failing}" in caught.value.__notes__[0]
        simulate(main, seed=passing)


@pytest.mark.slow
@pytest.mark.parametrize("main", [locks, keeps_order])
def test_a_correct_program_passes_every_seed(main):
    found = explore(main, seeds=200)
    found.raise_if_failed()
    assert found.seeds == tuple(range(200))
    assert not found.failures
    assert str(found) == "none of 200 seeds fails"


def test_the_search_stops_at_the_first_failure_on_demand():
    found = explore(loses_an_update, first=True)
    assert list(found.failures) == [found.seeds[-1]]
    assert len(found.seeds) < 100


def test_seeds_can_be_given():
    failing = next(iter(explore(loses_an_update, first=True).failures))
    assert next(iter(explore(loses_an_update, seeds=[failing, failing + 1_000_000]).failures)) == failing


async def fails_in_two_ways():
    order = []

    async def note(name):
        order.append(name)

    await asyncio.gather(*map(note, "abc"))
    if order[0] == "b":
        raise ValueError(f"b came first in {order!r} of {object()!r}".replace("a", ""))
    if order[0] == "c":
        await asyncio.Event().wait()


@pytest.mark.slow
def test_failures_are_grouped_by_kind():
    found = explore(fails_in_two_ways, seeds=12)
    assert {type(group.error) for group in found.groups} == {ValueError, DeadlockError}
    assert sorted(seed for group in found.groups for seed in group.seeds) == sorted(found.failures)
    text = str(found)
    assert text.startswith(f"{len(found.failures)} of 12 seeds fail, in ")
    assert "test_explore.py" in text
    assert "to repeat it exactly" in text


def test_addresses_ids_and_numbers_make_no_new_kind():
    async def main():
        raise ValueError(f"{object()!r} has failed at {id(object())} with deadbeef01")

    found = explore(main, seeds=12)
    (group,) = found.groups
    assert group.seeds == tuple(range(12))
    assert "12x at" in str(group)
    assert "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ..." in str(group)
    kept = [error for error in found.failures.values() if error.__traceback__ is not None]
    assert kept == [group.error]


@pytest.mark.slow
def test_all_kinds_are_raised_together():
    found = explore(fails_in_two_ways, seeds=12)
    with pytest.raises(ExceptionGroup, match="of 12 seeds fail") as caught:
        found.raise_if_failed()
    assert list(caught.value.exceptions) == [group.error for group in found.groups]


def test_the_members_of_an_exception_group_tell_its_kind():
    async def main():
        raise ExceptionGroup("several", [ValueError("one"), KeyError("two")])

    (group,) = explore(main, seeds=3).groups
    assert group.seeds == (0, 1, 2)


def test_an_interrupt_is_no_failure_but_the_end():
    async def main():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        explore(main, seeds=3)


def test_an_exit_of_the_program_is_a_failure():
    async def main():
        raise SystemExit(3)

    assert {type(error) for error in explore(main, seeds=2).failures.values()} == {SystemExit}
