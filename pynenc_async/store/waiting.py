"""Following waits from one invocation to the next: the rules of `Store.waits`, for stores that look into tables. Pure."""

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from typing import Final, Generic, NamedTuple, TypeVar

from pynenc_async.store.values import Need, Permit, StoredWait

K = TypeVar("K", bound=Hashable)
"""What a store calls an invocation by."""

MOST: Final = 10_000
"""How many invocations are looked at for one answer."""


class Standing(NamedTuple, Generic[K]):
    """Where an invocation stands that has not ended."""

    home: str
    is_owned: bool
    """Whether a runner has it under way; else it has not started, or waits for its next attempt."""
    needs: Sequence[Sequence[tuple[K, tuple[Permit, ...]]]] = ()
    """What was said of it, where that still holds."""
    number: int = 0
    refusable: bool = False
    seen: int = 0


class Tour(Generic[K]):
    """The way along all waits that begin at some invocations."""

    def __init__(
        self,
        look: Callable[[Collection[K]], Mapping[K, Standing[K]]],
        holders_of: Callable[[str], Collection[K]],
        spell: Callable[[K], str],
    ) -> None:
        """Take what answers questions.

        Args:
            look: Says where invocations stand; those that have ended, or go on for another reason, are left out.
            holders_of: Says who holds permits of a name.
            spell: Says the id of an invocation.

        """
        self._look: Final = look
        self._holders_of: Final = holders_of
        self._spell: Final = spell
        self._known: Final[dict[K, Standing[K] | None]] = {}
        self._wanted: Final[defaultdict[K, dict[Permit, None]]] = defaultdict(dict)
        self._holders: Final[dict[str, Collection[K]]] = {}

    def go(self, start: Collection[K]) -> list[StoredWait]:
        """Return the waits."""
        ahead = list(dict.fromkeys(start))
        while ahead and len(self._known) < MOST:
            found = self._look(ahead)
            for key in ahead:
                self._known[key] = found.get(key)
            reached = dict.fromkeys(other for key in ahead for other in self._behind(key))
            ahead = [key for key in reached if key not in self._known]
        return list(self._answer())

    def _behind(self, key: K) -> Iterator[K]:
        """Yield what is in the way of one that is known, and of those for which it names permits."""
        standing = self._known[key]
        if standing is None:
            return
        yield from self._holders_before(key)
        for need in standing.needs:
            for other, permits in need:
                self._wanted[other].update(dict.fromkeys(permits))
                yield other
                if permits and other in self._known:
                    yield from self._holders_before(other)

    def _holders_before(self, key: K) -> Iterator[K]:
        standing = self._known[key]
        if standing is not None and not standing.is_owned:
            for permit in self._wanted.get(key, ()):
                yield from self._hold(permit)

    def _hold(self, permit: Permit) -> Collection[K]:
        holders = self._holders.get(permit.name)
        if holders is None:
            holders = self._holders[permit.name] = self._holders_of(permit.name)
        return holders

    def _answer(self) -> Iterator[StoredWait]:
        for key, standing in self._known.items():
            needs = () if standing is None else tuple(self._needs(key, standing))
            if standing is not None and needs:
                yield StoredWait(
                    invocation_id=self._spell(key),
                    home=standing.home,
                    needs=needs,
                    number=standing.number,
                    refusable=standing.refusable,
                    seen=standing.seen,
                )

    def _needs(self, key: K, standing: Standing[K]) -> Iterator[Need]:
        if standing.is_owned:
            for need in standing.needs:
                if all(self._known.get(other) is not None for other, _ in need):
                    yield Need(tuple(self._spell(other) for other, _ in need))
            return
        for permit in self._wanted.get(key, ()):
            others = [holder for holder in self._hold(permit) if holder != key]
            missing = len(others) - permit.limit + 1
            if missing > 0:
                yield Need(tuple(map(self._spell, others)), missing)
