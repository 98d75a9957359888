"""A progress bar for the reading of a group, on request: with rich, which is an extra and imported only then."""

import sys
from collections.abc import AsyncIterator
from typing import Final, Generic, Protocol, Self, TypeVar, final

from pynenc_async.invocation.steps import Ended, result_in_step
from pynenc_async.printable import printable

Result_co = TypeVar("Result_co", covariant=True)
Result = TypeVar("Result")


class Group(Protocol[Result_co]):
    """What is read."""

    def as_completed(self) -> AsyncIterator[Ended[Result_co]]:
        """Yield the members as they end."""
        ...


def with_progress(group: Group[Result], description: str = "", *, total: int | None = None) -> "ProgressBar[Result]":
    """Return the results of `group` as its members end, with a bar on stderr that shows how many were read.

    `total` is how many there will be; without it the bar only counts. Raises `ImportError` where rich is not installed.
    """
    return ProgressBar(group.as_completed(), Bar(description, total))


@final
class ProgressBar(Generic[Result]):
    """An async iterator over results, with a bar.

    The bar appears with the first step. It is closed at the end, by an exception, by `close`, and when the iterator is
    dropped, as after `break`. A step after a failure goes on, like that of the group, and shows the bar again.
    """

    def __init__(self, members: AsyncIterator[Ended[Result]], bar: "Bar") -> None:
        self._members: Final = members
        self._bar: Final = bar

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Result:
        self._bar.show()
        try:
            member = await anext(self._members)
            self._bar.advance()
            return result_in_step(member)
        except StopAsyncIteration:
            self._bar.complete()
            raise
        except BaseException:
            self.close()  # before its traceback is printed; and the traceback would keep the iterator alive
            raise

    def close(self) -> None:
        """Leave the bar as it stands."""
        self._bar.close()

    def __del__(self) -> None:
        self.close()


@final
class Bar:
    """A line on stderr: drawn again and again on a terminal, and elsewhere printed once, when it is closed."""

    def __init__(self, description: str, total: int | None) -> None:
        try:
            from rich.console import Console  # noqa: PLC0415  an extra
            from rich.progress import (  # noqa: PLC0415
                BarColumn,
                MofNCompleteColumn,
                Progress,
                TextColumn,
                TimeElapsedColumn,
                TimeRemainingColumn,
            )
        except ImportError as error:
            raise ImportError("a progress bar needs rich: pip install 'pynenc-async[progress]'") from error
        self._progress: Final = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            redirect_stdout=sys.stdout.isatty(),  # print() goes above the bar; but what is piped elsewhere stays there
        )
        self._line: Final = self._progress.add_task(printable(description), total=total)
        self._shown = False

    def show(self) -> None:
        """Draw it, until it is closed or complete."""
        if not self._shown and not self._progress.finished:
            self._shown = True
            self._progress.start()

    def advance(self) -> None:
        """One more."""
        self._progress.advance(self._line)

    def complete(self) -> None:
        """There were as many as have been counted."""
        self._progress.update(self._line, total=self._progress.tasks[0].completed)
        self.close()

    def close(self) -> None:
        """Draw it for the last time."""
        if self._shown:
            self._shown = False
            self._progress.stop()
