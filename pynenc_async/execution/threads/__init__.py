"""`def` tasks run in threads.

**Theory of operation.** A switch between the loop and a thread costs more than a short body. So the scheduler hands out a
little more than there are threads (PENDING, in the pool's queue), as much as the threads get through in `AHEAD_SECONDS`
at the pace of the last bodies: none for long ones, which would keep more urgent work waiting. A thread takes the next
record without asking the loop, and wakes the loop once for all that has ended since it last looked.

A thread that waits for another invocation has given its slot away, but is still a thread: another takes its place.
"""
