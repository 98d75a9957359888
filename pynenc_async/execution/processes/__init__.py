"""Bodies in worker processes.

**Theory of operation.** A worker is a fresh interpreter that runs one body at a time, in its main thread. Two socket
pairs lead to it. On the *data* channel go frames of messages (`messages`), both ways. On the *token* channel goes one
number for each body that is sent, and a worker begins a body only after it has read its number there. The parent keeps
the worker's end of that channel as well, so it can read the numbers back: whoever reads a number first has the body.
That makes sending ahead safe (`tokens`): a short body need not wait for the loop, and what a worker has not begun is
taken back at once, whether it was cancelled, its worker died, or another worker has nothing to do.

A worker tells that a body begins before it begins it, and what was told survives the worker. So when one dies, exactly
the body that it was in has crashed; what it had read and not begun is sent once more, elsewhere.

Nothing is pickled. Arguments and results are JSON, decoded to the annotations of the function (`codec`), exceptions are
data (`outcome`), and a worker finds the function by importing its module (`finding`).

The same worker runs in an interpreter of its own inside this process where Python can do that (`interpreters`).
"""
