"""Watching the progress of an invocation."""

from typing import Any, Final, Self

from pynenc_async.execution.progress import Board, Progress, board_of
from pynenc_async.invocation.waiting import Signal, current_body, suspend


class ProgressUpdates:
    """An async iterator over the reports of a body, coalesced: the latest first, then each newer one; ends with the body.

    It says nothing of how the body ended. It owns nothing: `break` leaks nothing and cancels nothing.
    """

    def __init__(self, invocation: Any) -> None:
        self._invocation: Final[Any] = invocation
        self._board: Final[Board] = board_of(invocation)
        self._seen = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Progress:
        board, invocation = self._board, self._invocation
        while board.version == self._seen or board.latest is None:
            if invocation._ended_at is not None:
                raise StopAsyncIteration
            await _NextReport(invocation, board)
        self._seen = board.version
        return board.latest


class _NextReport:
    """Awaits the next report, or the end."""

    def __init__(self, invocation: Any, board: Board) -> None:
        self._invocation: Final[Any] = invocation
        self._board: Final = board

    def __await__(self) -> Any:
        invocation, body = self._invocation, current_body()
        signal = Signal(invocation._task.runtime.require_own_loop(invocation), body)
        self._board.when_changed(signal)
        invocation.add_waiter(signal)
        try:
            yield from suspend(signal, (invocation,), body)
        finally:
            invocation.remove_waiter(signal)
            self._board.forget(signal)
