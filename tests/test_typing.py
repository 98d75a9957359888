"""The public API as type checkers see it: `good.py` is clean, `bad.py` is wrong in the marked lines and no other."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
GOOD = ROOT / "tests" / "typing" / "good.py"
BAD = ROOT / "tests" / "typing" / "bad.py"
MARK = "  # wrong: "

pytestmark = pytest.mark.timeout(240)  # pyright may have to start node for the first time


def needed(checker):
    return pytest.mark.skipif(importlib.util.find_spec(checker) is None, reason=f"{checker} is not installed")


def run(*command):
    outcome = subprocess.run(  # noqa: S603  a fixed command
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert outcome.returncode in (0, 1), outcome.stdout + outcome.stderr
    return outcome.stdout


def marked(path):
    lines = path.read_text().splitlines()
    return {number for number, line in enumerate(lines, 1) if MARK in line}


@pytest.fixture(scope="module")
def mypy(tmp_path_factory):
    """Errors by file: line numbers and messages."""
    cache = tmp_path_factory.mktemp("mypy")
    config = ROOT / "pyproject.toml"
    output = run("mypy", "--config-file", str(config), "--cache-dir", str(cache), "--no-pretty", str(GOOD), str(BAD))
    found = re.findall(r"^(\S+?):(\d+): error: (.*)$", output, re.MULTILINE)
    return {path: {int(line): text for name, line, text in found if (ROOT / name) == path} for path in (GOOD, BAD)}


@pytest.fixture(scope="module")
def pyright(tmp_path_factory):
    """Errors by file, like those of mypy. The project's configuration, next to copies: it takes no other files."""
    place = tmp_path_factory.mktemp("pyright")
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pyright"]
    # What an expression without effect is called is not what is tested.
    config |= {"include": ["."], "exclude": [], "extraPaths": [str(ROOT)], "reportUnusedExpression": False}
    (place / "pyrightconfig.json").write_text(json.dumps(config))
    for path in (GOOD, BAD):
        shutil.copy(path, place)
    report = json.loads(run("pyright", "--outputjson", "--pythonpath", sys.executable, "--project", str(place)))
    assert report["summary"]["filesAnalyzed"] == 2
    errors = [one for one in report["generalDiagnostics"] if one["severity"] == "error"]
    return {
        path: {
            one["range"]["start"]["line"] + 1: one["message"] for one in errors if Path(one["file"]).name == path.name
        }
        for path in (GOOD, BAD)
    }


checkers = pytest.mark.parametrize(
    "checker",
    [
        pytest.param("mypy", marks=needed("mypy")),
        pytest.param("pyright", marks=needed("pyright")),
    ],
)


@pytest.mark.slow
@checkers
def test_what_is_right_is_clean(checker, request):
    assert request.getfixturevalue(checker)[GOOD] == {}


@pytest.mark.slow
@checkers
def test_what_is_wrong_is_an_error_and_nothing_else_is(checker, request):
    errors = request.getfixturevalue(checker)[BAD]
    lines = BAD.read_text().splitlines()
    missed = {number: lines[number - 1] for number in marked(BAD) - errors.keys()}
    assert missed == {}, "no error where one was expected"
    unexpected = {number: text for number, text in errors.items() if number not in marked(BAD)}
    assert unexpected == {}, "an error where none was expected"


def test_something_is_marked():
    assert len(marked(BAD)) > 30
