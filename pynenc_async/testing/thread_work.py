"""How many threads work for the loop: the one thing that the loop shares with them."""

import threading
import weakref


class ThreadWork:
    """A counter that any thread may change and the loop's thread may wait on."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._outstanding = 0
        self._begun = 0
        self._waited_for = 0
        self._workers: weakref.WeakSet[threading.Thread] = weakref.WeakSet()

    @property
    def outstanding(self) -> int:
        """How many pieces of work have begun and not ended."""
        return self._outstanding

    def began(self) -> None:
        """Count one piece of work."""
        with self._changed:
            self._outstanding += 1
            self._begun += 1

    def ended(self) -> bool:
        """Take one piece of work off the count; return whether it was the last."""
        with self._changed:
            if not self._outstanding:
                raise RuntimeError("thread_work_ended() was called more often than thread_work_began()")
            self._outstanding -= 1
            self._workers.add(threading.current_thread())
            if self._outstanding:
                return False
            self._changed.notify_all()
            return True

    def has_strangers(self) -> bool:
        """Whether threads live here, besides the calling one, that never did counted work."""
        known = {threading.current_thread(), *self._workers}
        return any(thread not in known for thread in threading.enumerate())

    def wait_until_none(self, seconds: float) -> None:
        """Block this thread, for so long at most, until no work is left; work that took longer is not waited for again."""
        with self._changed:
            if self._outstanding and self._waited_for != self._begun:
                self._waited_for = self._begun
                self._changed.wait_for(lambda: not self._outstanding, seconds)
