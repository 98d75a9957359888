"""Identities: cheap to make on the hot path, formatted only when somebody reads them."""

import itertools
import secrets
from collections.abc import Iterator
from typing import Final

_RANDOM_BYTES: Final = 8
"""64 random bits per app and process: two runners meet by chance once in four billion starts."""
_MOST_DIGITS: Final = 18
"""Of a number: nobody counts that far, and Python refuses to read numbers of any length."""


class IdSource:
    """Ids of one runner: a random prefix made once, and a counter.

    `uuid4` would cost as much as everything else that a no-op invocation needs.

    A process that becomes another runner (a later start, a forked child) goes on counting, and remembers which numbers
    were given under which prefix: the id of an invocation never changes.
    """

    __slots__ = ("_first", "_former", "numbers", "runner_id")

    def __init__(self) -> None:
        self.runner_id = secrets.token_hex(_RANDOM_BYTES)
        self.numbers: Final[Iterator[int]] = itertools.count(1)
        self._first = 1
        """The first number of this runner."""
        self._former: list[tuple[str, range]] = []
        """The runners that this process was before, the latest first, each with its numbers."""

    def renew(self) -> None:
        """Become another runner. The counter goes on, so that no number is given twice."""
        first = next(self.numbers)
        self._former = [(self.runner_id, range(self._first, first)), *self._former]
        self._first, self.runner_id = first, secrets.token_hex(_RANDOM_BYTES)

    def runner_of(self, number: int) -> str:
        """Return the id of the runner that has given `number`."""
        if number >= self._first:
            return self.runner_id
        return next((runner_id for runner_id, given in self._former if number in given), self.runner_id)

    def format(self, number: int) -> str:
        """Return the invocation id that `number` stands for."""
        return f"{self.runner_of(number)}-{number}"

    def parse(self, invocation_id: str) -> int | None:
        """Return the number behind an id made here, or None for any other text."""
        prefix, _, digits = invocation_id.rpartition("-")
        if not (digits.isascii() and digits.isdecimal()) or digits[0] == "0" or len(digits) > _MOST_DIGITS:
            return None
        number = int(digits)
        if prefix == self.runner_id:
            return number if number >= self._first else None
        return number if any(prefix == runner_id and number in given for runner_id, given in self._former) else None
