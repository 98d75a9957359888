"""The README's examples, run as a user runs them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_the_example_runs_and_complains_of_nothing(number, tmp_path):
    program = tmp_path / "example.py"
    program.write_text(EXAMPLES[number], encoding="utf-8")
    ended = subprocess.run(  # noqa: S603  our own program
        [sys.executable, "-W", "error", str(program)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PYTHONPATH": str(README.parent)},
        cwd=tmp_path,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout


def test_there_are_examples():
    assert len(EXAMPLES) >= 3
