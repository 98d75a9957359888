"""How many threads are in a body at once."""

import threading
from collections import deque
from typing import Final


class Gate:
    """Lets so many threads through at once, in order of arrival: who leaves hands the place to who has waited longest.

    Used in many threads, and at any moment: also by a finalizer in the midst of one of these methods. So there is no lock:
    places and turns are put down in one step, and whoever has put one down brings together what belongs together.
    """

    def __init__(self, places: int) -> None:
        self._places: Final = deque[None]([None] * places)
        """One for each that nobody has."""
        self._line: Final[deque[threading.Lock]] = deque()
        """The turns of those who wait, each locked until it has come."""

    def reserve(self) -> threading.Lock:
        """Get in line; acquiring what is returned takes the place, as soon as there is one."""
        turn = threading.Lock()
        turn.acquire()
        self._line.append(turn)
        self._let_in()
        return turn

    def enter(self) -> None:
        """Take a place; wait for one if need be."""
        self.reserve().acquire()

    def leave(self) -> None:
        """Give the place back."""
        self._places.append(None)
        self._let_in()

    def _let_in(self) -> None:
        places, line = self._places, self._line
        while places and line:
            try:
                places.pop()
            except IndexError:
                return  # whoever has taken it sees to the line
            try:
                turn = line.popleft()
            except IndexError:
                places.append(None)  # nobody waits any more; or somebody does again: see above
            else:
                turn.release()
