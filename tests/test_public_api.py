"""The names that are fixed: what `pynenc_async` exports, how its errors are related, what is final."""

import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import pynenc_async
from pynenc_async import errors

FIXED = [
    "Pynenc",
    "Task",
    "Call",
    "Arguments",
    "BaseInvocation",
    "BaseInvocationGroup",
    "DistributedInvocation",
    "DistributedInvocationGroup",
    "SynchronousInvocation",
    "SynchronousInvocationGroup",
    "InvocationStatus",
    "current_invocation",
    "PynencError",
    "TaskDefinitionError",
    "InvalidTaskOptionsError",
    "AppNotStartedError",
    "InvocationNotFoundError",
    "InvocationNotFinalError",
    "InvocationCancelledError",
    "InvocationTimeoutError",
    "InvocationExpiredError",
    "InvocationStatusError",
    "CycleDetectedError",
    "ConcurrencyLimitError",
    "QueueFullError",
    "RetryError",
    "SerializationError",
    "RemoteError",
    "WorkerCrashedError",
    "StoreError",
]
FINAL = ["Pynenc", "Task", "DistributedInvocation", "DistributedInvocationGroup", "SynchronousInvocation"]
ERRORS = [kind for kind in vars(errors).values() if inspect.isclass(kind) and kind.__module__ == errors.__name__]


@pytest.mark.parametrize("name", FIXED)
def test_a_fixed_name_is_exported(name):
    assert name in pynenc_async.__all__
    assert getattr(pynenc_async, name) is not None


def test_all_is_sorted_and_complete():
    names = pynenc_async.__all__
    assert names == sorted(names)
    assert len(names) == len(set(names))
    public = {
        name for name, value in vars(pynenc_async).items() if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert set(names) == public


def test_every_error_is_exported_and_is_a_pynenc_error():
    assert len(ERRORS) > 15
    for kind in ERRORS:
        assert kind.__name__ in pynenc_async.__all__
        assert issubclass(kind, pynenc_async.PynencError)
        assert kind.__doc__


def test_the_relations_of_the_errors():
    assert issubclass(errors.InvocationTimeoutError, TimeoutError)
    assert not issubclass(errors.PynencError, OSError)
    assert issubclass(errors.PynencError, Exception)
    for kind in (
        errors.InvocationNotFoundError,
        errors.InvocationNotFinalError,
        errors.InvocationCancelledError,
        errors.InvocationTimeoutError,
        errors.InvocationExpiredError,
    ):
        assert issubclass(kind, errors.InvocationError)


def test_a_cancelled_invocation_never_looks_like_a_cancelled_waiter():
    import asyncio  # noqa: PLC0415  for this one comparison

    assert not any(issubclass(kind, asyncio.CancelledError) for kind in ERRORS)


def test_errors_carry_data_and_write_their_message():
    assert errors.RetryError(after=3).after == 3
    assert errors.RetryError().after is None
    error = errors.RemoteError("a.B", "m", "tb")
    assert (error.type_name, error.message, error.traceback) == ("a.B", "m", "tb")
    assert "a.B" in str(error)
    assert errors.InvocationCancelledError("i", "r").reason == "r"
    assert errors.SerializationError("f", "p").field == "f"


@pytest.mark.parametrize("name", pynenc_async.__all__)
def test_everything_public_is_documented_and_says_where_it_lives(name):
    value = getattr(pynenc_async, name)
    assert inspect.getdoc(value), name
    assert value.__module__.startswith("pynenc_async.")
    module = sys.modules[value.__module__]
    assert getattr(module, value.__qualname__) is value


@pytest.mark.parametrize("name", FINAL)
def test_a_final_class_says_so(name):
    assert getattr(pynenc_async, name).__final__ is True


def test_base_classes_cannot_be_made():
    for kind in (pynenc_async.BaseInvocation, pynenc_async.BaseInvocationGroup):
        with pytest.raises(TypeError, match="abstract"):
            kind()


def test_the_abstract_members_are_those_of_the_design():
    members = (
        "call app task arguments serialized_arguments to_json from_json call_id invocation_id status result num_retries"
    )
    assert {name for name in vars(pynenc_async.BaseInvocation) if not name.startswith("_")} == set(members.split())
    group = {name for name in vars(pynenc_async.BaseInvocationGroup) if not name.startswith("_")}
    assert group == {"task", "invocations", "app", "results"}


def test_the_package_says_its_version_which_is_that_of_the_distribution():
    assert re.fullmatch(r"\d+(\.\d+)+", pynenc_async.__version__)
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"]["path"] == "pynenc_async/__init__.py"


def test_the_package_is_typed():
    assert (Path(pynenc_async.__file__).parent / "py.typed").exists()


@pytest.mark.slow
def test_importing_the_package_imports_no_extra():
    code = "import sys, pynenc_async; print(*sys.modules)"
    outcome = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    extras = {
        "uvloop",
        "rich",
        "tqdm",
        "fastapi",
        "pydantic",
        "starlette",
        "uvicorn",
        "hypothesis",
        "pytest",
        "cronsim",
    }
    assert not extras & set(outcome.stdout.split())
