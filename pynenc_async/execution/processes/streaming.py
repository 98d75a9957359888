"""The items of a generator that runs in another process: the stream of its invocation has room for so many.

A worker may send a few items more than were taken from it (its credit). Those for which the stream has no room are held
here, and the invocation is PAUSED, without its slot, as any generator that waits for its readers.
"""

from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from pynenc_async.execution.desk import Desk
from pynenc_async.execution.processes.driver import BodyDriver
from pynenc_async.execution.processes.messages import Credit
from pynenc_async.execution.stream import stream_of
from pynenc_async.status import InvocationStatus

MOST_ON_THE_WAY: Final = 32
_HOLDS_SLOT: Final = frozenset({InvocationStatus.RUNNING, InvocationStatus.RESUMED})


def window_of(buffer: int) -> int:
    """Return how many items may be on their way into a stream with such a buffer."""
    return min(buffer, MOST_ON_THE_WAY)


class Items:
    """Puts items into streams, and gives credit for them."""

    def __init__(
        self, desk: Desk, loop: AbstractEventLoop, rest: Callable[[int], None], drained: Callable[[BodyDriver], None]
    ) -> None:
        self._desk: Final = desk
        self._loop: Final = loop
        self._rest: Final = rest
        """Told by how much the number of bodies changes that are in a worker, and wait."""
        self._drained: Final = drained
        """Told when the last item of a body that has ended is in its stream."""

    def put(self, body: BodyDriver, item: object) -> None:
        """Take an item from the worker."""
        record = body.record
        if record._driver is not body:
            return
        if body.held is None and stream_of(record).has_room():
            stream_of(record).put(item)
            self._credit(body, 1)
            return
        if body.held is None:
            body.held = deque()
        body.held.append(item)
        if not body.resting:
            self._pause(body)

    def put_all(self, body: BodyDriver) -> None:
        """The body has been broken off: what it had yielded goes into its stream, room or not."""
        held, body.held = body.held, None
        if held is not None:
            self._go_on(body)
            for item in held:
                stream_of(body.record).put(item)

    def _pause(self, body: BodyDriver) -> None:
        body.resting = True
        if body.record._status in _HOLDS_SLOT:
            self._desk.pause(body.record)
        self._await_room(body)
        self._rest(1)

    def _go_on(self, body: BodyDriver) -> None:
        if body.resting:
            body.resting = False
            self._rest(-1)

    def _await_room(self, body: BodyDriver) -> None:
        look = stream_of(body.record).next_look(self._loop)
        look.add_done_callback(lambda _: self._look(body))

    def _look(self, body: BodyDriver) -> None:
        if body.held is None or body.record._driver is not body:
            return
        if stream_of(body.record).has_room():
            self._desk.come_back(body.record, lambda: self._wake(body))
        else:
            self._await_room(body)

    def _wake(self, body: BodyDriver) -> bool:
        self._loop.call_soon(self._drain, body)  # the slot is there only after this answer
        return True

    def _drain(self, body: BodyDriver) -> None:
        held = body.held
        if held is None or body.record._driver is not body:
            return
        self._go_on(body)
        stream = stream_of(body.record)
        count = 0
        while held and stream.has_room():
            stream.put(held.popleft())
            count += 1
        self._credit(body, count)
        if held:
            self._pause(body)
            return
        body.held = None
        if body.final is not None:
            self._drained(body)

    def _credit(self, body: BodyDriver, count: int) -> None:
        worker: Any = body.worker
        if worker is not None and body.final is None and not worker.stopping:
            body.credit += count
            if body.credit * 2 >= body.window or body.held is not None:
                worker.tell([Credit(body.ticket, body.credit)])
                body.credit = 0
