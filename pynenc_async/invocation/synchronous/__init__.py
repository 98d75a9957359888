"""Invocations that run inline, where their result is read: for tests, and for scripts without an event loop.

**Not for production.** Nothing runs until somebody asks for its result, nothing outlives the process, nothing runs in
parallel, and a `def` body holds up whatever loop its result is awaited in.

**Theory of operation.** Whoever first reads a result, or awaits it, claims the invocation and drives it to its end; all
others wait for that run, so the body runs once. How it is driven depends on where the claim is made:

* no event loop runs in this thread: a `def` body is called on the spot, any other runs in a loop made for it;
* inside an event loop: every body runs in an asyncio Task of its own, which a cancelled waiter does not cancel;
* in a `def` body inside an event loop, which may block there: other `def` bodies are called on the spot; what needs a
  loop gets one in a thread made for it, for this one has a loop already.

What the rest of the package needs is importable from here.
"""

from pynenc_async.invocation.synchronous.group import SynchronousInvocationGroup
from pynenc_async.invocation.synchronous.invocation import SynchronousInvocation
from pynenc_async.invocation.synchronous.runtime import SynchronousRuntime

__all__ = ["SynchronousInvocation", "SynchronousInvocationGroup", "SynchronousRuntime"]
