"""Keeps one failure from ending the service of everybody else.

Whatever serves many, one after the other (the ledger its changes, a timer what is due, an inbox its messages), serves each
in a `try` of its own, and hands what is raised to `report_failure`: it is logged, and the next one is served.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, TypeVar

from pynenc_async.interrupts import raise_soon
from pynenc_async.record import Record
from pynenc_async.telemetry import log

Item = TypeVar("Item")


def report_failure(error: BaseException, doing: str, **ids: str) -> None:
    """Log what was raised while `doing` something for one of many; return, so that the others are served.

    What is to end the program (`KeyboardInterrupt`, `SystemExit`) is raised again: in an event loop by a callback of its
    own, so that the decisions that are under way are complete first.
    """
    if isinstance(error, KeyboardInterrupt | SystemExit):
        raise_soon(error)
        return
    named = "".join(f", {name.replace('_id', '')} {value}" for name, value in ids.items())
    log.error("%s failed%s; everything else goes on", doing, named, exc_info=error, extra=ids)


def serve_each(items: Iterable[Item], serve: Callable[[Item], Any], doing: str) -> None:
    """Serve each item; what one of them raises is reported, and keeps nothing from the others."""
    for item in items:
        try:
            serve(item)
        except BaseException as error:  # noqa: BLE001  whatever it is, the others are served
            report_failure(error, doing)


def serve_records(records: Iterable[Record], serve: Callable[[Any], Any], doing: str) -> None:
    """Serve each invocation likewise; what is reported names it."""
    for record in records:
        try:
            serve(record)
        except BaseException as error:  # noqa: BLE001  see above
            report_failure(error, doing, **ids_of(record))


def ids_of(record: Any) -> dict[str, str]:
    """Return what names an invocation in the log, as far as it can be told."""
    with suppress(Exception):
        return {"invocation_id": str(record.invocation_id), "task_id": str(record._task.task_id)}
    return {}
