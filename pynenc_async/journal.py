"""What a workflow has asked for, in order, so that another attempt is given the same answers.

**Theory of operation.** A journal belongs to one invocation and outlives its attempts. Each request of the body (a child
call, a drawn value) takes the next entry. While there are entries, a request must ask for what the entry says, and is
answered from it; after the last one, it is new, and is written down.

A child call is answered with the invocation that was submitted for it, be it still under way or long done, so nothing
that succeeded is done again. A child that ended otherwise needs a decision when its attempt is over (`rewind`): did the
body deal with that end, as by `except`, or is it why the attempt failed? What the body dealt with is part of its
history: what it asked for afterwards may depend on it, so the next attempt is shown the same failure. Else the child is
run again. It was dealt with when the body asked for something else afterwards, and the error of the attempt does not
come from it.

A child that is run again may end otherwise, and the body may take another way from there on. So the entries that were
written after its end hold as long as they are asked for; the first request that differs from them drops the rest.

Entries are plain data, which a store can keep. The invocations they name are in the store anyway; `Child` is how
they are found in memory.
"""

from collections.abc import Callable, Mapping
from threading import get_ident
from typing import Any, Final, cast

from msgspec.structs import replace

from pynenc_async.context import CURRENT
from pynenc_async.errors import WorkflowNondeterminismError
from pynenc_async.function import Values
from pynenc_async.journal_entries import Child, EntryKind, JournalEntry, causes_of, describe_call, same_call_values
from pynenc_async.record import Record


class Journal:
    """The entries of one workflow, and how far this attempt has come."""

    __slots__ = ("_binding", "_changed", "_children", "_submitting", "entries", "position")

    def __init__(self, changed: Callable[[int], None] | None = None) -> None:
        self._changed: Final = changed
        """Told from which entry on there are others, where a store keeps them."""
        self.entries: Final[list[JournalEntry]] = []
        self.position = 0
        self._binding = 0
        """How many entries must be asked for again; the ones behind were written after the end of what is run again."""
        self._children: Final[dict[int, Child]] = {}
        self._submitting: tuple[int, Child] | None = None
        """The thread that submits a recorded call at this moment, and the call."""

    @property
    def replaying(self) -> bool:
        """Whether the next request is answered from an entry."""
        return self.position < len(self.entries)

    @property
    def submits_here(self) -> bool:
        """Whether the call that this thread submits is recorded already."""
        return self._submitting is not None and self._submitting[0] == get_ident()

    def expect(self, record: Record) -> None:
        """Take note of `record`, which this thread is about to hand to the loop, where it might end at once.

        A store is to know that the workflow has asked for it before it has it: else another attempt asks again.
        """
        if self._submitting is not None and self._submitting[0] == get_ident():
            child = self._submitting[1]
            child.watch(record)
            self._write(self.position, child, record)

    def draw(self, record: Record, kind: EntryKind, make: Callable[[], str | float]) -> str | float:
        """Return the value that was drawn here before, or draw it now."""
        entry = self._expect(record, lambda entry: entry.kind is kind, lambda: f"workflow.{kind}()")
        if entry is None:
            entry = JournalEntry(index=self.position, kind=kind, value=make())
            self.entries.append(entry)
            self._note_change(self.position)
        self.position += 1
        return cast("str | float", entry.value)

    def call(self, record: Record, task: Any, values: Values, submit: Callable[[Any, Values], Any]) -> Any:
        """Return the invocation that answers this call, submitted now if there is none."""
        index = self.position
        entry = self._expect(
            record,
            lambda entry: entry.task_id in task.function.ids and same_call_values(self._children[index].values, values),
            lambda: describe_call(task.task_id, values),
        )
        if entry is not None:
            known = self._children[index]
            if known.dealt_with or not known.has_failed:
                self.position += 1
                return known.handle
            known.record.exception()  # looked at, as far as the log is concerned: it is being made good
        child = Child(lambda: self.position, index, task.task_id, values)
        before = self.entries[index : index + 1]
        self._submitting = get_ident(), child
        try:
            handle = submit(task, values)
        except BaseException:
            if self.entries[index : index + 1] != before:  # written by `expect`, and came to nothing
                self.entries[index : index + 1] = before
                self._note_change(index)
            raise
        finally:
            self._submitting = None
        child.submitted(handle)
        self._keep(index, child)
        return handle

    def _expect(
        self, record: Record, fits: Callable[[JournalEntry], bool], asked: Callable[[], str]
    ) -> JournalEntry | None:
        """Return the entry that answers this request; None for a new one. Raises `WorkflowNondeterminismError`."""
        if not self.replaying:
            return None
        entry = self.entries[self.position]
        if fits(entry):
            return entry
        if self.position < self._binding:
            recorded = str(self._children.get(entry.index) or f"workflow.{entry.kind}()")
            raise WorkflowNondeterminismError(record._task.task_id, entry.index, recorded=recorded, asked=asked())
        for index in range(self.position, len(self.entries)):
            self._children.pop(index, None)
        del self.entries[self.position :]
        return None

    def _keep(self, index: int, child: Child) -> None:
        self._write(index, child, child.record)
        self.position = index + 1
        self._children[index] = child

    def _write(self, index: int, child: Child, record: Any) -> None:
        """Write down which invocation answers a call."""
        entry = JournalEntry(
            index=index, kind=EntryKind.CALL, task_id=child.task_id, invocation_id=record.invocation_id
        )
        if self.entries[index : index + 1] != [entry]:
            self.entries[index : index + 1] = [entry]
            self._note_change(index)

    def answered_by(self, record: Record, invocation_id: str) -> None:
        """Write down anew which invocation answers a call: its handle stands for another one than it did."""
        for index, child in self._children.items():
            if child.record is record:
                self.entries[index] = replace(self.entries[index], invocation_id=invocation_id)
                self._note_change(index)

    def _note_change(self, index: int) -> None:
        if self._changed is not None:
            self._changed(index)

    def restore(self, entries: list[JournalEntry], children: Mapping[str, Any]) -> None:
        """Go on with what a store has kept; `children` are the invocations that answer the recorded calls, by id.

        A call of which the store has no answer is asked for anew, and with it what came after it. A child that had failed
        counts as dealt with, until the attempt shows otherwise.
        """
        for index, entry in enumerate(entries):
            if entry.kind is EntryKind.CALL:
                record = children.get(entry.invocation_id or "")
                if record is None:
                    break
                child = Child(lambda: self.position, index, entry.task_id or "", record._values)
                child.submitted(record)
                child.dealt_with = child.has_failed
                self._children[index] = child
            self.entries.append(entry)
        self._binding = len(self.entries)

    def rewind(self, error: BaseException) -> None:
        """The attempt has failed, and another one follows."""
        causes = list(causes_of(error))
        self._binding = max(self._binding, self.position)  # what lies behind was not asked for since it was let go
        for index, child in self._children.items():
            if child.has_failed:
                ended_before = self.position if child.ended_before is None else child.ended_before
                went_on = child.dealt_with or ended_before < self.position
                child.dealt_with = went_on and not any(map(child.led_to, causes))
                if not child.dealt_with:
                    self._binding = min(self._binding, max(ended_before, index + 1))
        self.position = 0


def journal_of(record: Record) -> Journal:
    """Return the journal of a workflow, made on first use."""
    more = record.need_more()
    if more.journal is None:
        more.journal = Journal(record._task.runtime.journal_keeper(record))
    return cast(Journal, more.journal)


def must_record(workflow: Record) -> bool:
    """Whether a call that the body of a workflow makes here is still to be recorded."""
    if workflow._ended_at is not None:
        return False
    more = workflow._more
    return more is None or more.journal is None or not more.journal.submits_here


def expect_end(record: Record) -> None:
    """Let the workflow that submits `record` from a thread hear of its end, before the loop hears of the record."""
    workflow: Record | None = CURRENT.get()
    more = None if workflow is None else workflow._more
    if more is not None and more.journal is not None:
        more.journal.expect(record)


def call_in_workflow(workflow: Record, task: Any, values: Values, submit: Callable[[Any, Values], Any]) -> Any:
    """Return the invocation that answers a call made by the body of `workflow`."""
    return journal_of(workflow).call(workflow, task, values, submit)


def recording(submit: Callable[[Any, Values], Any]) -> Callable[[Any, Values], Any]:
    """Return `submit`, such that what it does before it makes an invocation is not done again for a recorded call."""

    def submit_or_replay(task: Any, values: Values) -> Any:
        parent: Record | None = CURRENT.get()
        if parent is not None and parent._task.options.workflow and must_record(parent):
            return call_in_workflow(parent, task, values, submit)
        return submit(task, values)

    return submit_or_replay
