"""How fast a windowed group submits its members where the app bounds what waits: as there is room, in turn with others."""

from asyncio import get_running_loop
from asyncio.events import _get_running_loop
from collections.abc import Callable, Iterable
from contextvars import copy_context
from typing import Final

from pynenc_async.record import Record
from pynenc_async.scheduler.room import Room


class Intake:
    """Asks for room, one member at a time, and has its owner called back when there is some."""

    def __init__(
        self, room: Room | None, use: Callable[[], bool], call_in_loop: Callable[[Callable[[], None]], None]
    ) -> None:
        self._room: Final = room
        self._use: Final = use
        """Called in the loop when there may be room; says whether it was used."""
        self._call_in_loop: Final = call_in_loop
        self._context: Final = copy_context()
        """Whoever frees the room must not become the parent of what is submitted."""
        self._asks = False
        self._offered = False
        self._is_in_use = False

    @property
    def waits(self) -> bool:
        """Whether it has asked, and was not answered."""
        return self._asks

    def takers(self) -> Iterable[Record]:
        """Of whom one has to begin or end before the next member is submitted."""
        return self._room.takers() if self._asks and self._room is not None else ()

    def is_open(self) -> bool:
        """Whether a member may be submitted now; if not, it is asked for."""
        room = self._room
        if room is None:
            return True
        if self._asks:
            return False
        offered, self._offered = self._offered, False
        if room.has_room() and (offered or not room.is_asked_for):
            return True
        self._asks = True
        room.ask(self, again=offered)
        # There may be room since we looked, or never be any because of us, and nothing else to say so.
        if _get_running_loop() is None:
            self._call_in_loop(room.offer)
        else:
            room.offer()
        return False

    def notify(self) -> None:
        """There may be room; take it soon, in the context of the group."""
        context = self._context.copy() if self._is_in_use else self._context  # a source may run the loop itself
        get_running_loop().call_soon(self._take_offer, context=context)

    def _take_offer(self) -> None:
        self._asks, self._offered = False, True
        self._is_in_use = True
        try:
            used = self._use()
        finally:
            self._is_in_use = False
        if not used and self._room is not None:
            self._room.offer()
