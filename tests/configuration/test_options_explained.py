"""Every option says what it means, its unit and what it accepts: in `help()` and on the command line, from one docstring."""

import pydoc
import subprocess
import sys
from enum import StrEnum
from pathlib import Path

import pytest

from pynenc_async import (
    ConcurrencyControlType,
    Misfire,
    OnDuplicate,
    OnLimit,
    Overlap,
    Pass,
    Pynenc,
    RunsIn,
    ScheduleOptions,
    TaskOptions,
    TriggerOptions,
    UniqueUntil,
)
from pynenc_async.configuration.app_options import APP_RULES
from pynenc_async.option_docs import meanings_of
from pynenc_async.option_rules import rules_of
from pynenc_async.options import RULES

CLASSES = [
    (TaskOptions, RULES),
    (Pynenc, APP_RULES),
    (ScheduleOptions, rules_of(ScheduleOptions)),
    (TriggerOptions, rules_of(TriggerOptions)),
]


def plain(text):
    return " ".join(text.split())


@pytest.mark.parametrize(("documented", "rules"), CLASSES, ids=lambda one: getattr(one, "__name__", ""))
def test_help_shows_the_meaning_the_unit_and_what_is_accepted(documented, rules):
    shown = plain(pydoc.render_doc(documented, renderer=pydoc.plaintext).replace("|", " "))
    meanings = meanings_of(documented)
    assert list(rules) == [name for name in meanings if name in rules], (
        "all of them, in the order in which they are declared"
    )
    for name, rule in rules.items():
        assert f"{name}: {meanings[name]}" in shown
        assert meanings[name].endswith(f"Accepts {rule.expected}.")
        assert len(meanings[name]) - len(rule.expected) > 30
        if "second" in rule.expected:
            assert "econds" in meanings[name].partition("Accepts")[0]


@pytest.mark.parametrize(
    "kind", [ConcurrencyControlType, OnDuplicate, OnLimit, UniqueUntil, RunsIn, Misfire, Overlap, Pass]
)
def test_each_value_of_an_enum_is_described(kind):
    assert issubclass(kind, StrEnum)
    assert list(meanings_of(kind)) == [member.name for member in kind]
    assert all(meanings_of(kind).values())


def test_the_command_explains_every_option(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "pynenc_async", "options"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    shown = plain(done.stdout)
    for documented, rules in CLASSES[:2]:
        for name in rules:
            assert f"{name} = " in done.stdout
            assert meanings_of(documented)[name] in shown
    assert f"'reuse': {meanings_of(OnDuplicate)['REUSE']}" in shown
