"""What the suite has to be told about a store: how to make one, and how to let its runner die."""

from abc import ABC, abstractmethod

from pynenc_async.store.base import Store


class StoreHarness(ABC):
    """One empty database, and the runners that use it. Each check has a harness of its own.

    class MyHarness(StoreHarness):
        async def start(self): self.path = make_an_empty_file()
        async def open(self, runner_id): ...
        async def lose(self, store): ...
        async def stop(self): remove(self.path)

    await check_store(MyHarness)
    """

    patience = 10.0
    """Seconds that a bell or the news of a death may take: far beyond what they do take."""

    async def start(self) -> None:  # noqa: B027  # a harness that makes everything in its constructor is welcome
        """Make the database."""

    @abstractmethod
    async def open(self, runner_id: str) -> Store:
        """Return a store that uses the database, opened for this runner, which has not been there before."""

    @abstractmethod
    async def lose(self, store: Store) -> None:
        """Let the runner of a store die: its lease is not renewed any more; return when it has run out.

        The process, as it were, does not know: the store is asked again, and what it does then is too late, until it
        rejoins.
        """

    async def stop(self) -> None:  # noqa: B027
        """Remove the database. The stores have been closed before."""
