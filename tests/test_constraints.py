"""The constraints files say what `pyproject.toml` allows: CI runs the suite with both."""

import tomllib
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
OWN = canonicalize_name(PROJECT["name"])


def requirements(*extras):
    lines = chain(PROJECT["dependencies"], *(EXTRAS[extra] for extra in extras))
    return [one for one in map(Requirement, lines) if canonicalize_name(one.name) != OWN]


def pinned(file):
    lines = (ROOT / "constraints" / file).read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in pins}


USED = requirements("uvloop", "progress", "yaml", "cron", "fastapi", "test")


@pytest.mark.parametrize("requirement", USED, ids=lambda requirement: requirement.name)
def test_the_oldest_release_that_is_tested_is_the_floor(requirement):
    [floor] = requirement.specifier
    assert floor.operator == ">="
    assert Version(floor.version) == Version(pinned("oldest.txt")[canonicalize_name(requirement.name)])


@pytest.mark.parametrize("requirement", [*USED, *requirements("lint")], ids=lambda requirement: requirement.name)
def test_the_newest_release_that_is_tested_is_allowed(requirement):
    assert requirement.specifier.contains(pinned("newest.txt")[canonicalize_name(requirement.name)])
