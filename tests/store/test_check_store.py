"""The conformance suite itself: how it is run, and that it notices and names what is broken."""

import pytest

from pynenc_async.errors import StoreError
from pynenc_async.store.memory import MemoryStore
from pynenc_async.testing import (
    STORE_CHECKS,
    BrokenRuleError,
    MemoryStoreHarness,
    StoreContractError,
    check_store,
)


class Forgetful(MemoryStore):
    """Has no history, and cannot count."""

    def history(self, invocation_id):
        return []

    async def counts(self):
        raise StoreError("it cannot count")


class ForgetfulHarness(MemoryStoreHarness):
    store_type = Forgetful


def chosen(*names):
    return [check for check in STORE_CHECKS if check.name in names]


@pytest.mark.slow
async def test_a_store_that_keeps_the_contract_passes():
    await check_store(MemoryStoreHarness)


async def test_every_broken_rule_is_named_and_the_others_are_still_checked():
    names = ("moving.history", "asking.counts", "asking.load")
    with pytest.raises(StoreContractError) as caught:
        await check_store(ForgetfulHarness, checks=chosen(*names))
    assert {check.name: type(error) for check, error in caught.value.broken} == {
        "moving.history": BrokenRuleError,
        "asking.counts": StoreError,
    }
    for check in chosen("moving.history", "asking.counts"):
        assert f"{check.name}: {check.rule}" in str(caught.value)
    assert "it cannot count" in str(caught.value)


async def test_a_single_check_says_what_was_expected_and_which_rule_is_broken():
    (check,) = chosen("moving.history")
    with pytest.raises(BrokenRuleError, match=r"the history: expected \[StoredStep.*got \[\]") as caught:
        await check(ForgetfulHarness)
    assert check.rule in caught.value.__notes__[0]


async def test_the_stores_are_closed_and_the_harness_is_stopped_whatever_fails():
    ended = []

    class Watched(ForgetfulHarness):
        async def open(self, runner_id):
            self.store = await super().open(runner_id)
            return self.store

        async def stop(self):
            ended.append(self.store.alive)

    with pytest.raises(StoreContractError):
        await check_store(Watched, checks=chosen("moving.history"))
    assert ended == [False]


def test_each_check_has_a_name_of_its_own_and_a_sentence():
    assert len({check.name for check in STORE_CHECKS}) == len(STORE_CHECKS)
    assert all(check.rule.endswith(".") and str(check) == check.name for check in STORE_CHECKS)
