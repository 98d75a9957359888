"""Errors are sent to other processes and copied: pickling and copying keep what they say and what they carry."""

import copy
import importlib
import multiprocessing
import pickle
import pkgutil
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import pytest

import pynenc_async
from pynenc_async import errors
from pynenc_async.errors import PynencError, RemoteError, RetryError, SerializationError

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
TEXTS = ("a", "b", "c")
MADE = {
    "CycleDetectedError": ("ring", ["a", "b", "a"]),
    "DeadlockError": (1.5, "report"),
    "DirectCallError": ("m.f",),
    "InvocationNotFoundError": ("run-1",),
    "NotInWorkflowError": ("sleep", None),
    "SequenceBrokenError": (3, 1.0),
    "StalledError": ("a thread", 1.0, 2.0, "report"),
    "StoreContractError": ([],),
}
"""The arguments of those that do not take one to three texts."""
KEYWORDS = {
    "RetryError": {"after": 2.5},
    "StoreError": {"temporary": True},
    "WorkerCrashedError": {"task_id": "m.f", "exit_code": -9, "signal_name": "SIGKILL", "crashes": 2},
    "WorkflowNondeterminismError": {"recorded": "a", "asked": "b"},
}


def own_errors():
    """Every exception class of the package, wherever it is."""
    found = set()
    for module in pkgutil.walk_packages(pynenc_async.__path__, "pynenc_async."):
        if not module.name.endswith("__main__") and ".examples" not in module.name:
            values = vars(importlib.import_module(module.name)).values()
            found.update(one for one in values if isinstance(one, type) and issubclass(one, BaseException))
    own = {kind for kind in found if kind.__module__.startswith("pynenc_async.")}
    return sorted(own, key=lambda kind: kind.__name__)


def arguments_of(kind):
    name, keywords = kind.__name__, KEYWORDS.get(kind.__name__, {})
    if name in MADE:
        return MADE[name], keywords
    for count in range(1, len(TEXTS) + 1):
        try:
            kind(*TEXTS[:count], **keywords)
        except TypeError:
            continue
        return TEXTS[:count], keywords
    raise AssertionError(f"say in MADE how to make a {name}")


def made(kind):
    args, keywords = arguments_of(kind)
    error = kind(*args, **keywords)
    error.add_note("a note")
    error.of_a_user = [1, 2]
    error.__cause__ = KeyError("why")
    return error


def pickled(error, protocol=pickle.DEFAULT_PROTOCOL):
    return pickle.loads(pickle.dumps(error, protocol))  # noqa: S301  our own


WAYS = [
    *(pytest.param(partial(pickled, protocol=protocol), id=f"pickle {protocol}") for protocol in PROTOCOLS),
    pytest.param(copy.copy, id="copy"),
    pytest.param(copy.deepcopy, id="deepcopy"),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", own_errors(), ids=lambda kind: kind.__name__)
def test_every_error_is_the_same_after_pickling_and_copying(kind, way):
    error = made(kind)
    other = way(error)
    assert other is not error
    assert type(other) is kind
    assert (str(other), repr(other), other.args) == (str(error), repr(error), error.args)
    assert vars(other) == vars(error)
    assert other.__notes__ == ["a note"]
    assert repr(other.__cause__) == "KeyError('why')"
    assert other.__suppress_context__


@pytest.mark.slow
def test_every_error_comes_out_of_another_process():
    """One that could not be unpickled there would break the whole pool."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        results = []
        for kind in own_errors():
            args, keywords = arguments_of(kind)
            found = f"importlib.import_module({kind.__module__!r}).{kind.__name__}"
            program = f"import importlib\nraise {found}(*{args!r}, **{keywords!r})"
            results.append((kind, kind(*args, **keywords), pool.submit(exec, program)))
        for kind, expected, result in results:
            error = result.exception(timeout=60)
            assert type(error) is kind
            assert (str(error), vars(error)) == (str(expected), vars(expected))


def test_an_error_without_a_cause_shows_its_context_as_before():
    for way in WAYS:
        other = way.values[0](RetryError(after=3))
        assert (other.__cause__, other.__suppress_context__, other.after) == (None, False, 3)


class UnpicklableError(Exception):
    def __reduce__(self):
        raise TypeError("no")


class OneWayError(Exception):
    def __init__(self, one, other):
        super().__init__(f"{one} {other}")


class MuteError(OneWayError):
    def __str__(self):
        raise ValueError


@pytest.mark.parametrize(
    ("cause", "told"),
    [
        (UnpicklableError("a socket"), "a socket"),
        (OneWayError("from", "there"), "from there"),
        (MuteError("from", "there"), "<its __str__ failed>"),
    ],
)
def test_a_cause_that_cannot_be_pickled_does_not_take_its_error_with_it(cause, told):
    error = SerializationError("x", "problem")
    error.__cause__ = cause
    other = pickled(error)
    assert (other.field, other.problem) == ("x", "problem")
    assert isinstance(other.__cause__, RemoteError)
    assert (other.__cause__.type_name, other.__cause__.message) == (f"{__name__}.{type(cause).__name__}", told)
    assert copy.deepcopy(error).__cause__ is cause


def test_a_long_chain_of_causes_is_pickled_and_grows_no_faster_than_the_chain():
    def chain(length):
        error = PynencError("0")
        for number in range(1, length):
            cause, error = error, PynencError(str(number))
            error.__cause__ = cause
        return error

    other, length = pickled(chain(40)), 0
    while other is not None:
        other, length = other.__cause__, length + 1
    assert length == 40
    assert len(pickle.dumps(chain(80))) < 3 * len(pickle.dumps(chain(40)))
    pickle.dumps(chain(5_000))  # deeper than the stack: what is left is told in words


class OwnError(errors.RefusedError, KeyError):
    """As users derive from these errors: constructors of their own, slots, other bases."""

    __slots__ = ("code",)

    def __init__(self, *, code):
        super().__init__(f"refused with {code}")
        self.code = code
        self.more = {"a": 1}


def test_subclasses_of_users_are_pickled_and_copied_too():
    for way in WAYS:
        other = way.values[0](OwnError(code=7))
        assert (type(other), other.code, other.more, other.args) == (OwnError, 7, {"a": 1}, ("refused with 7",))
