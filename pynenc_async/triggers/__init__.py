"""Triggers: run a task when something has happened to another, or when an event is emitted.

    @app.on(succeeded(load) & emitted("approved"), arguments=lambda event: (event[load].result,))
    @app.task
    async def publish(rows: int) -> None: ...

**What is promised.** A trigger fires once for each time that its condition is met by invocations which were submitted
after it was declared: by the transition itself, in order, however they were submitted and however they end (also
cancelled before they started, expired, dropped). It is decided in the app's loop, just after the transition; `app.emit`
decides at once, in the calling thread.

**What is fired** belongs to nobody: it is not cancelled with the invocation that caused it, inherits no deadline and no
context, and `max_queued` does not refuse it. The cause is its `parent_invocation_id`; the first entry of its history
names the trigger.

**Joining.** `a & b` waits until each of the two has happened since it last fired; of several occurrences of the same
condition the latest counts. A fire uses up the occurrences that it is made of, and no others: in `(a & b) | c` a `c`
between `a` and `b` changes nothing for these. Where an `|` within an `&` has several sides fulfilled, the latest is
passed on, and all are used up. With `by=` every key joins for itself; with `within=` the occurrences of a fire lie no
further apart than so many seconds.

**Chains.** A trigger may fire what fires it again. A chain of more than `max_chain` fires is taken for an endless one: it
is stopped, and logged as an error that names the triggers.

**Errors** in predicates, keys and argument functions are logged with the name of the trigger. A predicate that raises
counts as not fulfilled; where a key or arguments raise, this occurrence fires nothing. Nothing else is affected.

**Shutdown.** While the app drains, triggers fire, and what they fire is waited for. Once it cancels what is left, they
fire no more, and how much they missed is logged.

With `sync://` what is fired runs inline: see `inline`.

In an app with a store, triggers belong to the process: it fires for what it brings to its end itself, once that is stored.
What is fired is stored like any call. A process that dies between the two has not fired, and what has been joined half is
not stored.
"""
