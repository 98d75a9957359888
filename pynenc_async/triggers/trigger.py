"""One trigger: a task, a condition, and what has happened for it so far."""

from collections.abc import Callable
from typing import Any, Final, final

from pynenc_async.interrupts import raise_soon
from pynenc_async.task import Task
from pynenc_async.telemetry import log
from pynenc_async.triggers.conditions import Condition, EventCondition, TaskCondition
from pynenc_async.triggers.joining import Joiner
from pynenc_async.triggers.occurrence import NO_CHAIN, Occurrence, TriggerEvent
from pynenc_async.triggers.options import TriggerOptions
from pynenc_async.triggers.supplying import supply_of


@final
class Trigger:
    """What `app.triggers` has: a task that runs when a condition is met."""

    def __init__(
        self,
        name: str,
        task: Task[..., Any],
        condition: Condition,
        options: TriggerOptions,
        remove: "Callable[[Trigger], None]",
    ) -> None:
        self.name: Final = name
        self.task: Final[Task[..., Any]] = task
        self.condition: Final = condition
        self.options: Final = options
        self.fired = 0
        """How many times it has fired."""
        self.supply: Final = supply_of(name, task.function, options.arguments)
        """Makes the values of the call; raises what the arguments function raises."""
        self.leaves: Final = tuple(condition.leaves())
        self._joiner: Final = Joiner(condition, within=options.within, max_keys=options.max_keys)
        self._remove: Final = remove

    @property
    def pending(self) -> int:
        """How many keys (without `by`: 0 or 1) have some of what they need, and wait for the rest."""
        return self._joiner.pending

    def remove(self) -> None:
        """Fire no more; what has been fired goes on. Nothing happens the second time."""
        self._remove(self)

    def forget(self) -> None:
        """Wait anew for all that the condition needs."""
        self._joiner.forget()

    @property
    def watched(self) -> dict[str, frozenset[Any]]:
        """Which statuses it has to hear of, by `task_id`."""
        statuses: dict[str, frozenset[Any]] = {}
        for leaf in self.leaves:
            if isinstance(leaf, TaskCondition):
                statuses[leaf.task_id] = statuses.get(leaf.task_id, frozenset()) | leaf.statuses
        return statuses

    @property
    def events(self) -> frozenset[str]:
        """Which events it has to hear of."""
        return frozenset(leaf.event for leaf in self.leaves if isinstance(leaf, EventCondition))

    # -- what the engine asks, in this order; user code runs in the first two, and in the third as keys are compared ---

    def leaves_met_by(self, occurrence: Occurrence) -> list[int]:
        """Return the numbers of the simple conditions that are met; one that raises is not, and is logged."""
        met: list[int] = []
        for number, leaf in enumerate(self.leaves):
            try:
                if leaf.is_met_by(occurrence):
                    met.append(number)
            except KeyboardInterrupt as interrupt:
                raise_soon(interrupt)
            except BaseException:  # noqa: BLE001  user code
                log.exception("trigger %r: a predicate of %s raised; it counts as not fulfilled", self.name, leaf)
        return met

    def key_of(self, occurrence: Occurrence) -> Any:
        """Return what the occurrence is joined by; raises what the key function raises."""
        key = None if self.options.by is None else self.options.by(occurrence)
        hash(key)
        return key

    def join(self, occurrence: Occurrence, met: list[int], key: Any) -> TriggerEvent | None:
        """Take in the occurrence; return the event if the condition is met now."""
        dropped = self._joiner.dropped
        occurrences = self._joiner.offer(occurrence, met, key)
        if self._joiner.dropped > dropped == 0:
            log.warning(
                "trigger %r: more than max_keys=%d keys wait for the rest of what they need; from now on the one that "
                "has waited longest is dropped",
                self.name,
                self.options.max_keys,
            )
        if occurrences is None:
            return None
        longest = max((one.chain for one in occurrences), key=lambda chain: chain.length, default=NO_CHAIN)
        return TriggerEvent(
            trigger=self.name, occurrences=occurrences, last=occurrence, key=key, chain=longest.then(self.name)
        )

    def __repr__(self) -> str:
        return f"<Trigger {self.name!r}: {self.task.task_id} on {self.condition}>"
