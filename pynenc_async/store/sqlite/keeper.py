"""The thread that keeps a runner alive, hears the bell, and looks around: whatever the loop and the writer are doing."""

import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Final

from pynenc_async.guard import report_failure, serve_each
from pynenc_async.store.sqlite.bell import Bell, is_ear
from pynenc_async.store.sqlite.quiet import outer_lock
from pynenc_async.store.sqlite.schema import ALIVE
from pynenc_async.store.sqlite.session import Session

_LOOK: Final = f"SELECT key, lease, port, token FROM runner WHERE state = {ALIVE}"
_LONGEST_TICK: Final = 1.0


class Keeper:
    """Does at each tick what must be done, such as to renew the lease, and rings where something may have changed."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        session: Session,
        bell: Bell,
        tick: Callable[[], None],
        is_dead: Callable[[str], bool],
        seconds: float,
    ) -> None:
        self._connection: Final = connection
        """Its own, for reading."""
        self._session: Final = session
        self._bell: Final = bell
        self._tick: Final = min(seconds / 3, _LONGEST_TICK)
        self._do_tick: Final = tick
        """What is to be done at each tick."""
        self._is_dead: Final = is_dead
        """Looks at the lease of that name."""
        self.ring: Callable[[], None] | None = None
        self._version = 0
        self._others: frozenset[int] = frozenset()
        """The other runners that were enrolled at the last look."""
        self._has_noticed_death = False
        self._is_in_vain = False
        """Whether the last look has failed."""
        self._lock: Final = outer_lock()
        """Around all that is done with connections."""
        self._stop: Final = threading.Event()
        self._thread: Final = threading.Thread(target=self._run, name="pynenc_async-sqlite-keeper", daemon=True)

    def start(self) -> None:
        """Begin; the first tick is now."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread. The lease stays as it is."""
        self._stop.set()
        self._bell.wake()
        self._thread.join()

    def notices_death(self) -> bool:
        """Whether another runner has died or left since this was asked last."""
        noticed, self._has_noticed_death = self._has_noticed_death, False
        return noticed

    def _run(self) -> None:
        self._safely(self._look)
        self._bell.ring()  # so that the others get to know this runner
        while not self._stop.is_set():
            rung = self._safely(self._look)
            next_tick = time.monotonic() + self._tick
            self._announce(rung=rung)
            while not self._stop.is_set() and (left := next_tick - time.monotonic()) > 0:
                if self._bell.wait(left):
                    self._safely(self._refresh)
                    self._announce(rung=True)

    def _safely(self, look: Callable[[], bool]) -> bool:
        """Look, whatever the last look has raised: were there no more of them, the lease would run out."""
        was_in_vain, self._is_in_vain = self._is_in_vain, False
        try:
            return look()
        except Exception as error:  # noqa: BLE001  see above
            self._is_in_vain = True
            if not was_in_vain:  # it is said once, however long that lasts
                report_failure(error, "looking around in a SQLite store")
            return False

    def _announce(self, *, rung: bool) -> None:
        ring = self.ring
        if rung and ring is not None and not self._stop.is_set():
            serve_each((ring,), lambda one: one(), "telling that something may have changed in a SQLite store")

    def _look(self) -> bool:
        """Make one tick; return whether others should be told that something may have changed."""
        with self._lock:
            self._do_tick()
            return self._compare(is_tick=True)

    def _refresh(self) -> bool:
        with self._lock:
            return self._compare(is_tick=False)

    def _compare(self, *, is_tick: bool) -> bool:
        home = self._session.home  # asked for first: the question below may be older than a runner that joins again
        try:
            ((version,),) = self._connection.execute("PRAGMA data_version").fetchall()
            runners = self._connection.execute(_LOOK).fetchall()
        except sqlite3.Error:  # locked or out of order for the moment; the writer will say so
            return False
        others = [row for row in runners if row[0] != home]
        not_alone = bool(others or self._bell.others)
        self._bell.others = [(port, token) for _, _, port, token in others if is_ear(port, token)]
        died = self._session.alive and all(key != home for key, *_ in runners)
        if died:
            self._session.died = home
        changed, self._version = version != self._version, version
        before, self._others = self._others, frozenset(key for key, *_ in others)
        # Whether a lease is held says the system, which takes longer than a ring may: that is for the tick.
        noticed = not before <= self._others or (is_tick and any(self._is_dead(name) for _, name, *_ in others))
        if noticed:
            self._has_noticed_death = True
        return died or noticed or (changed and not_alone)
