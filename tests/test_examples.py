"""The quickstart, run as a user runs it."""

import os
import re
import subprocess
import sys
import textwrap

import pytest

WITHOUT_UVLOOP = """
import sys
sys.modules["uvloop"] = None
from pathlib import Path
from pynenc_async.examples import quickstart
quickstart.app.run(quickstart.main(Path(sys.argv[1])))
"""


def run_python(*arguments):
    """Return what it prints, once it has ended well and has not complained."""
    ended = subprocess.run(  # noqa: S603  our own program
        [sys.executable, "-W", "error", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "200"},  # the width of the terminal must not matter
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


def tables_of(output):
    """Return the tables: by the heading of its first column, the rows of numbers by name."""
    tables = {}
    for heading, rows in re.findall(r"(\w+) .*\n-+\n((?:.+\n)+)", output):
        cells = [re.split(r"\s{2,}", row) for row in rows.splitlines()]
        tables[heading] = {name: [int(number.replace(",", "")) for number in numbers] for name, *numbers in cells}
    return tables


@pytest.mark.slow
def test_the_quickstart_measures_the_standard_library():
    output = run_python("-m", "pynenc_async.examples.quickstart")
    tables = tables_of(output)
    packages = tables["package"]
    modules, lines, functions, classes = total = packages.pop("total")
    assert [sum(column) for column in zip(*packages.values(), strict=True)] == total
    assert modules > 300
    assert lines > functions > classes > modules
    assert packages["asyncio"][0] > 20
    assert output.isascii()
    assert max(map(len, output.splitlines())) <= 80

    tasks = tables["task"]
    assert tasks["read"] == tasks["measure_module"] == [modules, 1]
    assert tasks["parse"] == [modules, 0]
    assert tasks["measure_package"][0] > len(packages)
    count = re.search(r"^([\d,]+) invocations in [\d.]+ seconds, on Python 3\.\d+\.", output, re.MULTILINE)[1]
    assert int(count.replace(",", "")) == sum(sum(row) for row in tasks.values()) > 1_000

    assert output.partition("could not be measured: 1\n")[2].startswith("  no_such_module.py\n    FileNotFoundError: ")
    assert output.endswith("registered > pending > running > paused > resumed > failed\n")


@pytest.mark.slow
def test_the_quickstart_on_a_folder_and_without_uvloop(tmp_path):
    (tmp_path / "single.py").write_text("def one(): pass\n")
    (tmp_path / "package" / "inner").mkdir(parents=True)
    (tmp_path / "package" / "inner" / "broken.py").write_text("def\n")
    (tmp_path / "package" / "sound.py").write_text(
        textwrap.dedent("""\
            class Outer:
                class Inner:
                    async def method(self):
                        match self:
                            case _:
                                def deep(): pass
            """)
    )
    output = run_python("-c", WITHOUT_UVLOOP, str(tmp_path))
    assert tables_of(output) == {
        "package": {"package": [1, 6, 2, 2], "(single modules)": [1, 1, 1, 0], "total": [2, 7, 3, 2]},
        "task": {"read": [3, 1], "parse": [2, 1], "measure_module": [2, 2], "measure_package": [2, 0]},
    }
    assert "13 invocations in" in output
    assert "could not be measured: 2\n" in output
    assert "  broken.py\n    SyntaxError: invalid syntax (<unknown>, line 1)\n" in output
