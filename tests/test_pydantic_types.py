"""Schemas that pydantic makes of types compile; what it dumps is accepted, what we write it reads."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import importlib.util
import ipaddress
import json
import pathlib
import random
import re
import uuid
from collections import deque
from collections.abc import Sequence
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NotRequired,
    Optional,
    TypeVar,
    Union,
)

import annotated_types
import pydantic
import pytest
from pydantic import (
    AnyUrl,
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    Json,
    RootModel,
    SecretStr,
    StringConstraints,
    TypeAdapter,
    computed_field,
)
from toy import JSON_TOKENS, accepts, byte_vocabulary
from typing_extensions import TypedDict

from syntagma.decoding.self_test import draw
from syntagma.grammar import GrammarCompiler, UnsupportedGrammarError

COMPILER = GrammarCompiler(byte_vocabulary(JSON_TOKENS))
NUM_WALKS = 12
T = TypeVar("T")


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Point(NamedTuple):
    x: int
    y: float = 0.5


class Options(TypedDict):
    name: str
    size: NotRequired[int]


@dataclasses.dataclass
class Pair:
    left: int
    right: list[str] = dataclasses.field(default_factory=list)


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: Annotated[int, Field(ge=0, le=9)]


class Dog(BaseModel):
    kind: Literal["dog"]
    name: str


class Owner(BaseModel):
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]
    others: list[Annotated[Cat | Dog, Field(discriminator="kind")]] = []


class Tree(BaseModel):
    value: int
    children: list[Tree] = []


class Chain(BaseModel):
    next: Optional[Chain] = None  # noqa: UP045 - the schema is the same, the spelling is common


class Box(BaseModel, Generic[T]):
    content: T
    label: str | None = None


class Aliased(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    inner: Annotated[int, Field(alias="outerName")]
    both: Annotated[str, Field(validation_alias="in", serialization_alias="out")] = "x"


class Computed(BaseModel):
    side: Annotated[int, Field(ge=0, lt=100)]

    @computed_field
    def area(self) -> int:
        return self.side**2


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")
    a: int
    b: bool = True


class Loose(BaseModel):
    model_config = ConfigDict(extra="allow")
    a: int


class Numbers(RootModel[list[Annotated[int, Field(multiple_of=5)]]]): ...


class Many(BaseModel):
    when: datetime.datetime
    who: uuid.UUID
    tags: set[Colour] = set()
    scores: dict[Colour, float] = {}
    ratio: Annotated[float, Field(gt=0, lt=1)]
    code: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}\d{2}$")]
    level: Level = Level.LOW
    place: tuple[float, float] | None = None


@dataclasses.dataclass
class Case:
    """A type with values that it has, and what is known to differ between schema and parser.

    Attributes:
        reads_all: whether pydantic reads every value that its schema allows; it does not say that keys are
            numbers, that an address needs a host, how long durations may be, or what its checks are.
    """

    name: str
    type: Any
    values: Sequence[Any]
    reads_all: bool = True


UTC = datetime.UTC
CASES = [
    Case("none", type(None), [None]),
    Case("bool", bool, [True, False]),
    Case("int", int, [0, -7, 10**12]),
    Case("float", float, [0.5, -2.0, 1e-7, 1e20]),
    Case("str", str, ["", "é\n\"\\ 😀"]),
    Case("bytes", bytes, [b"", b"abc"]),
    Case("path", pathlib.Path, [pathlib.Path("/tmp/x"), pathlib.Path("a")]),
    Case("list", list[int], [[], [1, 2]]),
    Case("set", set[Literal["a", "b", "c"]], [set(), {"a", "c"}]),
    Case("frozenset", frozenset[Colour], [frozenset(), frozenset([Colour.RED])]),
    Case("deque", deque[int], [deque([1])]),
    Case("sequence", Sequence[str], [["a"], []]),
    Case("tuple", tuple[int, str, bool], [(1, "a", True)]),
    Case("tuple of any length", tuple[int, ...], [(), (1, 2, 3)]),
    Case("dict", dict[str, int], [{}, {"a": 1, "é": 2}]),
    Case("dict of enum", dict[Colour, list[int]], [{}, {Colour.RED: [1]}]),
    Case("dict of int", dict[int, str], [{1: "a", -3: "b"}], reads_all=False),
    Case("dict of pattern", dict[Annotated[str, StringConstraints(pattern="^[a-z]+$")], int], [{"ab": 1}], reads_all=False),
    Case("enum", Colour, list(Colour)),
    Case("int enum", Level, list(Level)),
    Case("literal", Literal["a", 1, True], ["a", 1]),
    Case("optional", int | None, [1, None]),
    Case("union", Union[int, str, list[float]], [1, "a", [0.5]]),  # noqa: UP007
    Case("pattern", re.Pattern, [re.compile("a+b")]),
    Case("decimal", decimal.Decimal, [decimal.Decimal("1.50"), decimal.Decimal(-3)], reads_all=False),
    Case("decimal places", Annotated[decimal.Decimal, Field(max_digits=5, decimal_places=2, ge=0)], [decimal.Decimal("1.50")], reads_all=False),
    Case("date", datetime.date, [datetime.date(2024, 2, 29)]),
    Case("time", datetime.time, [datetime.time(12, 30, tzinfo=UTC)]),
    Case("datetime", datetime.datetime, [datetime.datetime(2024, 2, 29, 12, 30, 1, 500, UTC)]),
    Case("timedelta", datetime.timedelta, [datetime.timedelta(days=1, seconds=5)], reads_all=False),
    Case("uuid", uuid.UUID, [uuid.UUID(int=5)]),
    Case("uuid 4", pydantic.UUID4, [uuid.UUID("0b9ad11c-75f0-4dd8-9a5e-000000000000")]),
    Case("ipv4", ipaddress.IPv4Address, [ipaddress.ip_address("1.2.3.4")]),
    Case("ipv6", ipaddress.IPv6Address, [ipaddress.ip_address("::1")]),
    Case("any ip", ipaddress.IPv4Address | ipaddress.IPv6Address, [ipaddress.ip_address("10.0.0.1")]),
    Case("any url", AnyUrl, [AnyUrl("http://a.test/b?c=d")], reads_all=False),
    Case("http url", HttpUrl, [HttpUrl("https://a.test/b?c=d#e"), HttpUrl("http://example.org")], reads_all=False),
    Case("secret", SecretStr, []),
    Case("json", Json[list[int]], [], reads_all=False),
    Case("bounded int", Annotated[int, Field(gt=2, le=10)], [3, 10]),
    Case("multiple", Annotated[int, Field(multiple_of=3)], [0, 9, -6]),
    Case("bounded float", Annotated[float, Field(ge=-1.5, lt=2)], [-1.5, 0.25]),
    Case("length", Annotated[str, Field(min_length=2, max_length=4)], ["ab", "é\nx"]),
    Case("list length", Annotated[list[int], Field(min_length=1, max_length=2)], [[1], [1, 2]]),
    Case("annotated types", Annotated[int, annotated_types.Interval(ge=1, lt=5)], [1, 4]),
    Case("any", Any, [None, 1, "a", [1, {"b": []}]]),
    Case("object", dict, [{}, {"a": [1]}]),
    Case("named tuple", Point, [Point(1, 2.5)]),
    Case("typed dict", Options, [{"name": "a"}, {"name": "b", "size": 2}]),
    Case("dataclass", Pair, [Pair(1), Pair(2, ["a"])]),
    Case("discriminated", Owner, [Owner(pet=Cat(kind="cat", lives=9), others=[Dog(kind="dog", name="x")])]),
    Case("recursive", Tree, [Tree(value=1, children=[Tree(value=2)])]),
    Case("chain", Chain, [Chain(), Chain(next=Chain(next=None))]),
    Case("generic", Box[int], [Box[int](content=1)]),
    Case("generic of generic", Box[Box[list[str]]], [Box[Box[list[str]]](content=Box[list[str]](content=["a"]))]),
    Case("strict", Strict, [Strict(a=1)]),
    Case("extra allowed", Loose, [Loose(a=1, z="more")]),
    Case("root model", Numbers, [Numbers([5, -10])]),
    Case("many", Many, [Many(when=datetime.datetime(2024, 1, 1, tzinfo=UTC), who=uuid.UUID(int=1), ratio=0.5, code="AB12", tags={Colour.BLUE}, scores={Colour.RED: 1.5})]),
    Case("list of models", list[Strict], [[Strict(a=1), Strict(a=2, b=False)]]),
]  # fmt: skip

MODES: list[Literal["validation", "serialization"]] = ["validation", "serialization"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_schemas_compile_and_dumps_are_accepted(case: Case, mode: Any) -> None:
    adapter = TypeAdapter(case.type)
    schema = adapter.json_schema(mode=mode)
    grammar = COMPILER.compile_json_schema(schema)
    for value in case.values:
        text = adapter.dump_json(value, by_alias=True).decode()
        assert accepts(grammar, text), text
        assert accepts(grammar, json.dumps(json.loads(text))), text


@pytest.mark.parametrize("type_", [set[str], frozenset[int], set[uuid.UUID]])
def test_sets_of_many_values_are_enforced_or_refused_by_name(type_: Any) -> None:
    try:
        grammar = COMPILER.compile_json_schema(TypeAdapter(type_).json_schema())
    except UnsupportedGrammarError as error:
        assert error.keyword == "uniqueItems"
        return
    assert not accepts(grammar, TypeAdapter(list[Any]).dump_json([1, 1]).decode())


@pytest.mark.parametrize("case", [c for c in CASES if c.reads_all], ids=lambda case: case.name)
def test_outputs_are_read(case: Case) -> None:
    adapter = TypeAdapter(case.type)
    grammar = COMPILER.compile_json_schema(adapter.json_schema())
    rng = random.Random(case.name)
    for _ in range(NUM_WALKS):
        text = draw(grammar, rng)
        assert text is not None
        adapter.validate_json(text)


def test_serialization_mode_has_computed_fields_and_other_names() -> None:
    grammar = COMPILER.compile_json_schema(Computed.model_json_schema(mode="serialization"))
    assert accepts(grammar, Computed(side=3).model_dump_json())
    assert not accepts(grammar, '{"side":3}')
    assert accepts(COMPILER.compile_json_schema(Computed.model_json_schema()), '{"side":3}')

    model = Aliased(inner=5)
    read = COMPILER.compile_json_schema(Aliased.model_json_schema())
    assert accepts(read, '{"outerName":5,"in":"y"}')
    written = COMPILER.compile_json_schema(Aliased.model_json_schema(mode="serialization"))
    assert accepts(written, model.model_dump_json(by_alias=True))
    by_name = COMPILER.compile_json_schema(Aliased.model_json_schema(by_alias=False))
    assert accepts(by_name, model.model_dump_json(by_alias=False))


@pytest.mark.skipif(
    importlib.util.find_spec("email_validator") is None, reason="email-validator is not installed"
)
def test_email_addresses() -> None:
    grammar = COMPILER.compile_json_schema(TypeAdapter(pydantic.EmailStr).json_schema())
    assert accepts(grammar, '"ada@example.org"')
    assert not accepts(grammar, '"ada"')


def test_strict_schemas_as_the_openai_package_sends_them() -> None:
    """All members required, objects closed, references with siblings written out."""
    schema = Owner.model_json_schema()
    for definition in (schema, *schema["$defs"].values()):
        definition["additionalProperties"] = False
        definition["required"] = list(definition["properties"])
    grammar = COMPILER.compile_json_schema(schema)
    text = Owner(pet=Cat(kind="cat", lives=1)).model_dump_json()
    assert accepts(grammar, text)
    rng = random.Random(0)
    for _ in range(NUM_WALKS):
        drawn = draw(grammar, rng)
        assert drawn is not None
        Owner.model_validate_json(drawn)
