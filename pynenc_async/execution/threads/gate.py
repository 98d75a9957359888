"""How many threads are in a body at once."""

import threading
from collections import deque
from typing import Final


class Gate:
    """Lets so many threads through at once, in order of arrival: who leaves hands the place to who has waited longest."""

    def __init__(self, places: int) -> None:
        self._lock: Final = threading.Lock()
        self._places = places
        self._waiting: Final[deque[threading.Lock]] = deque()

    def reserve(self) -> threading.Lock:
        """Get in line; acquiring what is returned takes the place, as soon as there is one."""
        turn = threading.Lock()
        with self._lock:
            if self._places:
                self._places -= 1
            else:
                turn.acquire()
                self._waiting.append(turn)
        return turn

    def enter(self) -> None:
        """Take a place; wait for one if need be."""
        self.reserve().acquire()

    def leave(self) -> None:
        """Give the place back."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._places += 1
