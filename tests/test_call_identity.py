"""`call_id`: one name for equal calls, in every process and Python version; free until somebody asks."""

import enum
import hashlib
import json
import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any, NamedTuple

import pydantic
import pytest

from pynenc_async import Call, Pynenc, SerializationError

app = Pynenc()

CALLS = """
import dataclasses, datetime, decimal, enum, json, pathlib, uuid
from pynenc_async import Pynenc
app = Pynenc()

@dataclasses.dataclass
class Point:
    y: int
    x: int

class Colour(enum.Enum):
    RED = "red"

@app.task
async def work(*args, **kwargs): pass

@app.task
async def nothing(): pass

CALLS = {
    "int": work.args(1),
    "text": work.args("1"),
    "float": work.args(1.0),
    "bool": work.args(True),
    "unicode": work.args("\\u00e9\\U0001f600\\u2028"),
    "keywords": work.args(b=1, a=2),
    "set": work.args({"d", "a", "c", "b", "e", "f"}),
    "set of tuples": work.args({("d", 1), ("a", 2), ("c", 3), ("b", 4)}),
    "mixed set": work.args(frozenset({1, "1", None, 2.5, (1, 2)})),
    "dict": work.args({"z": 1, "a": {"y": [], "b": ()}}),
    "int keys": work.args({3: 1, 1: 2}),
    "dataclass": work.args(Point(1, 2)),
    "enum": work.args(Colour.RED),
    "uuid": work.args(uuid.UUID(int=7)),
    "datetime": work.args(datetime.datetime(2024, 2, 29, 12, 0, 0, 5, datetime.timezone.utc)),
    "decimal": work.args(decimal.Decimal("1.10")),
    "path": work.args(pathlib.PurePosixPath("/a/b")),
    "floats": work.args(0.1, 1e300, 5e-324, -0.0, 123456789.123),
    "big": work.args(2**63, -(2**63)),
    "bytes": work.args(b"\\x00\\xff"),
}
if __name__ == "__main__":
    import identified
    print(json.dumps({name: arguments.args_id for name, arguments in identified.CALLS.items()}))
"""
GOLDEN = {
    "int": "cc50562bad88c9f815d6b5f8a7bfa9bb8926eb6c313c0ea3e06c857a15d1b257",
    "text": "1005b1a455b6559c83de4780126b22a40d890ae88b763778b8a8846178a6ca53",
    "float": "f73998a21f13788a7d344776fbd2ac61eae5fdeb06dd9d9259ba9d9d952a6a88",
    "bool": "1e9788aa971791ea2f4bee92d719d9ad4097dd542bb5c6af947bda494ae3522d",
    "keywords": "cb37c1a79623da452196c1337e6eeaad81c4e1ba1de621271cc501b43889d31a",
    "set": "a591c3098fbba80e2cc9da8892fbc3c683a905e79311f506583d7cb2e8d61942",
    "dataclass": "069916b9e2219760be35dbfbf912ab50a6a6807f2a6fc1d1e2e931c93cf0928f",
    "datetime": "676a5718de27f9497cd3dc68d998baba4841ec521207918d0d59d9dea4b6b9d6",
}


def interpreters() -> dict[str, str]:
    """Every Python at hand that could run the package: of the path, and of virtual environments next to this one."""
    found: dict[str, str] = {}
    neighbours = sorted(str(path) for path in Path(sys.prefix).parent.glob("*/bin/python"))
    for candidate in (sys.executable, *neighbours, *(shutil.which(f"python3.{minor}") for minor in range(11, 15))):
        if candidate is None:
            continue
        check = "import sys, anyio, msgspec; print(*sys.version_info[:2], sep='.')"
        outcome = subprocess.run([candidate, "-c", check], capture_output=True, text=True, check=False)  # noqa: S603
        if outcome.returncode == 0:
            found.setdefault(outcome.stdout.strip(), candidate)
    return found


@pytest.fixture(scope="module")
def ids_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Compute the ids of the same calls in a process of its own."""
    path = tmp_path_factory.mktemp("identity")
    (path / "identified.py").write_text(CALLS)
    package = str(Path(__file__).parent.parent)

    def ids_in(interpreter: str, hash_seed: str) -> dict[str, str]:
        places = os.pathsep.join((str(path), package))
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": places, "PYTHONDONTWRITEBYTECODE": "1"}
        command = [interpreter, str(path / "identified.py")]
        outcome = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
        assert outcome.returncode == 0, outcome.stderr
        ids: dict[str, str] = json.loads(outcome.stdout)
        return ids

    return ids_in


@pytest.mark.slow
def test_ids_are_the_same_whatever_the_hash_seed(ids_elsewhere):
    first, *others = (ids_elsewhere(sys.executable, seed) for seed in ("0", "1", "42", "4294967295"))
    for other in others:
        assert other == first


@pytest.mark.slow
@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_ids_are_the_same_in_every_python(ids_elsewhere, version):
    interpreter = interpreters().get(version)
    if interpreter is None:
        pytest.skip(f"no Python {version} with the dependencies here")
    assert ids_elsewhere(interpreter, "random") == ids_elsewhere(sys.executable, "0")


@pytest.mark.slow
def test_ids_never_change_between_releases(ids_elsewhere):
    ids = ids_elsewhere(sys.executable, "0")
    assert {name: ids[name] for name in GOLDEN} == GOLDEN


@pytest.mark.slow
def test_different_calls_have_different_ids(ids_elsewhere):
    ids = ids_elsewhere(sys.executable, "0")
    assert len(set(ids.values())) == len(ids)


@app.task
async def work(a, b=2, *args, c=3, **kwargs):
    pass


@app.task
async def alone():
    pass


@app.task
async def one_of_any(value):
    pass


def ids(*arguments: Any) -> set[str]:
    return {argument.args_id for argument in arguments}


def test_every_spelling_of_a_call_has_the_same_id():
    assert len(ids(work.args(1), work.args(1, 2), work.args(a=1), work.args(c=3, b=2, a=1), work.args(1, c=3))) == 1
    assert len(ids(work.args(1, x=1, y=2), work.args(1, y=2, x=1))) == 1


def test_every_difference_shows_in_the_id():
    different = (1, "1", 1.0, True, None, [1], "", [], {}, "null", {"1": 1}, [[1]], b"1", 0, False, "True", 1.5)
    assert len(ids(*map(one_of_any.args, different))) == len(different)
    spread = (work.args(1, 2), work.args(1, 2, 3), work.args(1, c=2), work.args(1, x=3), work.args(1, 3), work.args(2))
    assert len(ids(*spread)) == len(spread)


def test_values_cannot_forge_the_names_of_other_arguments():
    @Pynenc().task
    async def two(a, b):
        pass

    assert len(ids(two.args('1,"b":2', 3), two.args(1, '2,"b":3'), two.args("1", "2"), two.args(1, 2))) == 4


async def test_the_form_of_the_id():
    async with Pynenc() as own:
        task = own.task(work.func)
        nothing = own.task(alone.func)
        invocation = task(1)
        arguments = '{"a":1,"args":[],"b":2,"c":3,"kwargs":{}}'
        digest = hashlib.sha256(arguments.encode()).hexdigest()
        assert invocation.call_id == f"#task_id#{__name__}.work#args_id#{digest}"
        assert invocation.call.call_id == invocation.call_id
        assert nothing().call_id == f"#task_id#{__name__}.alone#args_id#no_args"
        assert invocation.serialized_arguments == {"a": "1", "b": "2", "args": "[]", "c": "3", "kwargs": "{}"}


async def test_invocations_of_one_call_differ_and_share_the_call_id():
    one, other = work(1), work(a=1, b=2)
    assert one.call_id == other.call_id
    assert one.call == other.call
    assert hash(one.call) == hash(other.call)
    assert isinstance(one.call, Call)
    assert one != other
    await one
    await other


async def test_the_same_arguments_of_other_tasks_are_other_calls():
    one, other = one_of_any(1), work(1)
    assert one.call_id != other.call_id
    assert one.call != other.call
    await one
    await other


async def test_what_cannot_be_serialized_is_fine_until_the_id_is_asked_for():
    invocation = one_of_any(object())
    assert await invocation is None
    assert "object" in str(invocation.call)
    with pytest.raises(SerializationError, match=r"arguments\.value") as caught:
        _ = invocation.call_id
    assert caught.value.field == "arguments.value"
    with pytest.raises(SerializationError):
        _ = invocation.serialized_arguments


async def test_a_call_reads_nothing_from_its_arguments_until_asked():
    class Touchy:
        def __getattr__(self, name):
            raise AssertionError(f"{name} was read")

        def __eq__(self, other):
            raise AssertionError("compared")

        __hash__ = None  # type: ignore[assignment]

        def __repr__(self):
            raise AssertionError("shown")

    await one_of_any(Touchy())
    assert await one_of_any.parallelize([(Touchy(),)]) == [None]


async def test_the_repr_of_a_call_survives_an_argument_that_has_none():
    class Broken:
        def __repr__(self):
            raise ValueError("no repr")

    invocation = one_of_any(Broken())
    assert invocation.invocation_id in repr(invocation)
    await invocation


class Pair(NamedTuple):
    left: int
    right: int


class Level(enum.IntEnum):
    HIGH = 3


def test_calls_that_compare_equal_hash_alike():
    for one, other in ((1, True), (1, 1.0), (Level.HIGH, 3), (Pair(1, 2), (1, 2)), ({"a": 1}, {"a": True})):
        left, right = one_of_any.args(one), one_of_any.args(other)
        assert left != right or hash(left) == hash(right), (one, other)


def test_calls_with_equal_ids_compare_equal():
    for one, other in (((1,), [1]), (uuid.UUID(int=1), str(uuid.UUID(int=1))), ({"a", "b"}, ["a", "b"])):
        left, right = one_of_any.args(one), one_of_any.args(other)
        assert (left == right) is (left.args_id == right.args_id), (one, other)


class Login(pydantic.BaseModel):
    password: pydantic.SecretStr


def login(password):
    return Login(password=pydantic.SecretStr(password))


def test_a_model_that_keeps_what_it_does_not_write_has_no_id():
    with pytest.raises(SerializationError) as caught:
        _ = one_of_any.args(login("a")).args_id
    assert caught.value.field == "arguments.value.password"


async def test_calls_that_differ_in_a_secret_are_no_duplicates():
    task = one_of_any.with_options(registration_concurrency="arguments", delay=60)
    one, other = task(login("a")), task(login("b"))
    assert one.invocation_id != other.invocation_id
    await one.cancel()
    await other.cancel()
