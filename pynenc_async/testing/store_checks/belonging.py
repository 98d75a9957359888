"""A store belongs to one app."""

from typing import Final

from pynenc_async.errors import StoreError
from pynenc_async.store.base import Store
from pynenc_async.testing.store_checks.bench import Bench, new
from pynenc_async.testing.store_checks.check import BrokenRuleError, Subject, expect, expect_made

BELONGING: Final = Subject("belonging")


async def _is_refused(store: Store, app_id: str) -> bool:
    try:
        await store.belong_to(app_id)
    except StoreError as error:
        if "shop" not in str(error) or app_id not in str(error):
            raise BrokenRuleError(f"the error names the app that has it and the one that asks: {error}") from error
        return True
    return False


@BELONGING.rule
async def first(bench: Bench) -> None:
    """A store belongs to the first app that says so, in each of its runners; one with another id is refused."""
    one, other, third = await bench.runners(3)
    await one.store.belong_to("shop")
    expect(await _is_refused(other.store, "bank"), True, "whether another app is refused")
    expect(await _is_refused(third.store, "shop"), False, "whether another runner of the same app is refused")
    expect_made(await one.commit(new("a")), "a change of the app that has it")


@BELONGING.rule
async def whoever_is_there(bench: Bench) -> None:
    """It does so though none of its runners is there any more, and though one was refused."""
    one, other, third = await bench.runners(3)
    await one.store.belong_to("shop")
    expect(await _is_refused(other.store, "bank"), True, "whether another app is refused")
    await one.store.close()
    await other.store.close()
    expect(await _is_refused(third.store, "bank"), True, "whether it is refused when all others have gone")
