"""All checks, and the one call that runs them."""

from collections.abc import Callable, Iterable
from typing import Any, Final

from pynenc_async.errors import reduce_error
from pynenc_async.testing.store_checks.asking import ASKING
from pynenc_async.testing.store_checks.batching import BATCHING
from pynenc_async.testing.store_checks.belonging import BELONGING
from pynenc_async.testing.store_checks.cancelling import CANCELLING
from pynenc_async.testing.store_checks.check import StoreCheck
from pynenc_async.testing.store_checks.claiming import CLAIMING
from pynenc_async.testing.store_checks.dying import DYING
from pynenc_async.testing.store_checks.finding import FINDING
from pynenc_async.testing.store_checks.firing import FIRING
from pynenc_async.testing.store_checks.harness import StoreHarness
from pynenc_async.testing.store_checks.limiting import LIMITING
from pynenc_async.testing.store_checks.moving import MOVING
from pynenc_async.testing.store_checks.purging import PURGING
from pynenc_async.testing.store_checks.rating import RATING
from pynenc_async.testing.store_checks.recovering import RECOVERING
from pynenc_async.testing.store_checks.registering import REGISTERING
from pynenc_async.testing.store_checks.rejoining import REJOINING
from pynenc_async.testing.store_checks.standing import STANDING
from pynenc_async.testing.store_checks.values import VALUES
from pynenc_async.testing.store_checks.waiting import WAITING

STORE_CHECKS: Final[tuple[StoreCheck, ...]] = tuple(
    check
    for subject in (
        BELONGING,
        REGISTERING,
        STANDING,
        FIRING,
        MOVING,
        BATCHING,
        LIMITING,
        RATING,
        CLAIMING,
        DYING,
        REJOINING,
        RECOVERING,
        CANCELLING,
        WAITING,
        ASKING,
        FINDING,
        PURGING,
        VALUES,
    )
    for check in subject.checks
)
"""Every check, in the order of the contract."""


class StoreContractError(AssertionError):
    """Raised by `check_store`: the store breaks rules. The message names them; `broken` has the checks and the errors."""

    def __reduce__(self) -> tuple[Any, ...]:
        return reduce_error(self)

    def __init__(self, broken: Iterable[tuple[StoreCheck, Exception]]) -> None:
        self.broken: Final = tuple(broken)
        lines = (f"* {check.name}: {check.rule}\n  {type(error).__name__}: {error}" for check, error in self.broken)
        super().__init__(f"the store breaks {len(self.broken)} rules of the contract:\n" + "\n".join(lines))


async def check_store(make_harness: Callable[[], StoreHarness], *, checks: Iterable[StoreCheck] = STORE_CHECKS) -> None:
    """Run the conformance suite over a store; each check on a harness of its own, all of them whatever fails.

    `make_harness` is usually the class of a harness. Raises `StoreContractError`, which names every rule that is broken.

    With pytest, each check is a test by one line: `@pytest.mark.parametrize("check", STORE_CHECKS, ids=str)`, and
    `await check(MyHarness)` in the test.
    """
    broken: list[tuple[StoreCheck, Exception]] = []
    for check in checks:
        try:
            await check(make_harness)
        except Exception as error:  # noqa: BLE001  # what a store raises breaks a rule as much as what it says
            broken.append((check, error))
    if broken:
        raise StoreContractError(broken)
