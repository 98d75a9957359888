"""Bodies whose annotations only a type checker can resolve."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from decimal import Decimal


def double(price: Decimal) -> str:
    return str(price)


def total(prices: list[Decimal]) -> str:
    return str(prices)


def price() -> Decimal:
    raise AssertionError("it runs in vain")


async def prices() -> AsyncIterator[Decimal]:
    raise AssertionError("it runs in vain")
    yield
