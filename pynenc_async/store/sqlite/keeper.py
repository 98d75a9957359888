"""The thread that keeps a runner alive, hears the bell, and looks around: whatever the loop and the writer are doing."""

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

from pynenc_async.store.sqlite.bell import Bell
from pynenc_async.store.sqlite.inspecting import identity_of
from pynenc_async.store.sqlite.lease import is_dead
from pynenc_async.store.sqlite.schema import ALIVE
from pynenc_async.store.sqlite.session import Session

_LOOK: Final = f"SELECT key, lease, port, token FROM runner WHERE state = {ALIVE}"
_LONGEST_TICK: Final = 1.0


class Keeper:
    """Renews the lease at each tick, and rings where something may have changed."""

    def __init__(
        self,
        database: str,
        connection: sqlite3.Connection,
        session: Session,
        bell: Bell,
        renew: Callable[[], None],
        seconds: float,
    ) -> None:
        self._database: Final = database
        self._identity: Final = identity_of(database)
        self._connection: Final = connection
        """Its own, for reading."""
        self._session: Final = session
        self._bell: Final = bell
        self._tick: Final = min(seconds / 3, _LONGEST_TICK)
        self._renew: Final = renew
        self.ring: Callable[[], None] | None = None
        self._version = 0
        self._living: frozenset[int] = frozenset()
        """The other runners, as far as they lived when they were last looked at."""
        self._has_noticed_death = False
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
        self._look()
        self._bell.ring()  # so that the others get to know this runner
        while not self._stop.is_set():
            rung = self._look()
            next_tick = time.monotonic() + self._tick
            self._announce(rung=rung)
            while not self._stop.is_set() and (left := next_tick - time.monotonic()) > 0:
                if self._bell.wait(left):
                    self._refresh()
                    self._announce(rung=True)

    def _announce(self, *, rung: bool) -> None:
        ring = self.ring
        if rung and ring is not None and not self._stop.is_set():
            ring()

    def _look(self) -> bool:
        """Make one tick; return whether others should be told that something may have changed."""
        with contextlib.suppress(OSError):  # no room for eight bytes: the next tick tries again
            if self._session.alive:
                self._renew()
            self._session.is_astray = identity_of(self._database) != self._identity
        return self._refresh()

    def _refresh(self) -> bool:
        home = self._session.home  # asked for first: the question below may be older than a runner that joins again
        try:
            ((version,),) = self._connection.execute("PRAGMA data_version").fetchall()
            runners = self._connection.execute(_LOOK).fetchall()
        except sqlite3.Error:  # locked or out of order for the moment; the writer will say so
            return False
        others = [row for row in runners if row[0] != home]
        not_alone = bool(others or self._bell.others)
        self._bell.others = [(port, token) for _, _, port, token in others if port is not None]
        died = self._session.alive and all(key != home for key, *_ in runners)
        if died:
            self._session.died = home
        changed, self._version = version != self._version, version
        others_died = self._look_for_the_dead({key: lease for key, lease, *_ in others})
        return died or (changed and not_alone) or others_died

    def _look_for_the_dead(self, others: Mapping[int, str]) -> bool:
        living = frozenset(key for key, lease in others.items() if not is_dead(self._database, lease))
        noticed = len(living) < len(others) or not self._living <= living
        self._living = living
        if noticed:
            self._has_noticed_death = True
        return noticed
