"""Settling: what follows from changes that a store has made or refused, in the order of their commits.

It may be put off until the loop turns, so that the store works on the next batch meanwhile. No batch overtakes another, and
what one invocation raises keeps nothing from the others.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol

from pynenc_async.errors import StoreError
from pynenc_async.guard import report_failure, serve_each
from pynenc_async.record import Record
from pynenc_async.scheduler.drafts import Draft
from pynenc_async.store.values import Refusal


class Settlement(Protocol):
    """What follows from a commit; `writing.WritingScheduler` is it."""

    def settled(self, draft: Draft, refusal: Refusal | None) -> None:
        """The change of a draft was made, or refused."""
        ...

    def not_settled(self, draft: Draft, refusal: Refusal | None, error: BaseException) -> None:
        """`settled` has raised."""
        ...

    def not_storable(self, draft: Draft, error: Exception) -> None:
        """The change of a draft was not made, and never can be."""
        ...

    def not_registered(self, record: Record, error: StoreError) -> None:
        """The store did not take a new invocation."""
        ...

    def batch_settled(self) -> None:
        """All drafts of a batch were settled."""
        ...

    def lost(self, error: StoreError) -> None:
        """Nothing will be committed any more."""
        ...


Committed = tuple[Sequence[Draft], Sequence[Refusal | None]]
"""A batch, and the answer of the store for each of its drafts."""


class Settling:
    """The batches that are committed and not settled."""

    def __init__(self, settlement: Settlement) -> None:
        self._settlement: Final = settlement
        self._committed: Final[deque[Committed]] = deque()

    def __bool__(self) -> bool:
        return bool(self._committed)

    def put(self, batch: Sequence[Draft], refusals: Sequence[Refusal | None]) -> None:
        """Note a batch that is committed; it is settled after those before it."""
        self._committed.append((batch, refusals))

    def settle(self) -> None:
        """Settle all batches, the oldest first."""
        while self._committed:
            self._settle(*self._committed.popleft())

    def forget(self) -> None:
        """The loop is gone: nothing follows here any more."""
        self._committed.clear()

    def _settle(self, batch: Sequence[Draft], refusals: Sequence[Refusal | None]) -> None:
        settled = self._settlement.settled
        for draft, refusal in zip(batch, refusals, strict=True):
            try:
                settled(draft, refusal)
            except BaseException as error:  # noqa: BLE001  whatever it is, the rest of the batch is settled
                self._give_up(draft, refusal, error)
        try:
            self._settlement.batch_settled()
        except BaseException as error:  # noqa: BLE001  and the next batch is committed
            report_failure(error, "going on after a commit")

    def refuse(self, draft: Draft, error: Exception) -> None:
        """The change of a draft is at fault: no store can take it."""
        serve_each((draft,), lambda one: self._settlement.not_storable(one, error), "ending what cannot be stored")

    def _give_up(self, draft: Draft, refusal: Refusal | None, error: BaseException) -> None:
        leave = self._settlement.not_settled
        serve_each((draft,), lambda one: leave(one, refusal, error), "leaving what could not be settled")
