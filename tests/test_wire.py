"""What is encoded comes back equal and of equal types, or is refused with the path of what would not."""

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import functools
import pathlib
import typing
import uuid
import zoneinfo
from collections.abc import Iterable
from typing import Annotated, Any, Literal, NamedTuple, NewType, TypedDict

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynenc_async.codec import Wire, decode_with
from pynenc_async.errors import SerializationError


class Colour(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Flag(enum.IntFlag):
    READ = 1
    WRITE = 2


class Mixed(enum.Enum):
    LOW = 1
    HIGH = "high"
    PAIR = (1, 2)


class Name(str):
    __slots__ = ()


class Moment(dt.datetime):
    """As freezegun makes them."""


class Number(float):
    """As numpy.float64 is one."""


class Pair(NamedTuple):
    x: int = 0


class Triple(Pair):
    pass


class Row(TypedDict):
    a: int


@dataclasses.dataclass(frozen=True)
class Animal:
    name: str
    weight: float = 0.0


@dataclasses.dataclass(frozen=True)
class Dog(Animal):
    breed: str = ""


@dataclasses.dataclass
class Cart:
    items: Any = None
    total: int = dataclasses.field(init=False, default=0)

    @functools.cached_property
    def size(self):
        return len(self.items)


class Point(msgspec.Struct):
    x: int


class Mail(msgspec.Struct):
    to: str = ""


class Letter(msgspec.Struct):
    to: str


class Note(msgspec.Struct):
    text: str = ""


class Tagged(msgspec.Struct, tag=True, rename="camel", omit_defaults=True):
    line_count: int = 0


class Shape(pydantic.BaseModel):
    name: str


class Circle(Shape):
    radius: float = 1.0


class Drawing(pydantic.BaseModel):
    shape: Shape
    tags: set[str] = set()


class Login(pydantic.BaseModel):
    user: str
    password: pydantic.SecretStr


class Partly(pydantic.BaseModel):
    a: int
    b: int = pydantic.Field(default=0, exclude=True)


class WithPrivate(pydantic.BaseModel):
    a: int
    _cursor: int = pydantic.PrivateAttr(default=0)


class Renamed(pydantic.BaseModel):
    a: int = pydantic.Field(validation_alias="read", serialization_alias="written")


class When(pydantic.BaseModel):
    at: dt.datetime


class Open(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")


SECRET = "hunter2"  # noqa: S105
NAIVE = dt.datetime.fromisoformat("2024-01-01")
BERLIN = dt.datetime(2024, 7, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin"))


def changed(value, **attributes):
    for name, content in attributes.items():
        setattr(value, name, content)
    return value


def there_and_back(annotation, value):
    wire = Wire(annotation)
    return decode_with(wire.decoder("v"), wire.encode(value, field="v"), "v")


def exactly(value):
    """Return what tells a value from all others that are equal and not the same."""
    kind = type(value)
    if kind is dict:
        return kind, [(exactly(key), exactly(item)) for key, item in value.items()]
    if kind in (list, tuple):
        return kind, [exactly(item) for item in value]
    if kind in (set, frozenset):
        return kind, sorted(repr(exactly(item)) for item in value)
    return kind, repr(value)


Id = NewType("Id", int)
NESTED = {"z": [1, 2.5, None, True, "text", {"y": [], "a": {}}], "a": 2**70}
KEPT = {
    "plain JSON in Any": (Any, NESTED),
    "plain JSON in object": (object, [NESTED]),
    "plain JSON in bare containers": (dict, NESTED),
    "the order of keys": (dict[str, int], {"z": 1, "a": 2, "m": 3}),
    "keys of another type": (dict[int, str], {2: "b", 1: "a"}),
    "an int where a float is annotated": (float, 1),
    "ints among floats": (list[float], [1, 2.5]),
    "a float that is an int": (int | float, 2.0),
    "bytes": (list[bytes], [b"", b"\xff"]),
    "a tuple": (tuple[int, str], (1, "a")),
    "tuples in a dict": (dict[str, tuple[int, ...]], {"a": (1, 2)}),
    "a set of tuples": (set[tuple[int, str]], {(1, "a")}),
    "a frozen set": (frozenset[int], frozenset({1, 2})),
    "a decimal with its zeros": (decimal.Decimal, decimal.Decimal("1.10")),
    "UTC": (dt.datetime, dt.datetime(2024, 1, 1, tzinfo=dt.UTC)),
    "an offset": (dt.datetime, dt.datetime(2024, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=2)))),
    "an iterable": (Iterable[Pair], [Pair(1)]),
    "a duration": (dt.timedelta, dt.timedelta(days=-1, microseconds=1)),
    "a path": (pathlib.Path, pathlib.Path("a/b")),
    "an enum": (Colour, Colour.RED),
    "an enum of mixed values": (list[Mixed], [Mixed.LOW, Mixed.HIGH, Mixed.PAIR]),
    "flags": (Flag, Flag.READ | Flag.WRITE),
    "a literal": (Literal[True, "a"], True),
    "a new type": (Id, 3),
    "an annotated type": (Annotated[list[int], "words"], [1]),
    "a named tuple": (Pair, Pair(1)),
    "a typed dict": (Row, {"a": 1}),
    "a dataclass": (Animal, Animal("rex", 1.5)),
    "a dataclass with another field than its constructor takes": (Cart, changed(Cart([1]), total=7)),
    "a struct": (Tagged, Tagged(3)),
    "a model": (Drawing, Drawing(shape=Shape(name="s"), tags={"a"})),
    "a model with fields of its own": (Open, Open(a=[1])),
    "a subclass that is annotated": (Name, Name("x")),
    "a moment of a library that is annotated": (Moment, Moment(2024, 1, 1)),
    "one of two structs": (Mail | Note, Note("x")),
    "the other of two structs": (list[Mail | Note], [Mail("x"), Note("y")]),
    "one of two models": (Shape | Circle | None, Circle(name="c")),
    "a moment or a text": (str | dt.datetime, NAIVE),
    "a text or a moment": (dt.datetime | str, "tomorrow"),
    "a text or a path": (str | pathlib.Path, "a/b"),
    "a model or a number": (Shape | int, 3),
    "None for what may be None": (Circle | None, None),
}


@pytest.mark.parametrize(("annotation", "value"), KEPT.values(), ids=KEPT)
def test_what_can_come_back_comes_back_as_it_was(annotation, value):
    assert exactly(there_and_back(annotation, value)) == exactly(value)


ARRIVES_AS_BASE = {
    "an int in a field of type float": (Animal, Animal("rex", 2)),
    "a library's own float": (float, Number(1.5)),
    "a library's own datetime": (dt.datetime, Moment(2024, 1, 1)),
    "an offset in a model": (When, When(at=NAIVE.replace(tzinfo=dt.timezone(dt.timedelta(hours=2))))),
    "the zone UTC of another library": (dt.datetime, dt.datetime(2024, 1, 1, tzinfo=zoneinfo.ZoneInfo("UTC"))),
}


@pytest.mark.parametrize(("annotation", "value"), ARRIVES_AS_BASE.values(), ids=ARRIVES_AS_BASE)
def test_numbers_and_moments_of_libraries_arrive_as_the_equal_value_that_is_annotated(annotation, value):
    back = there_and_back(annotation, value)
    assert back == value
    assert type(back) is annotation


def test_what_a_cached_property_has_computed_is_no_value():
    cart = Cart([1, 2])
    assert cart.size == 2
    assert there_and_back(Cart, cart) == cart


REFUSED = {
    "a secret": (Login, Login(user="ann", password=SECRET), "v.password", "not write all of it"),
    "a secret in a list": (list[Login], [Login(user="ann", password=SECRET)], "v[0].password", "not write"),
    "a field that is left out": (Partly, Partly(a=1, b=2), "v.b", "not write"),
    "a private attribute": (WithPrivate, changed(WithPrivate(a=1), _cursor=9), "v._cursor", "not write"),
    "a field that is written under another name": (Renamed, Renamed(read=1), "v", "read"),
    "a tuple in a model": (Open, Open(a=(1, 2)), "v.a", "tuple"),
    "a subclass of a model": (Shape, Circle(name="c"), "v", "Circle and would arrive as Shape"),
    "a subclass in a model": (Drawing, Drawing(shape=Circle(name="c")), "v.shape", "annotate it as Circle"),
    "a subclass of a dataclass": (list[Animal], [Dog("rex")], "v[0]", "Dog"),
    "a subclass of a named tuple": (Pair, Triple(1), "v", "Triple"),
    "an attribute that is no field": (Cart, changed(Cart([1]), extra=1), "v.extra", "lost"),
    "a further key of a typed dict": (Row, {"a": 1, "b": 2}, "v.b", "lost"),
    "a key that is no name": (Row, {"a": 1, "b c": 2}, "v['b c']", "lost"),
    "a tuple in Any": (Any, {"a": [(1,)]}, "v.a[0]", "tuple and would arrive as list"),
    "a tuple for a list": (list[int], (1, 2), "v", "tuple"),
    "a set in Any": (Any, [{1}], "v[0]", "set"),
    "keys of type int in Any": (Any, {"a": {1: 2}}, "v.a", "keys of type int"),
    "an ordered dict": (Any, collections.OrderedDict(a=1), "v", "OrderedDict"),
    "a counter": (dict[str, int], collections.Counter("a"), "v", "Counter"),
    "a default dict": (dict[str, int], collections.defaultdict(int, a=1), "v", "defaultdict"),
    "a named tuple in Any": (Any, [Pair(1)], "v[0]", "Pair"),
    "a dataclass in Any": (Any, [Animal("rex")], "v[0]", "Animal"),
    "a UUID in Any": (Any, uuid.UUID(int=1), "v", "UUID"),
    "a decimal in Any": (dict[str, Any], {"price": decimal.Decimal(1)}, "v.price", "Decimal"),
    "bytes in Any": (Any, b"x", "v", "bytes"),
    "a moment in Any": (Any, NAIVE, "v", "datetime"),
    "a subclass of str": (str, Name("x"), "v", "Name"),
    "an enum for its text": (str, Colour.RED, "v", "Colour"),
    "an enum in Any": (Any, [Colour.RED], "v[0]", "Colour"),
    "an enum for its number": (int, Level.LOW, "v", "Level"),
    "an enum as a key": (dict[str, int], {Colour.RED: 1}, "v", "keys of type Colour"),
    "a bool for an int": (int, True, "v", "Expected `int`"),
    "an int for a bool": (list[bool], [True, 1], "v[1]", "Expected `bool`"),
    "a text for a date": (dt.date, "2024-01-01", "v", "str and would arrive as date"),
    "a text for bytes": (bytes, "YWJj", "v", "str"),
    "a text for an enum": (Colour, "red", "v", "str"),
    "a bytearray for bytes": (bytes, bytearray(b"x"), "v", "bytearray"),
    "a zone with rules": (dt.datetime, BERLIN, "v", "astimezone"),
    "a zone with a name": (
        dt.datetime,
        dt.datetime(2024, 1, 1, tzinfo=dt.timezone(dt.timedelta(0), "GMT")),
        "v",
        "UTC",
    ),
    "an offset with seconds": (
        dt.datetime,
        dt.datetime(2024, 1, 1, tzinfo=dt.timezone(dt.timedelta(seconds=5))),
        "v",
        "changed",
    ),
    "the second of two equal hours": (dt.datetime, NAIVE.replace(fold=1), "v", "changed"),
    "a text that is a moment, too": (str | dt.datetime, "2024-01-01T00:00:00", "v", "str and would arrive as datetime"),
    "a path beside a text": (str | pathlib.Path, pathlib.Path("a"), "v", "annotate it as"),
    "a struct that is spelled like another one": (Mail | Letter, Letter("x"), "v", "Letter and would arrive as Mail"),
    "a number out of range": (Annotated[int, msgspec.Meta(ge=1)], 0, "v", ">= 1"),
    "not a number": (list[float], [1.0, float("nan")], "v[1]", "no such number"),
    "not a number, for what may be None": (float | None, float("inf"), "v", "no such number"),
    "keys that are spelled alike": (dict[int | str, int], {1: 1, "1": 2}, "v", "two keys"),
    "what nothing can be decoded to": (typing.Callable[[], int], None, "v", "it could not be read back"),
}


@pytest.mark.parametrize(("annotation", "value", "field", "words"), REFUSED.values(), ids=REFUSED)
def test_what_would_not_come_back_is_refused_with_its_path(annotation, value, field, words):
    with pytest.raises(SerializationError) as caught:
        there_and_back(annotation, value)
    assert caught.value.field == field
    assert words in caught.value.problem
    assert SECRET not in str(caught.value)


def test_a_private_field_of_an_attrs_class_is_refused():
    attrs = pytest.importorskip("attrs")
    session = attrs.make_class("Session", {"user": attrs.field(default=""), "_token": attrs.field(default="")})
    assert there_and_back(session, session("ann")) == session("ann")
    with pytest.raises(SerializationError, match=r"^v\._token: "):
        there_and_back(session, session("ann", "secret"))


class Unreadable:
    """A field that raises when it is read."""

    def __get__(self, owner, kind=None):
        if owner is None:
            return 5
        raise ValueError("bad")

    def __set__(self, owner, value): ...


@dataclasses.dataclass
class WithUnreadable:
    a: int
    x: int = Unreadable()


@pytest.mark.parametrize("annotation", [WithUnreadable, list[WithUnreadable], object])
def test_a_field_that_cannot_be_read_is_refused_and_not_left_out(annotation):
    value = WithUnreadable(1) if annotation is WithUnreadable else [WithUnreadable(1)]
    with pytest.raises(SerializationError, match="cannot be read: ValueError"):
        Wire(annotation).encode(value, field="v")


def test_what_raises_while_it_is_compared_is_refused():
    class Touchy:
        __slots__ = ()

        def __eq__(self, other):
            raise RuntimeError("no")

        __hash__ = None

    class Holder(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
        inner: Annotated[Touchy, pydantic.PlainSerializer(lambda _: 1), pydantic.PlainValidator(lambda _: Touchy())]

    with pytest.raises(SerializationError, match="cannot be compared"):
        there_and_back(Holder, Holder(inner=1))


def test_deep_values_need_no_deep_calls():
    value: Any = ()
    for _ in range(700):
        value = [value]
    with pytest.raises(SerializationError, match="tuple"):
        there_and_back(Any, value)


SCALARS = [
    None, True, False, 0, 1, -1, 2**70, 0.0, -0.0, 1.0, 1.5, "", "a", "1", "red", "YWJj", "2024-01-01", b"", b"a", Name("a"),
    Colour.RED, Level.LOW, Flag.READ, Mixed.PAIR, uuid.UUID(int=1), decimal.Decimal("1.0"), dt.date(2024, 1, 1), NAIVE, BERLIN,
    dt.timedelta(1), pathlib.Path("a"), Pair(1), Triple(1), Animal("rex"), Dog("rex"), Point(1), Mail("a"), Note("a"),
    Shape(name="a"), Circle(name="a"), Login(user="a", password=SECRET), Partly(a=1), Partly(a=1, b=2), float("nan"),
    collections.OrderedDict(a=1),
]  # fmt: skip
KEYS = st.sampled_from(["a", "z", "1", 1, 2, True, Colour.RED, uuid.UUID(int=1), Name("a")])
VALUES = st.recursive(
    st.sampled_from(SCALARS),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=3)
        | st.builds(Cart, inner)
        | st.builds(Open, a=inner)
    ),
    max_leaves=6,
)
KINDS = [
    Any, object, None, bool, int, float, str, bytes, list, dict, tuple, set, Name, Colour, Level, Flag, Mixed, uuid.UUID,
    decimal.Decimal, dt.date, dt.datetime, dt.timedelta, pathlib.Path, Pair, Row, Animal, Cart, Point, Mail, Shape, Drawing,
    Login, Partly, WithPrivate, Open, Literal["a", 1, True], Id, typing.TypeVar("T"),
]  # fmt: skip


def grown(kinds):
    return (
        st.builds(lambda kind: list[kind], kinds)
        | st.builds(lambda kind: tuple[kind, ...], kinds)
        | st.builds(lambda key, kind: dict[key, kind], st.sampled_from([str, int, Colour, Any]), kinds)
        | st.builds(lambda one, other: typing.Union[one, other], kinds, kinds)  # noqa: UP007
        | st.builds(lambda kind: Annotated[kind, "words"], kinds)
    )


@given(st.recursive(st.sampled_from(KINDS), grown, max_leaves=3), VALUES)
def test_any_value_under_any_annotation_comes_back_exactly_or_is_refused(annotation, value):
    back, error = None, None
    try:
        back = there_and_back(annotation, value)
    except SerializationError as refusal:
        error = refusal
    assert exactly(back) == exactly(value) if error is None else error.field.startswith("v")
