"""What annotations say of a function, in source text and of live callables, against DuckDB's own names of types."""

import dataclasses
import datetime as dt
import uuid
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, Optional, TypedDict

import pytest

from duckdb_wasi_udf import GuestError, Interval, SignatureError

pytestmark = pytest.mark.shared_sandbox

PRELUDE = """
from __future__ import annotations
import collections.abc, dataclasses, datetime, typing, uuid
from decimal import Decimal
from decimal import Decimal as D
from typing import Annotated, Any, Literal, NamedTuple, NewType, Optional, TypedDict, Union

class Point(NamedTuple):
    x: float
    y: float | None

class Person(TypedDict):
    name: str
    born: "datetime.date"
    home: Point

@dataclasses.dataclass
class Order:
    id: int
    'odd"name': str = ""
    lines: list[Point] = dataclasses.field(default_factory=list)
    total: float = dataclasses.field(init=False, default=0.0)

Id = NewType("Id", int)
Alias = list[Id]
type Newer = dict[str, Alias]
""".replace("""    'odd"name': str = ""\n""", "")

POINT = "STRUCT(x DOUBLE, y DOUBLE)"

MEANINGS = [
    ("int", "BIGINT"),
    ("float", "DOUBLE"),
    ("str", "VARCHAR"),
    ("bool", "BOOLEAN"),
    ("bytes", "BLOB"),
    ("datetime.date", "DATE"),
    ("datetime.datetime", "TIMESTAMP"),
    ("datetime.time", "TIME"),
    ("datetime.timedelta", "INTERVAL"),
    ("uuid.UUID", "UUID"),
    ("int | None", "BIGINT"),
    ("None | int", "BIGINT"),
    ("Optional[str]", "VARCHAR"),
    ("typing.Optional[str]", "VARCHAR"),
    ("Union[int, float]", "DOUBLE"),
    ("int | float | None", "DOUBLE"),
    ("list[int]", "BIGINT[]"),
    ("list[int | None] | None", "BIGINT[]"),
    ("collections.abc.Sequence[str]", "VARCHAR[]"),
    ("tuple[float, ...]", "DOUBLE[]"),
    ("dict[str, list[float]]", "MAP(VARCHAR, DOUBLE[])"),
    ("list", "JSON"),
    ("dict", "JSON"),
    ("list[dict]", "JSON[]"),
    ("dict[str, Any]", "JSON"),
    ("Literal['a', 'b']", "VARCHAR"),
    ("Literal[1, None]", "BIGINT"),
    ("Annotated[Decimal, 'DECIMAL(10,2)']", "DECIMAL(10,2)"),
    ("Annotated[D, 'DECIMAL(10,2)'] | None", "DECIMAL(10,2)"),
    ("Annotated[int, 'HUGEINT']", "HUGEINT"),
    ("Annotated[str, 3]", "VARCHAR"),
    ("list[Annotated[Decimal, 'DECIMAL(4,1)']]", "DECIMAL(4,1)[]"),
    ("'int'", "BIGINT"),
    ('"list[int]"', "BIGINT[]"),
    ("'HUGEINT'", "HUGEINT"),
    ("HUGEINT", "HUGEINT"),
    ("'DECIMAL(9,3)[]'", "DECIMAL(9,3)[]"),
    ("'STRUCT(a INTEGER, b VARCHAR)'", "STRUCT(a INTEGER, b VARCHAR)"),
    ("Id", "BIGINT"),
    ("Alias", "BIGINT[]"),
    ("Newer", "MAP(VARCHAR, BIGINT[])"),
    ("Point", POINT),
    ("Point | None", POINT),
    ("list[Point]", f"{POINT}[]"),
    ("Person", f'STRUCT("name" VARCHAR, born DATE, home {POINT})'),
    ("Order", f"STRUCT(id BIGINT, lines {POINT}[])"),
]


@pytest.mark.parametrize(("annotation", "sql_type"), MEANINGS)
def test_an_annotation_stands_for_a_sql_type(con, sandbox, annotation, sql_type):
    sandbox.create_function(con, "f", f"{PRELUDE}\ndef f(x: {annotation}): return 1")
    sandbox.create_function(con, "g", f"{PRELUDE}\ndef g(x) -> {annotation}: return None")
    taken, returned = (
        con.execute(f"SELECT {column} FROM duckdb_functions() WHERE function_name = '{name}'").fetchall()[0][0]
        for name, column in (("f", "parameter_types[1]"), ("g", "return_type"))
    )
    (expected,) = con.execute(f"SELECT typeof(NULL::{sql_type})").fetchall()[0]
    assert (taken, returned) == (expected, expected)


@pytest.mark.parametrize(
    ("annotation", "sees_null"),
    [
        ("int", False),
        ("int | None", True),
        ("Optional[int]", True),
        ("Literal[1, None]", True),
        ("Any", True),
        ("typing.Any", True),
        ("object", True),
        ("None", True),
        ("Decimal", False),
        ("Decimal | None", True),
        ("int | str", False),
        ("int | str | None", True),
    ],
)
def test_an_annotation_says_whether_null_is_seen(con, sandbox, annotation, sees_null):
    sandbox.create_function(con, "f", f"{PRELUDE}\ndef f(x: {annotation}) -> bool: return x is None")
    assert con.execute("SELECT f(NULL)").fetchall() == [(True if sees_null else None,)]


def test_names_that_annotations_use_most_need_no_import(con, sandbox):
    source = """
        def f(a: date, b: datetime, c: datetime.date, d: Optional[UUID], e: Any, g: timedelta, h: Interval) -> Decimal:
            return None
    """
    sandbox.create_function(con, "f", source)
    given = "DATE '2020-01-01', TIMESTAMP '2020-01-01', DATE '2020-01-01', uuid(), 1, INTERVAL 1 DAY, INTERVAL 1 DAY"
    assert con.execute(f"SELECT f({given})").fetchall() == [(None,)]


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        ("set[int]", "the annotation 'set\\[int\\]' of parameter 'x' is not a type that SQL has"),
        ("complex", "is a class, of which SQL has only those that are a TypedDict, NamedTuple or dataclass"),
        ("list[Decimal]", "needs a width and scale inside: Annotated"),
        ("Foo", "is neither a Python type that SQL has nor a SQL type that DuckDB knows"),
        ("'DECIMAL(99,1)'", "is neither a Python type that SQL has nor a SQL type"),
        ("Annotated[int, 'NUMBER']", "is neither a Python type that SQL has nor a SQL type"),
        ("int +", None),
        ("5", "is not a type that SQL has"),
        ("tuple[int, str]", "is not a type that SQL has"),
        ("TypedDict('Empty', {})", "has no annotated fields"),
        ("TypedDict('Odd', {'a': Any})", "has the field 'a' without a SQL type"),
        ("list[" * 40 + "int" + "]" * 40, "nests too deep"),
    ],
)
def test_an_annotation_without_sql_type_says_which_and_why(con, sandbox, annotation, message):
    if message is None:
        with pytest.raises(Exception, match="SyntaxError"):
            sandbox.create_function(con, "f", f"{PRELUDE}\ndef f(x: {annotation}): return 1")
        return
    with pytest.raises(SignatureError, match=message):
        sandbox.create_function(con, "f", f"{PRELUDE}\ndef f(x: {annotation}): return 1")
    with pytest.raises(SignatureError, match=message.replace("parameter 'x'", "the result")):
        sandbox.create_function(con, "f", f"{PRELUDE}\ndef f(x) -> {annotation}: return 1")


def test_the_names_of_fields_are_quoted(con, sandbox):
    source = """
        from typing import TypedDict
        Odd = TypedDict("Odd", {'a "quoted" name)': int, "": str}) if False else TypedDict("Odd", {'a "b")': int})
        def f(x: Odd) -> Odd: return {k: v + 1 for k, v in x.items()}
    """
    sandbox.create_function(con, "f", source)
    assert con.execute("""SELECT f({'a "b")': 1})""").fetchall() == [({'a "b")': 2},)]


# ---- values ------------------------------------------------------------------------------------------------------


class Money(NamedTuple):
    amount: Annotated[Decimal, "DECIMAL(18,2)"]
    currency: Literal["EUR", "USD"]


class Line(TypedDict):
    name: str
    price: Money


@dataclasses.dataclass
class Order:
    id: int
    lines: list[Line]
    placed: dt.date | None = None

    def total(self) -> Decimal:
        return sum(line["price"].amount for line in self.lines)


ORDERS = """
    SELECT {'id': i, 'lines': [{'name': 'n', 'price': {'amount': 1.25 * i, 'currency': 'EUR'}}], 'placed': NULL} AS o
    FROM range(1, 4) r(i)
"""


def test_arguments_become_the_classes_their_annotations_name(con, sandbox):
    def total(order: Order) -> Annotated[Decimal, "DECIMAL(18,2)"]:
        return order.total()

    def nothing(order: Optional[Order], extra: list[Money | None]) -> str:  # noqa: UP045 - as many write it
        return f"{order} {extra}"

    sandbox.create_function(con, "total", total)
    sandbox.create_function(con, "nothing", nothing)
    assert con.execute(f"SELECT total(o) FROM ({ORDERS})").fetchall() == [
        (Decimal("1.25"),),
        (Decimal("2.50"),),
        (Decimal("3.75"),),
    ]
    got = con.execute("SELECT nothing(NULL, [{'amount': 1, 'currency': 'USD'}, NULL])").fetchall()
    assert got == [("None [Money(amount=Decimal('1.00'), currency='USD'), None]",)]


def test_instances_of_classes_may_be_returned(con, sandbox):
    def order(i: int) -> Order:
        return Order(i, [{"name": "n", "price": Money(Decimal(i), "EUR")}])

    sandbox.create_function(con, "make_order", order)
    expected = {
        "id": 3,
        "lines": [{"name": "n", "price": {"amount": Decimal("3.00"), "currency": "EUR"}}],
        "placed": None,
    }
    assert con.execute("SELECT make_order(3)").fetchall() == [(expected,)]
    source = "from collections import namedtuple\nP = namedtuple('P', 'x y')\nlambda i: P(i, [P(1, None)])"
    assert con.execute("SELECT py_udf($1, 2)", [source]).fetchall() == [({"x": 2, "y": [{"x": 1, "y": None}]},)]


def test_a_class_that_wants_a_struct_says_so(failing):
    source = f"{PRELUDE}\ndef f(p: Point): return p.x"
    error = failing("SELECT py_udf($1, 1)", [source], error=SignatureError)
    assert "the parameter 'p' expects STRUCT(x DOUBLE, y DOUBLE), got INTEGER" in str(error)
    error = failing("SELECT py_udf($1, py_udf('lambda x: x', 1))", [source], error=GuestError)
    assert "the argument is int, not the STRUCT that Point is annotated for" in str(error)


def test_json_is_text_or_parsed_as_annotated(con, sandbox):
    value = '{"a": [1, 2.5, null, "ä"]}'
    for lossless in (False, True):
        con.execute(f"SET arrow_lossless_conversion = {lossless}")
        sandbox.create_function(con, "parsed", "def f(x: dict) -> list: return x['a']")
        sandbox.create_function(con, "as_text", lambda x: x, ["JSON"], "VARCHAR")
        query = f"SELECT parsed('{value}'::JSON), typeof(parsed('{value}')), as_text('{value}'::JSON)"
        assert con.execute(query).fetchall() == [('[1, 2.5, null, "ä"]', "JSON", value)]
        con.remove_function("parsed").remove_function("as_text")


def test_inline_arguments_are_parsed_only_when_they_are_json(con, sandbox):
    query = "SELECT py_udf_varchar('def f(x: dict): return type(x).__name__', '{}'::JSON)"
    con.execute("SET arrow_lossless_conversion = true")
    assert con.execute(query).fetchall() == [("dict",)]


def test_an_interval_keeps_its_parts(con, sandbox):
    def twice(i: Interval) -> Interval:
        months, days, microseconds = i.parts
        return Interval(2 * months, 2 * days, 2 * microseconds)

    sandbox.create_function(con, "twice", twice)
    got = con.execute("SELECT twice(INTERVAL '1 month 40 days -3 microseconds')::VARCHAR").fetchall()
    assert got == [("2 months 80 days -00:00:00.000006",)]
    assert Interval(1, 2, 3) == dt.timedelta(days=32, microseconds=3)
    assert uuid.UUID(int=0)  # the imports of annotations of live callables above
    assert Any
