"""Objects that others own, which may be added to and looked through at any moment: see `WeakBag`."""

from collections.abc import Iterator
from typing import Any, Final, Generic, TypeVar
from weakref import WeakValueDictionary, ref

K = TypeVar("K")
T = TypeVar("T")


class WeakBag(Generic[T]):
    """Holds objects weakly, by identity, in the order in which they came.

    Unlike a `WeakSet` it can be looked through while something is added: by another thread, or in the same one by a
    finalizer or a signal handler, which may run between any two steps. Each change and each look is one step of the
    interpreter, so there is nothing to lock.
    """

    def __init__(self) -> None:
        self._refs: Final[dict[int, ref[T]]] = {}

    def add(self, one: T) -> None:
        """Hold one more, as long as it lives."""
        refs, key = self._refs, id(one)
        refs[key] = ref(one, lambda _: refs.pop(key, None))

    def __iter__(self) -> Iterator[T]:
        """Look at those that live now."""
        return iter([one for found in list(self._refs.values()) if (one := found()) is not None])


def items_of(weak: WeakValueDictionary[K, T]) -> list[tuple[K, T]]:
    """Return what a dictionary of weak values has now; to iterate over it fails where something is added meanwhile."""
    refs: list[Any] = weak.valuerefs()
    return [(found.key, one) for found in refs if (one := found()) is not None]
