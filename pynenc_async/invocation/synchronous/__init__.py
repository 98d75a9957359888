"""Invocations that run inline, at their call: for tests, and for scripts without an event loop.

**Not for production.** Nothing outlives the process, nothing is limited, and a `def` body holds up its event loop.

How a body runs depends on where its task is called; it runs once, and other readers of its result wait for that run:

* no event loop runs in this thread: a `def` body is called on the spot, any other runs in a loop made for it, and the call
  returns when it has ended; an async generator runs as its stream is read;
* inside an event loop: every body runs in an asyncio Task of its own, which the call starts;
* in a `def` body inside an event loop, which may block there: other `def` bodies are called on the spot; what needs a
  loop gets one in a thread made for it, for this one has a loop already.

A call raises no failure of its body, which `result` does; SystemExit and KeyboardInterrupt leave the call.

What other apps honour, and this one does not:

| option | in sync mode |
|---|---|
| `retry_delay`, `retry_backoff`, `RetryError(after=)` | the retries are made at once |
| `delay`, `at`, `expires_in`, `priority` | the body runs at the call |
| `running_concurrency` and its limits, `rate`, `max_concurrency`, `max_queued` | no call waits |
| `registration_concurrency`, `unique_for` | each call is an invocation of its own |
| `timeout`, `deadline` | stop what runs in a loop; a `def` body is not stopped, and not retried after its deadline |
| `cancel_grace` | a body that does not stop is waited for |
| `runs_in` | the body runs in the thread, or the loop, of the call |
| `@app.every`, `@app.cron` | never fire; triggers fire inline |
| `to_json`, `from_json` | raise `SerializationError` |

What the rest of the package needs is importable from here.
"""

from pynenc_async.invocation.synchronous.group import SynchronousInvocationGroup
from pynenc_async.invocation.synchronous.invocation import SynchronousInvocation
from pynenc_async.invocation.synchronous.runtime import SynchronousRuntime

__all__ = ["SynchronousInvocation", "SynchronousInvocationGroup", "SynchronousRuntime"]
