"""The items of an async generator task: a bounded buffer between the body and any number of readers.

The body waits (without its slot) while the buffer is full and a reader has still to take the oldest item, or nobody reads
at all. When somebody awaits the invocation itself and nobody reads, the items have no taker: the oldest are dropped.
"""

from asyncio import AbstractEventLoop, Future, get_running_loop
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any, Final

from pynenc_async.record import Record


class Stream:
    """The buffer of one invocation. `first` is the index of the oldest item that is still there."""

    __slots__ = ("_capacity", "_item_signals", "_room", "closed", "first", "items", "readers", "unread")

    def __init__(self, capacity: int) -> None:
        self._capacity: Final = capacity
        self.items: Final[deque[Any]] = deque()
        self.first = 0
        self.readers: Final[dict[int, int]] = {}
        """Position of each attached reader: the index of the item it takes next."""
        self.unread = False
        """Whether the items are dropped where there is no reader."""
        self.closed = False
        self._room: Future[None] | None = None
        self._item_signals: dict[Any, None] = {}

    @property
    def end(self) -> int:
        """The index that the next item gets."""
        return self.first + len(self.items)

    def has_room(self) -> bool:
        """Whether an item can be put, after dropping what every reader has taken."""
        if self.closed or len(self.items) < self._capacity:
            return True
        if not self.readers and not self.unread:
            return False
        if self.readers and min(self.readers.values()) <= self.first:
            return False
        self.items.popleft()
        self.first += 1
        return True

    def put(self, item: object) -> None:
        """Add an item and wake the readers that wait for it; after the end, there is nobody to read it."""
        if self.closed:
            return
        self.items.append(item)
        self._wake_readers()

    def close(self) -> None:
        """There will be no more items."""
        self.closed = True
        self._wake_readers()
        self.wake_body()

    def when_item(self, signal: Any) -> None:
        """Notify `signal` once, at the next item or at the end."""
        self._item_signals[signal] = None

    def forget(self, signal: Any) -> None:
        """Do not notify `signal` any more."""
        self._item_signals.pop(signal, None)

    def waiting(self) -> list[Any]:
        """Return the signals of those who wait for an item."""
        return list(self._item_signals)

    def move_reader(self, reader: int, position: int | None) -> None:
        """Note how far a reader has come; None detaches it."""
        if position is None:
            self.readers.pop(reader, None)
        else:
            self.readers[reader] = position
        self.wake_body()

    def drop_unread(self) -> None:
        """From now on, drop the items where there is no reader."""
        if not self.unread:
            self.unread = True
            self.wake_body()

    def wake_body(self) -> None:
        """Let the body look again whether there is room."""
        room = self._room
        if room is not None and not room.done():
            with suppress(RuntimeError):  # a reader may be collected in any thread, and after the loop was closed
                room.get_loop().call_soon_threadsafe(_set, room)

    def next_look(self, loop: AbstractEventLoop) -> "Future[None]":
        """Return what is done when the body should look again whether there is room."""
        self._room = room = loop.create_future()
        return room

    async def wait_for_room(self, record: Record) -> None:
        """Suspend the body, as one that waits for others: its carrier pauses it, and gets the slot back."""
        more = record.need_more()
        more.waits += 1
        try:
            while not self.has_room():
                await self.next_look(get_running_loop())
        finally:
            self._room = None
            more.waits -= 1

    def _wake_readers(self) -> None:
        signals = self._item_signals
        if signals:
            self._item_signals = {}
            for signal in signals:
                signal.notify()


def _set(future: "Future[None]") -> None:
    if not future.done():
        future.set_result(None)


def stream_of(record: Record) -> Stream:
    """Return the stream of an invocation of an async generator task."""
    more = record.need_more()
    if more.stream is None:
        more.stream = Stream(record._task.options.stream_buffer)
        if record._waiters is not None:
            more.stream.drop_unread()
        if record._ended_at is not None:
            more.stream.close()
    stream: Stream = more.stream
    return stream


async def drive_stream(record: Record, items: AsyncGenerator[Any, None]) -> None:
    """Run the body of an async generator task to its end."""
    stream = stream_of(record)
    try:
        async for item in items:
            if not stream.has_room():
                await stream.wait_for_room(record)
            stream.put(item)
    finally:
        await items.aclose()
