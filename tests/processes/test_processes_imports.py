"""A worker imports what its app would import, and nothing that happens to lie in its working directory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import slow

PROGRAM = """
import sys
sys.path.insert(0, {helpers!r})
import helper
from pynenc_async import Pynenc

app = Pynenc(max_processes=1)


@app.task(runs_in="process", timeout=30)
def work() -> str:
    import late_helper

    return helper.WORD + late_helper.WORD


async def main():
    print(await work())


if __name__ == "__main__":
    app.run(main)
"""
TRAP = "import os\nos.write(2, b'trapped')\nraise SystemExit\n"
TRAPS = (
    "json",
    "socket",
    "msgspec",
    "multiprocessing",
    "asyncio",
    "pynenc_async",
    "helper",
    "late_helper",
    "sitecustomize",
)


@pytest.mark.parametrize(
    "name", ["helpers", *map(slow, ["a space", "a\nnew line", "back\\slash", "é\U0001f600", os.fsdecode(b"\xff")])]
)
def test_a_worker_imports_from_the_path_of_its_app_alone(tmp_path, name):
    here, helpers, program = tmp_path / "here", tmp_path / name, tmp_path / "program" / "program.py"
    for place in (here, helpers, program.parent):
        place.mkdir()
    for trap in TRAPS:
        (here / f"{trap}.py").write_text(TRAP)
    (helpers / "helper.py").write_text("WORD = 'found'\n")
    (helpers / "late_helper.py").write_text("WORD = ', and found'\n")
    program.write_text(PROGRAM.format(helpers=str(helpers)))
    package = str(Path(__file__).parent.parent.parent)
    done = subprocess.run(
        [sys.executable, str(program)],
        cwd=here,
        env={**os.environ, "PYTHONPATH": package},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("found, and found\n", "")
