import collections
import dataclasses
import datetime as dt
import decimal
import enum
import inspect
import os
import pathlib
import subprocess
import sys
import typing
import uuid
from typing import Annotated, Any, NamedTuple

import msgspec
import pydantic
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pynenc_async.codec import decode, encode
from pynenc_async.errors import SerializationError

UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the machine may be busy


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Point(NamedTuple):
    x: int
    y: float | None = None


@dataclasses.dataclass(frozen=True)
class Item:
    name: str
    tags: frozenset[str] = frozenset()
    weight: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    inner: Any


class Order(msgspec.Struct, frozen=True, rename="camel", tag="order", omit_defaults=True):
    order_id: int
    line_items: tuple[Item, ...] = ()
    paid_share: float = 0.0


class Row(msgspec.Struct, frozen=True, array_like=True, order=True):
    key: int
    cells: frozenset[int] = frozenset()


class Person(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True)

    name: str = pydantic.Field(alias="fullName")
    born: dt.date
    nick: set[str] = set()
    score: float = 0.0

    @pydantic.computed_field
    def initial(self) -> str:
        return self.name[:1]


class Broken(pydantic.BaseModel):
    x: int

    @pydantic.field_serializer("x")
    def dump(self, value: int) -> int:
        raise ValueError("no dump")


class Opaque:
    pass


class Money(float):
    pass


class Name(str):
    __slots__ = ()


def failure(function, *args, **kwargs):
    """Return the SerializationError that the call raises, or None. Any other error is a failure of the test."""
    try:
        function(*args, **kwargs)
    except SerializationError as error:
        return error
    return None


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: dt.timezone(dt.timedelta(minutes=minutes)))
ITEMS = st.builds(Item, TEXT, st.frozensets(TEXT, max_size=3), st.none() | FLOATS)
LEAVES = st.sampled_from(
    [
        (None, st.none()),
        (bool, st.booleans()),
        (int, st.integers()),
        (int, st.integers(-(10**40), 10**40)),
        (float, FLOATS),
        (str, TEXT),
        (bytes, st.binary(max_size=8)),
        (dt.datetime, st.datetimes(timezones=st.none() | OFFSETS)),
        (dt.date, st.dates()),
        (dt.time, st.times()),
        (dt.timedelta, st.timedeltas()),
        (uuid.UUID, st.uuids()),
        (decimal.Decimal, st.decimals(allow_nan=False, allow_infinity=False)),
        (Colour, st.sampled_from(Colour)),
        (Level, st.sampled_from(Level)),
        (Point, st.builds(Point, st.integers(), st.none() | FLOATS)),
        (pathlib.PurePosixPath, TEXT.map(lambda text: pathlib.PurePosixPath(text.replace("\0", "")))),
        (Name, TEXT.map(Name)),
        (Money, FLOATS.map(Money)),
        (Item, ITEMS),
        (Order, st.builds(Order, st.integers(), st.lists(ITEMS, max_size=2).map(tuple), FLOATS)),
        (Row, st.builds(Row, st.integers(), st.frozensets(st.integers(), max_size=3))),
    ]
)
KEYS = st.sampled_from([(str, TEXT), (int, st.integers()), (uuid.UUID, st.uuids()), (Colour, st.sampled_from(Colour))])


def containers(inner):
    """Strategies of (annotation, strategy of its values) from such strategies."""

    def grow(pair):
        kind, values = pair
        return st.sampled_from(
            [
                (list[kind], st.lists(values, max_size=3)),
                (tuple[kind, ...], st.lists(values, max_size=3).map(tuple)),
                (tuple[kind, int], st.tuples(values, st.integers())),
                (typing.Optional[kind], st.none() | values),  # noqa: UP045  written so, it takes None, too
            ]
        )

    def grow_dict(keys, pair):
        return (dict[keys[0], pair[0]], st.dictionaries(keys[1], pair[1], max_size=3))

    return inner.flatmap(grow) | st.builds(grow_dict, KEYS, inner)


TYPED = st.recursive(LEAVES, containers, max_leaves=4)
HASHABLE = LEAVES.filter(lambda pair: pair[0] is not Money)


@UNTIMED
@given(st.data())
def test_a_value_of_any_supported_type_comes_back_equal_and_of_its_type(data):
    annotation, values = data.draw(TYPED)
    value = data.draw(values)
    back = decode(encode(value, field="v"), annotation, field="v")
    assert back == value
    assert type(back) is type(value)


@UNTIMED
@given(st.data())
def test_sets_of_any_hashable_type_come_back(data):
    annotation, values = data.draw(HASHABLE)
    value = data.draw(st.frozensets(values, max_size=4))
    assert decode(encode(value, field="v"), frozenset[annotation], field="v") == value
    nested = {value, frozenset(list(value)[:1])}
    assert decode(encode(nested, field="v"), set[frozenset[annotation]], field="v") == nested


@UNTIMED
@given(st.data())
def test_the_order_of_insertion_changes_nothing(data):
    values = data.draw(HASHABLE)[1]
    items = data.draw(st.lists(values, max_size=5, unique=True))
    backwards = items[::-1]
    assert encode(set(items), field="v") == encode(set(backwards), field="v")
    members = {str(index): item for index, item in enumerate(items)}
    assert encode(members, field="v") == encode(dict(reversed(members.items())), field="v")


ANY_FLOATS_AND_TEXT = st.none() | st.integers() | st.floats() | st.text(st.characters())


@UNTIMED
@given(st.recursive(ANY_FLOATS_AND_TEXT, lambda inner: st.lists(inner) | st.frozensets(st.frozensets(st.floats()))))
def test_a_value_comes_back_or_its_field_is_named(value):
    error = failure(encode, value, field="root")
    if error is None:
        assert (decode(encode(value, field="root"), Any, field="root") is None) == (value is None)
    else:
        assert error.field.startswith("root")


@pytest.mark.parametrize(
    ("one", "other"),
    [(1, "1"), (1, 1.0), (1, True), (0, False), ("", None), ([], {}), ("null", None), ([1], 1), ({"a": 1}, {"a": "1"})],
    ids=repr,
)
def test_different_values_are_spelled_differently(one, other):
    assert encode(one, field="v") != encode(other, field="v")


@pytest.mark.parametrize("annotation", [Any, inspect.Parameter.empty, object], ids=["any", "missing", "object"])
def test_without_an_annotation_values_are_plain_json(annotation):
    assert decode(encode({"a": (1, uuid.UUID(int=1))}, field="v"), annotation, field="v") == {
        "a": [1, str(uuid.UUID(int=1))]
    }


def test_a_pydantic_model_comes_back():
    person = Person(fullName="Ada", born=dt.date(1815, 12, 10), nick={"a", "b", "c"}, score=1.5)
    assert decode(encode([person], field="v"), list[Person], field="v") == [person]
    assert decode(encode(None, field="v"), Person | None, field="v") is None


def test_an_annotation_without_a_hash_works():
    assert decode(b"[1]", Annotated[list[int], []], field="v") == [1]


def test_constraints_of_an_annotation_hold():
    with pytest.raises(SerializationError, match=r"^v: Expected `int` >= 1$"):
        decode(b"0", Annotated[int, msgspec.Meta(ge=1)], field="v")


DETERMINISM = """
import sys
sys.path[:0] = [{tests!r}]
from test_codec import *
person = Person(fullName="Ada", born=dt.date(1815, 12, 10), nick=set("abcdefgh"))
words = frozenset("the quick brown fox jumps over the lazy dog".split())
value = dict(
    words=words, nested={{words, frozenset("ab"), frozenset()}}, mixed={{1, "a", None, 2.5, b"b", uuid.UUID(int=7)}},
    rows={{Row(1, frozenset({{1, 9}})), Row(0)}}, items=[Item("i", words), Item("j", words, 1.5)], person=person,
    keys={{2: "b", 10: "a", "x": 1}}, colours={{*Colour}}, none=None, points={{Point(1), Point(0, 2.0)}},
    paths={{pathlib.PurePosixPath(word) for word in words}}, optional=[{{"a", None}}],
)
sys.stdout.buffer.write(encode(value, field="v"))
"""


@pytest.mark.slow
def test_every_process_spells_a_value_alike():
    script = DETERMINISM.format(tests=str(pathlib.Path(__file__).parent))
    spelled = {
        subprocess.run(  # noqa: S603  our own script
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            check=True,
            stdout=subprocess.PIPE,
        ).stdout
        for seed in range(4)
    }
    assert len(spelled) == 1
    assert len(spelled.pop()) > 500


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


endless = []
endless.append({"again": endless})

NAN = float("nan")
CANNOT_ENCODE = {
    "object": (Opaque(), "v", "object of type Opaque"),
    "in a list": ({"items": [0, {"handle": Opaque()}]}, "v.items[1].handle", "type Opaque"),
    "odd name": ({"a b": Opaque()}, "v['a b']", "type Opaque"),
    "in a dataclass": (Item("x", weight=Opaque()), "v.weight", "type Opaque"),
    "in a slotted dataclass": (Slotted([Opaque()]), "v.inner[0]", "type Opaque"),
    "in a struct": (Order(1, (Item("x"), Item(Opaque()))), "v.line_items[1].name", "type Opaque"),
    "in a named tuple": (Point(1, Opaque()), "v[1]", "type Opaque"),
    "in a set": ({Opaque()}, "v[...]", "type Opaque"),
    "nan": (NAN, "v", "nan"),
    "infinity": ([1.0, -float("inf")], "v[1]", "-inf"),
    "nan beside none": ({"a": None, "b": [NAN]}, "v.b[0]", "nan"),
    "nan in a struct": (Order(1, (), NAN), "v.paid_share", "nan"),
    "nan in a dataclass": ([Slotted(NAN)], "v[0].inner", "nan"),
    "nan in a set": ({NAN}, "v[...]", "nan"),
    "nan in a model": ([Person(fullName="x", born=dt.date(2000, 1, 1), score=NAN)], "v[0].score", "nan"),
    "nan of another type": ([Money("nan")], "v[0]", "nan"),
    "nan as a key": ({NAN: 1}, "v", "nan"),
    "tuple as a key": ({"a": {(1, 2): 3}}, "v.a", "dict key of type tuple"),
    "none as a key": ({None: 1}, "v", "dict key of type NoneType"),
    "keys that are spelled alike": ({"a": {1: 1, "1": 2}}, "v.a", '"1"'),
    "lone surrogate": ({"a": "\ud800"}, "v.a", "surrogates"),
    "lone surrogate in a key": ({"\ud800": 1}, "v", "surrogates"),
    "too many digits": ([10**5000], "v[0]", "4300 digits"),
    "contains itself": (endless, "v", "contains itself"),
    "too deep": (nested(100_000), "v", "nested too deeply"),
    "complex": (1j, "v", "complex"),
    "exception": (ValueError("x"), "v", "ValueError"),
    "class": (Item, "v", "type"),
    "generator": ((x for x in ()), "v", "generator"),
    "deque": (collections.deque([1]), "v", "deque"),
    "model that cannot be dumped": ({"p": None, "q": Broken(x=1)}, "v.q", "no dump"),
}


@pytest.mark.parametrize(("value", "field", "words"), CANNOT_ENCODE.values(), ids=CANNOT_ENCODE)
def test_what_cannot_be_encoded_is_named_by_its_path(value, field, words):
    with pytest.raises(SerializationError) as caught:
        encode(value, field="v")
    assert caught.value.field == field
    assert words in str(caught.value)


def test_the_message_names_field_type_and_fix():
    with pytest.raises(SerializationError) as caught:
        encode({"items": [Opaque()]}, field="result")
    assert str(caught.value) == (
        "result.items[0]: cannot encode object of type Opaque; "
        "return or pass plain data, a dataclass or a msgspec.Struct instead"
    )


def test_user_code_that_fails_while_it_is_read_is_reported():
    class Failing(dict):
        def items(self):
            raise SystemError("no items")

        def values(self):
            raise SystemError("no values")

    value = [Failing(a=NAN), None]
    with pytest.raises(SerializationError, match="no items"):
        encode(value, field="v")


class Unset(msgspec.Struct):
    a: int | msgspec.UnsetType = msgspec.UNSET
    b: set[frozenset[str]] | None = None


def test_an_unset_field_stays_unset_on_the_careful_path():
    value = Unset(b={frozenset("ab"), frozenset("bc")})
    data = encode(value, field="v")
    assert data == b'{"b":[["a","b"],["b","c"]]}'
    assert decode(data, Unset, field="v") == value


@dataclasses.dataclass
class Refuses:
    x: int

    def __post_init__(self):
        if self.x == 1:
            raise KeyError("not one")
        if self.x == 2:
            raise ValueError("not two")


@dataclasses.dataclass
class Forward:
    x: "NotDefinedAnywhere"  # noqa: F821


CANNOT_DECODE = {
    "empty": (b"", int, "v"),
    "blank": (b"  ", Any, "v"),
    "truncated": (b'{"a": [1, 2', Any, "v"),
    "trailing": (b"1 2", Any, "v"),
    "not json": (b"hello", Any, "v"),
    "nan": (b"NaN", float, "v"),
    "infinity": (b"-Infinity", Any, "v"),
    "single quotes": (b"{'a': 1}", Any, "v"),
    "comment": (b"1 // one", Any, "v"),
    "utf-16": ("[1]".encode("utf-16"), Any, "v"),
    "byte order mark": (b"\xef\xbb\xbf1", int, "v"),
    "invalid utf-8": (b'"\xff"', str, "v"),
    "overlong utf-8": (b'"\xc0\xaf"', Any, "v"),
    "surrogate in utf-8": (b'"\xed\xa0\x80"', str, "v"),
    "surrogate escape": (b'"\\ud800"', Any, "v"),
    "surrogate in text": ('"\ud800"', Any, "v"),
    "control character": (b'"\x00"', str, "v"),
    "pickle": (b"cos\nsystem\n(S'true'\ntR.", Any, "v"),
    "huge exponent": (b"1e999", Any, "v"),
    "huge exponent as float": (b"-1e999", float, "v"),
    "a million digits": (b"9" * 1_000_000, Any, "v"),
    "a million digits as int": (b"9" * 1_000_000, int, "v"),
    "deep lists": (b"[" * 100_000, Any, "v"),
    "deep lists, closed": (b"[" * 100_000 + b"]" * 100_000, list[Any], "v"),
    "deep objects": (b'{"a":' * 100_000, Any, "v"),
    "deep and skipped": (b'{"other":' + b"[" * 100_000 + b"}", Item, "v"),
    "another type": (b'"1"', int, "v"),
    "bool for int": (b"true", int, "v"),
    "float for int": (b"1.0", int, "v"),
    "null": (b"null", int, "v"),
    "in a list": (b'[{"name": "a"}, {"name": 1}]', list[Item], "v[1].name"),
    "in a dict": (b'{"a": {"name": null}}', dict[str, Item], "v[...].name"),
    "key of another type": (b'{"a": 1}', dict[int, int], "v"),
    "missing field": (b"[{}]", list[Item], "v[0].name"),
    "date without a month": (b'"2020-13-01"', dt.date, "v"),
    "not a uuid": (b'"xyz"', uuid.UUID, "v"),
    "not base64": (b'"?"', bytes, "v"),
    "unknown member": (b'"green"', Colour, "v"),
    "duration beyond the end": (b'"P9999999999999D"', dt.timedelta, "v"),
    "wrong tag": (b'{"type": "other", "orderId": 1}', Order, "v.type"),
    "model": (b'[{"fullName": 1}]', list[Person], "v[0]"),
    "model with an extra field": (b'{"fullName":"a","born":"2000-01-01","x":1}', Person, "v"),
    "path from a number": (b"1", pathlib.Path, "v"),
    "validator says no": (b'[{"x": 2}]', list[Refuses], "v[0]"),
    "validator raises what it likes": (b'{"x": 1}', Refuses, "v"),
    "annotation: class": (b"{}", Opaque, "v"),
    "annotation: complex": (b"[1]", list[complex], "v[0]"),
    "annotation: exception": (b'{"args": []}', ValueError, "v"),
    "annotation: type": (b'"builtins.int"', type, "v"),
    "annotation: callable": (b'"os.system"', collections.abc.Callable[[str], int], "v"),
    "annotation: ambiguous union": (b"{}", Item | Refuses, "v"),
    "annotation: model in a union": (b"{}", Person | int, "v"),
    "annotation: text": (b"1", "int", "v"),
    "annotation: unresolvable": (b"{}", Forward, "v"),
    "annotation: no type": (b"1", 3, "v"),
    "annotation: never": (b"1", typing.NoReturn, "v"),
}


@pytest.mark.parametrize(("data", "annotation", "field"), CANNOT_DECODE.values(), ids=CANNOT_DECODE)
def test_what_cannot_be_decoded_is_named_by_its_path(data, annotation, field):
    with pytest.raises(SerializationError) as caught:
        decode(data, annotation, field="v")
    assert caught.value.field == field
    assert len(str(caught.value)) > len(field) + 5


def test_what_cannot_be_in_a_set_is_named_by_the_set_or_by_its_place_there():
    with pytest.raises(SerializationError) as caught:
        decode(b"[[1]]", set, field="v")
    assert caught.value.field in {"v", "v[0]"}  # msgspec knows the place since 0.23


@pytest.mark.parametrize("annotation", [Opaque, Item | Refuses, "int", complex], ids=repr)
def test_an_unsupported_annotation_is_named_with_a_fix(annotation):
    with pytest.raises(SerializationError, match=r"annotation .*annotate with plain types"):
        decode(b"{}", annotation, field="v")


def test_a_hostile_payload_does_not_make_a_long_message():
    data = msgspec.json.encode({"x" * 1_000_000: 1})
    with pytest.raises(SerializationError) as caught:
        decode(data, Strict, field="v")
    assert len(str(caught.value)) < 5_000


class Strict(msgspec.Struct, forbid_unknown_fields=True):
    pass


TARGETS = st.sampled_from(
    [Any, int, str, float, bytes, list[Item], dict[int, Point], Order, Row, Person, set[frozenset[int]], dt.timedelta]
)


@UNTIMED
@given(st.binary(max_size=40) | st.text(max_size=40), TARGETS)
def test_decoding_garbage_gives_a_value_or_a_serialization_error(data, annotation):
    error = failure(decode, data, annotation, field="v")
    assert error is None or error.field.startswith("v")


@UNTIMED
@given(st.data())
def test_decoding_a_damaged_value_gives_a_value_or_a_serialization_error(data):
    annotation, values = data.draw(TYPED)
    damaged = bytearray(encode(data.draw(values), field="v"))
    place = data.draw(st.integers(0, len(damaged) - 1))
    damaged[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    error = failure(decode, bytes(damaged), annotation, field="v")
    assert error is None or error.field.startswith("v")
