"""Identities: cheap to make on the hot path, formatted only when somebody reads them."""

import itertools
import secrets
from collections.abc import Iterator
from typing import Final

_RANDOM_BYTES: Final = 8
"""64 random bits per app and process: two runners meet by chance once in four billion starts."""


class IdSource:
    """Ids of one runner: a random prefix made once, and a counter.

    `uuid4` would cost as much as everything else that a no-op invocation needs.
    """

    __slots__ = ("numbers", "runner_id")

    def __init__(self) -> None:
        self.runner_id = secrets.token_hex(_RANDOM_BYTES)
        self.numbers: Final[Iterator[int]] = itertools.count(1)

    def renew(self) -> None:
        """Become another runner. The counter goes on, so that no number is given twice."""
        self.runner_id = secrets.token_hex(_RANDOM_BYTES)

    def format(self, number: int) -> str:
        """Return the invocation id that `number` stands for."""
        return f"{self.runner_id}-{number}"

    def parse(self, invocation_id: str) -> int | None:
        """Return the number behind an id made here, or None for any other text."""
        if not invocation_id.startswith(self.runner_id):
            return None
        prefix, _, digits = invocation_id.rpartition("-")
        if prefix != self.runner_id or not (digits.isascii() and digits.isdecimal()) or digits[0] == "0":
            return None
        return int(digits)
