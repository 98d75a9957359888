"""Telling those who wait for the end of an invocation."""

from pynenc_async.guard import serve_each
from pynenc_async.record import Record, Waiter, each_waiter


def tell_waiters(record: Record) -> None:
    """Let everybody who waits look again: `record` has ended, or can no longer end here."""
    waiters, record._waiters = record._waiters, None
    tell_each(waiters, record)


def tell_each(waiters: Waiter | dict[Waiter, int] | None, record: Record) -> None:
    """Tell `waiters`, which waited for `record`, each by itself."""
    if waiters is not None:
        serve_each(each_waiter(waiters), lambda waiter: waiter.notify(record), "telling who waits for an invocation")
