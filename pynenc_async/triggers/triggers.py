"""The triggers of one app: who is told of what, and what follows from it.

User code (predicates, keys, argument functions) runs outside of every decision, in an empty context.

An event may be emitted in any thread, and at any moment: by a finalizer, say, that the collector runs while another event is
emitted. So there is no lock. What is shared changes in single steps of the interpreter.
"""

from collections.abc import Iterable
from contextvars import Context
from typing import Any, Final

from pynenc_async.context import CURRENT
from pynenc_async.errors import TriggerDefinitionError
from pynenc_async.forks import tell_of_forks
from pynenc_async.interrupts import raise_soon
from pynenc_async.invocation.distributed import DistributedInvocation
from pynenc_async.task import Task
from pynenc_async.telemetry import log
from pynenc_async.triggers.conditions import Condition, TaskCondition, joins
from pynenc_async.triggers.occurrence import Occurrence, TriggerEvent
from pynenc_async.triggers.options import TriggerOptions
from pynenc_async.triggers.stage import Stage
from pynenc_async.triggers.trigger import Trigger
from pynenc_async.triggers.watching import CHAIN, TaskWatch, Transition, occurrence_of

Handle = DistributedInvocation[Any, Any]


class Triggers:
    """The triggers of one app by name."""

    def __init__(self, stage: Stage) -> None:
        self._stage: Final = stage
        self._by_name: Final[dict[str, Trigger]] = {}
        stage.watches.listener = self._take
        tell_of_forks(self)

    def note_fork(self) -> None:
        """In a child: what has happened has happened in the parent."""
        for trigger in self._all():
            trigger.forget()

    # -- declaring -----------------------------------------------------------------------------------------------------

    @property
    def by_name(self) -> dict[str, Trigger]:
        """The triggers that are there now."""
        return dict(self._by_name)

    def add(self, task: Task[..., Any], condition: Condition, options: TriggerOptions) -> Trigger:
        """Declare a trigger; raises `TriggerDefinitionError`."""
        name = options.name or f"{task.task_id} on {condition}"
        if task.runtime is not self._stage.runtime:
            raise TriggerDefinitionError(name, "its task belongs to another app", "declare it in that one")
        _check(name, task, condition, options)
        trigger = Trigger(name, task, condition, options, self._remove)
        known = self._by_name.setdefault(name, trigger)
        if known is not trigger:
            if not _is_redefinition(known, trigger):
                raise TriggerDefinitionError(name, "there is a trigger of that name", "give it another one with name=")
            self._by_name[name] = trigger
        self._watch({*trigger.watched, *known.watched})
        return trigger

    def _remove(self, trigger: Trigger) -> None:
        if self._by_name.get(trigger.name) is not trigger:
            return
        removed = self._by_name.pop(trigger.name, trigger)
        if removed is not trigger:  # in this very moment it was defined anew
            self._by_name.setdefault(trigger.name, removed)
        self._watch(trigger.watched)

    def _watch(self, task_ids: Iterable[str]) -> None:
        """Let the invocations of these tasks be watched as the triggers that are there now need it.

        Who has said so looks once more: other triggers may have been declared or removed meanwhile.
        """
        watches = self._stage.watches
        for task_id in task_ids:
            while True:
                triggers = self._waiting_for(task_id)
                statuses = frozenset[Any]().union(*(one.watched[task_id] for one in triggers))
                watches.watch(task_id, TaskWatch(triggers, statuses, watches.put) if triggers else None)
                if self._waiting_for(task_id) == triggers:
                    break

    def _waiting_for(self, task_id: str) -> tuple[Trigger, ...]:
        return tuple([one for one in self._all() if task_id in one.watched])

    def _all(self) -> list[Trigger]:
        return list(self._by_name.values())

    # -- what has happened ---------------------------------------------------------------------------------------------

    def emit(self, event: str, payload: object) -> tuple[Handle, ...]:
        """An event has happened: fire what waits for it, and return that."""
        stage = self._stage
        stage.admit()
        emitter: Handle | None = CURRENT.get()
        if emitter is not None and emitter._task.runtime is not stage.runtime:
            emitter = None
        stage.catch_up()
        occurrence = Occurrence(
            timestamp=stage.now(),
            invocation_id=None if emitter is None else emitter.invocation_id,
            event=event,
            payload=payload,
            chain=CHAIN.get(),
        )
        listening = [trigger for trigger in self._all() if event in trigger.events]
        cause = None if emitter is None else emitter._number
        fired = Context().run(self._offer_all, listening, occurrence, cause)
        stage.after_emit()
        return fired

    def _take(self, transition: Transition) -> None:
        self._offer_all(transition.triggers, occurrence_of(transition), transition.record._number)

    def _offer_all(self, triggers: Iterable[Trigger], occurrence: Occurrence, cause: int | None) -> tuple[Handle, ...]:
        fired: list[Handle] = []
        for trigger in triggers:
            event = self._join(trigger, occurrence)
            handle = None if event is None else self._fire(trigger, event, cause)
            if handle is not None:
                fired.append(handle)
        return tuple(fired)

    def _join(self, trigger: Trigger, occurrence: Occurrence) -> TriggerEvent | None:
        met = trigger.leaves_met_by(occurrence)
        if not met:
            return None
        try:
            key = trigger.key_of(occurrence)
            if self._by_name.get(trigger.name) is not trigger:
                return None  # removed
            return trigger.join(occurrence, met, key)
        except KeyboardInterrupt as interrupt:
            raise_soon(interrupt)
            return None
        except BaseException:  # noqa: BLE001  user code: the function, and what compares its keys
            log.exception("trigger %r: its key function raised; this occurrence fires nothing", trigger.name)
            return None

    def _fire(self, trigger: Trigger, event: TriggerEvent, cause: int | None) -> Handle | None:
        limit = trigger.options.max_chain
        if limit is not None and event.chain.length > limit:
            log.error(
                "trigger %r would be number %d of a chain of triggers that fire one another, and max_chain=%d; it does not "
                "fire: %s",
                trigger.name,
                event.chain.length,
                limit,
                event.chain,
            )
            return None
        try:
            values = trigger.supply(event)
            handle: Handle = self._stage.call(trigger.task, values, cause=cause, chain=event.chain)
        except KeyboardInterrupt as interrupt:
            raise_soon(interrupt)
            return None
        except BaseException:  # noqa: BLE001  user code, and what the task refuses
            log.exception("trigger %r could not call %s; this occurrence fires nothing", trigger.name, trigger.task)
            return None
        trigger.fired += 1
        return handle


def _check(name: str, task: Task[..., Any], condition: Condition, options: TriggerOptions) -> None:
    for leaf in condition.leaves():
        if isinstance(leaf, TaskCondition) and leaf.app not in (None, task.app):
            raise TriggerDefinitionError(
                name, f"{leaf} waits for a task of another app", "apps share nothing: emit an event there and here"
            )
    for option, given in (("by", options.by), ("within", options.within)):
        if given is not None and not joins(condition):
            raise TriggerDefinitionError(
                name, f"{option}= says how occurrences are joined, and {condition} joins none", "combine some with &"
            )


def _is_redefinition(known: Trigger, new: Trigger) -> bool:
    """Whether `new` is the same trigger once more: its module was reloaded, or its cell was run again in a notebook."""
    return known.task.task_id == new.task.task_id and known.task.function is not new.task.function
