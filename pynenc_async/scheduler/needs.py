"""What an invocation that waits needs, as a value: the edges of the wait graph."""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

from pynenc_async.record import Record


class Needed(NamedTuple):
    """Records of which at least so many have to end before somebody goes on."""

    name: Hashable
    """Needs with the same name are the same: however many wait for a limit, its holders are looked through once."""
    records: Sequence[Record]
    at_least: int = 1
