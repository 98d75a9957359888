"""A program that is killed in the middle of its work, and finishes after its restart.

    python -m pynenc_async.examples.survivor [jobs.db]

It starts itself as a second process, which submits pages to be copied; kills that process, as `kill -9` does, while it is
at work; starts it again; and shows that each page has been copied, and which of them needed a second attempt.
"""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from pynenc_async import InvocationStatus, Pynenc

PAGES = 40
KILLED_AFTER = 12
DATABASE = os.environ.get("SURVIVOR_DATABASE", "survivor.db")

app = Pynenc(f"sqlite:///{DATABASE}", max_concurrency=4)


@app.task
async def copy(page: int) -> str:
    """Copy a page, slowly."""
    await asyncio.sleep(0.02)
    print(f"copied {page}", flush=True)
    return f"page {page}"


async def work() -> None:
    """Submit the pages, unless an earlier run has done so; wait for all of them."""
    known = await app.find(task=copy, limit=PAGES)
    pages = known.invocations or tuple(copy.parallelize([(page,) for page in range(PAGES)]))
    for page in pages:
        await page.accepted()
    print(f"{len(pages)} pages are in {DATABASE}", flush=True)
    for page in pages:
        await page


async def report() -> None:
    """Say what has become of the pages."""
    pages = (await app.find(task=copy, limit=PAGES)).invocations
    again = [page for page in pages if any(step.status is InvocationStatus.RUNNING_RECOVERY for step in page.history)]
    succeeded = sum(page.status is InvocationStatus.SUCCESS for page in pages)
    print(f"{succeeded} of {len(pages)} pages are copied; {len(again)} were under way when the process died")
    for page in again[:1]:
        print("the history of one of them:", " -> ".join(step.status for step in page.history))


def start() -> subprocess.Popen[str]:
    """Start this program as a worker."""
    command = [sys.executable, "-m", "pynenc_async.examples.survivor", "--work"]
    environment = os.environ | {"SURVIVOR_DATABASE": DATABASE}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)  # noqa: S603  itself


def main() -> None:
    """Run the worker, kill it, run it again, and tell what has become of its work."""
    first = start()
    copied = 0
    for line in first.stdout or ():
        print("first run: ", line, end="")
        copied += line.startswith("copied")
        if copied == KILLED_AFTER:
            break
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    print(f"killed with signal {-first.returncode}, and started again")
    second = start()
    for line in second.stdout or ():
        print("second run:", line, end="")
    if second.wait() != 0:
        sys.exit("the second run failed")
    app.run(report)


def run_on(database: str) -> int:
    """Run this program on a file: it reads the name when it is imported, as its worker does."""
    command = [sys.executable, "-m", "pynenc_async.examples.survivor", "--here"]
    return subprocess.call(command, env=os.environ | {"SURVIVOR_DATABASE": database})  # noqa: S603  itself


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--work"]:
            app.run(work)
        case ["--here"]:
            main()
        case [database]:
            sys.exit(run_on(database))
        case _:
            with tempfile.TemporaryDirectory() as folder:
                sys.exit(run_on(str(Path(folder, "jobs.db"))))
