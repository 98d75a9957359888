"""Who has submitted whom: children hang on their submitter, with which they are cancelled, as long as both live."""

from typing import Final

from pynenc_async.record import Record

CLEANS_UP: Final = "submitted by a body that had been told to stop"
"""The reason of the first step of such an invocation: where it is stored, it is still not cancelled with its submitter."""
FIRED_BY: Final = "fired by trigger"
"""How that reason begins of what a trigger has fired: it names its cause as a parent, and is not tied to it."""
NOBODY_CANCELLED: Final = "the body raised CancelledError"
"""The reason of a CANCELLED for which nobody has asked: what the body had submitted goes on."""


def guardian_of(record: Record) -> Record | None:
    """Return the submitter, unless it has gone or `record` is detached from it."""
    parent = record._parent
    return parent if isinstance(parent, Record) and not record._task.options.detached else None


def is_told_to_stop(record: Record) -> bool:
    """Whether its body was told to stop. What it submits from then on is to clean up, and is not cancelled with it."""
    more = record._more
    return more is not None and (more.cancel_reason is not None or more.timed_out is not None)


def adopt(guardian: Record, child: Record) -> None:
    """Let the child be found from its submitter."""
    more = guardian.need_more()
    if more.children is None:
        more.children = {}
    more.children[child._number] = child


def leave_family(record: Record, parent: Record) -> None:
    """It has ended: its submitter forgets it, and it keeps of its submitter but the number."""
    record._parent = parent._number
    if parent._more is not None and parent._more.children is not None:
        parent._more.children.pop(record._number, None)


def living_tree(record: Record) -> list[Record]:
    """Return the invocation and what it has submitted, as far as that lives and is not detached."""
    tree = [record]
    for member in tree:
        if member._more is not None and member._more.children:
            tree.extend(member._more.children.values())
    return tree
