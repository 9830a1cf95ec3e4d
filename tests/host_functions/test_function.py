"""Host functions: granted, called from guests, checked, counted, stopped."""

import datetime as dt
import logging
import threading
import time
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

import duckdb
import pyarrow as pa
import pytest

import duckdb_wasi_udf as wasi_udf
from duckdb_wasi_udf import (
    Cancelled,
    Column,
    GuestError,
    HostFunction,
    HostQuota,
    LimitExceeded,
    ResourceLimits,
    SignatureError,
    WasiUdfError,
    host_function,
)
from duckdb_wasi_udf._host_functions import audit
from duckdb_wasi_udf._process import abandonable_calls

RATES = {"EUR": 1.0, "USD": 1.08, "häß": 3.0}


@host_function
def fx_rate(currency: list[str]) -> list[float]:
    """The value of one unit, in euros."""
    return [RATES.get(code) for code in currency]


@host_function
def plus(a: int, b: int = 3) -> int:
    """The sum."""
    return a + b


@pytest.fixture
def grant(con):
    """Installs a sandbox with host functions."""
    made = []

    def install(*functions, **options):
        made.append(wasi_udf.Sandbox(host_functions=functions, **options).install(con))
        return made[-1]

    yield install
    for sandbox in made:
        sandbox.close()


@pytest.fixture
def evaluate(con):
    """What an expression with `host` gives for one row."""

    def run(expression, argument=1):
        return con.execute("SELECT py_udf($1, $2)", [f"import host\nlambda x: {expression}", argument]).fetchall()[0][0]

    return run


def fails(sandbox, run, error=GuestError):
    with pytest.raises(duckdb.InvalidInputException):
        run()
    assert type(sandbox.last_error) is error, sandbox.last_error
    return sandbox.last_error


# ---- what is granted ---------------------------------------------------------------------------------------------


def test_a_granted_function_is_called_with_one_value_or_many(grant, evaluate):
    grant(fx_rate, plus)
    assert evaluate("host.fx_rate('USD')") == 1.08
    assert evaluate("host.fx_rate('XXX')") is None
    assert evaluate("host.fx_rate(None)") is None
    assert evaluate("host.fx_rate.batch(['EUR', None, 'häß'])") == [1.0, None, 3.0]
    assert evaluate("host.fx_rate.batch(())") == []
    assert evaluate("[host.plus(x), host.plus(x, 5), host.plus(b=7, a=x)]") == [4, 6, 8]
    assert evaluate("host.plus.batch([1, 2], (10, 20))") == [11, 22]


def test_nothing_is_granted_by_default(con, sandbox, evaluate):
    assert evaluate("dir(host)") == ["HostError", "gather"]
    with pytest.raises(duckdb.InvalidInputException):
        evaluate("host.fx_rate('EUR')")
    assert "AttributeError: there is no host function 'fx_rate'; the sandbox was given no host functions" in str(
        sandbox.last_error
    )
    assert sandbox.audit() == []
    assert con.execute("FROM py_host_calls()").fetchall() == []


def test_an_unknown_name_lists_what_is_granted(grant, evaluate):
    error = fails(grant(fx_rate, plus), lambda: evaluate("host.fxrate('EUR')"))
    assert "AttributeError: there is no host function 'fxrate'; there are: fx_rate, plus" in str(error)


def test_functions_describe_themselves(grant, evaluate, caplog):
    grant(fx_rate, plus)
    assert evaluate("host.plus.__name__ + host.plus.__doc__") == "plusThe sum."
    assert (
        evaluate("__import__('inspect').signature(host.plus).__str__()") == "(a: 'BIGINT', b: 'BIGINT' = 3) -> 'BIGINT'"
    )
    assert evaluate("dir(host)") == ["HostError", "fx_rate", "gather", "plus"]
    assert evaluate("repr(host.plus)") == "<host function plus>"
    with caplog.at_level(logging.INFO, "duckdb_wasi_udf.guest"):
        evaluate("help(host.fx_rate)")
    assert "fx_rate(currency: 'VARCHAR') -> 'DOUBLE'" in caplog.text
    assert "The value of one unit, in euros." in caplog.text


def test_a_host_function_stays_a_function_on_the_host():
    assert fx_rate(["EUR", "?"]) == [1.0, None]
    assert plus(1) == 4
    assert plus(1, b=2) == 3
    assert (fx_rate.name, fx_rate.parameters, fx_rate.return_type, fx_rate.batched) == (
        "fx_rate",
        ("VARCHAR",),
        "DOUBLE",
        True,
    )
    assert fx_rate.doc == "The value of one unit, in euros."
    assert plus.batched is False


def test_each_sandbox_has_its_own_grants(evaluate, grant):
    with duckdb.connect() as other, wasi_udf.Sandbox(host_functions=[plus]).install(other):
        sandbox = grant(fx_rate)
        assert other.execute("SELECT py_udf('import host\nlambda x: host.plus(x)', 1)").fetchall() == [(4,)]
        assert "there are: fx_rate" in str(fails(sandbox, lambda: evaluate("host.plus(x)")))


# ---- how a function is described ---------------------------------------------------------------------------------


class Point(NamedTuple):
    x: float
    y: float


@dataclass
class Size:
    width: int
    label: str | None = None


def test_annotations_say_types_and_shape(grant, evaluate):
    def by_value(values: list[int]) -> int:
        return sum(values)

    def by_list(values: list[int], more: list[int]) -> list[int]:
        return [a + b for a, b in zip(values, more, strict=True)]

    def by_column(values: Column[int], more: Column[int]) -> Column[int]:
        assert isinstance(values, pa.Array)
        return pa.array([a.as_py() + b.as_py() for a, b in zip(values, more, strict=True)])

    def area(point: Point) -> float:
        return point.x * point.y

    def sized(width: int) -> Size:
        return Size(width)

    def document(value: dict) -> dict:
        return {"got": value}

    sandbox = grant(*[HostFunction(f) for f in (by_value, by_list, by_column, area, sized, document)])
    assert [function.host.batched for function in sandbox._domain.grants.functions] == [
        False,
        True,
        True,
        False,
        False,
        False,
    ]
    assert evaluate("host.by_value([x, 2, 3])") == 6
    assert evaluate("host.by_list(x, 2)") == 3
    assert evaluate("host.by_column.batch([x, 5], [2, 6])") == [3, 11]
    assert evaluate("host.area({'x': 2.0, 'y': 3.0})") == 6.0
    assert evaluate("host.sized(4)") == {"width": 4, "label": None}
    assert evaluate("host.document({'a': [x, None]})") == {"got": {"a": [1, None]}}


def test_types_and_shape_may_be_given(grant, evaluate):
    seen = []

    def arrays(values):
        seen.append(type(values))
        return values

    sandbox = grant(
        HostFunction(arrays, parameters=["DECIMAL(18,3)[]"], return_type="DECIMAL(18,3)[]", batched=True),
        HostFunction(lambda *xs: "".join(xs), name="joined", parameters=["VARCHAR"] * 3, return_type="VARCHAR"),
        HostFunction(abs, parameters=[pa.int32()], return_type=pa.int32()),
        HostFunction(lambda: 42, name="answer", parameters=[], return_type="TINYINT"),
        HostFunction(lambda values: [sum(values)] * len(values), name="total", parameters=["INTEGER"],
                     return_type="BIGINT", batched=True, doc="All of them."),
    )  # fmt: skip
    assert evaluate("str(host.arrays([__import__('decimal').Decimal('1.5')])[0])") == "1.500"
    assert issubclass(seen[0], pa.Array)
    assert evaluate("host.joined('a', 'b', 'c')") == "abc"
    assert evaluate("host.abs(-5)") == 5
    assert evaluate("host.answer()") == 42
    assert "All of them." in evaluate("host.total.__doc__")
    assert sandbox._domain.grants.functions[0].host.parameters == ("DECIMAL(18,3)[]",)
    failed = fails(sandbox, lambda: evaluate("host.abs(2 ** 40)"))  # no INTEGER
    assert "HostError: abs failed" in str(failed)
    assert isinstance(failed.__cause__, pa.ArrowInvalid)


def test_parameters_that_are_not_the_guests(grant, evaluate):
    def scaled(x: float, secret=RATES, *, factor: float = 2.0) -> float:
        return x * factor

    grant(HostFunction(scaled))
    assert evaluate("host.scaled(3.0)") == 6.0
    with pytest.raises(duckdb.InvalidInputException, match="takes 1 positional argument but 2 were given"):
        evaluate("host.scaled(3.0, 4)")


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: HostFunction(lambda x: x), "'<lambda>' can't be the name of a host function"),
        (lambda: HostFunction(3), "made of a callable, got 3"),
        (lambda: HostFunction(abs, name="class"), "'class' can't be"),
        (lambda: HostFunction(abs, name="gather"), "has a gather of its own"),
        (lambda: HostFunction(abs, name="f"), "has no annotation; annotate it, or give `parameters`"),
        (lambda: HostFunction(plus.function, parameters=["BIGINT"] * 3), "3 parameter type(s) given, but the function"),
        (lambda: HostFunction(plus.function, parameters=[]), "0 parameter type(s) given, but the function takes 2"),
        (lambda: HostFunction(abs, name="f", parameters=["BIGINT"]), "the result has no annotation"),
        (lambda: host_function(lambda x, *, y: x, name="f"), "give 'y' a default"),
        (lambda: HostFunction(list, name="f", parameters=[], return_type="BIGINT", batched=True), "needs a parameter"),
    ],
)  # fmt: skip
def test_what_can_be_no_host_function_is_refused_when_it_is_made(make, text):
    with pytest.raises(SignatureError) as raised:
        make()
    assert text in str(raised.value)


@pytest.mark.parametrize("annotation", ["object", "list", "tuple[int, str]", "dict[str, list]"])
def test_annotations_that_are_no_type_are_refused(annotation):
    namespace = {}
    exec(f"def f(x: {annotation}) -> int: return 1", namespace)
    if annotation == "list":  # JSON
        assert HostFunction(namespace["f"]).parameters == ("JSON",)
        return
    with pytest.raises(SignatureError, match="the annotation"):
        HostFunction(namespace["f"])


@pytest.mark.parametrize(
    ("functions", "text"),
    [
        ([plus, HostFunction(plus.function)], "two host functions are called plus"),
        ([lambda x: x], "made with @host_function or HostFunction"),
        ([HostFunction(abs, parameters=["NOTATYPE"], return_type="BIGINT")], "the type 'NOTATYPE' of x is not one"),
        ([HostFunction(abs, parameters=["BIGINT"], return_type="VARIANT")], "VARIANT can't be passed"),
        ([HostFunction(abs, parameters=["HUGEINT"], return_type="BIGINT")], "HUGEINT can't be passed"),
        ([HostFunction(abs, parameters=["UNION(a INT, b VARCHAR)"], return_type="BIGINT")], "can't be passed"),
    ],
)  # fmt: skip
def test_what_cannot_be_granted_is_refused_when_the_sandbox_is_made(functions, text):
    with pytest.raises(SignatureError) as raised:
        wasi_udf.Sandbox(host_functions=functions)
    assert text in str(raised.value)


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan")])
def test_a_timeout_is_a_positive_number(seconds):
    with pytest.raises(ValueError, match="timeout_seconds must be a positive number"):
        HostFunction(plus.function, timeout_seconds=seconds)


# ---- values ------------------------------------------------------------------------------------------------------

VALUES = {
    "BOOLEAN": ["true", "false"],
    "TINYINT": ["-128", "127"],
    "USMALLINT": ["65535"],
    "INTEGER": ["-2147483648"],
    "BIGINT": ["9223372036854775807", "-9223372036854775808"],
    "UBIGINT": ["18446744073709551615"],
    "FLOAT": ["1.5"],
    "DOUBLE": ["'nan'", "'-inf'", "-0.0", "1e300"],
    "DECIMAL(18,3)": ["123456789012345.678", "-0.001"],
    "DECIMAL(38,10)": ["1234567890123456789012345678.0123456789"],
    "VARCHAR": ["''", "'häß 🦆'", "repeat('x', 300000)"],
    "BLOB": ["'\\x00\\xFF'::BLOB", "''::BLOB"],
    "DATE": ["DATE '0001-01-01'", "DATE '9999-12-31'"],
    "TIME": ["TIME '23:59:59.999999'"],
    "TIMESTAMP": ["TIMESTAMP '2024-02-29 12:34:56.789012'"],
    "TIMESTAMP_S": ["TIMESTAMP_S '1969-12-31 23:59:59'"],
    "TIMESTAMPTZ": ["TIMESTAMPTZ '2024-02-29 12:34:56.789012+03'"],
    "INTERVAL": ["INTERVAL '3 days 5 seconds'"],
    "UUID": ["UUID 'f81d4fae-7dec-11d0-a765-00a0c91e6bf6'"],
    "BOOLEAN[]": ["[true, NULL, false]", "[]"],
    "UUID[]": ["[UUID 'f81d4fae-7dec-11d0-a765-00a0c91e6bf6', NULL]"],
    "STRUCT(id UUID, flags BOOLEAN[])": ["{'id': UUID 'f81d4fae-7dec-11d0-a765-00a0c91e6bf6', 'flags': [true]}"],
    "JSON[]": ["""['{"a": 1}', NULL]"""],
    "ENUM('x', 'y')[]": ["['x', NULL, 'y']"],
    "ENUM('red', 'green')": ["'green'"],
    "BIGINT[]": ["[1, NULL, 3]", "[]"],
    "VARCHAR[][]": ["[['a', NULL], NULL, []]"],
    "DOUBLE[3]": ["[1, 2, 3]"],
    "STRUCT(a BIGINT, b VARCHAR[])": ["{'a': 1, 'b': ['x', NULL]}", "{'a': NULL, 'b': NULL}"],
    "MAP(VARCHAR, BIGINT)": ["MAP {'a': 1, 'b': NULL}", "MAP {}"],
    "STRUCT(m MAP(BIGINT, STRUCT(d DATE)))[]": ["[{'m': MAP {1: {'d': DATE '2020-01-01'}}}]"],
}


@pytest.fixture(scope="module")
def identities():
    """A connection with functions for each type that send their argument to the host and back."""
    functions = []
    for i, name in enumerate(VALUES):
        types = {"parameters": [name], "return_type": name}
        functions.append(HostFunction(lambda x: x, name=f"value{i}", **types))
        functions.append(HostFunction(lambda xs: xs, name=f"batch{i}", batched=True, **types))
    with duckdb.connect() as con, wasi_udf.Sandbox(host_functions=functions).install(con) as sandbox:
        for i, name in enumerate(VALUES):
            for shape in ("value", "batch"):
                code = f"import host\ndef f(x): return host.{shape}{i}(x)"
                sandbox.create_function(con, f"{shape}{i}", code, [name], name, null_handling="special")
        yield con


@pytest.mark.parametrize("shape", ["value", "batch"])
@pytest.mark.parametrize(("number", "name"), list(enumerate(VALUES)), ids=str)
def test_values_of_every_type_come_back_as_they_were(identities, number, name, shape):
    rows = ", ".join(f"(({value})::{name})" for value in [*VALUES[name], "NULL"])
    query = f"SELECT count(*) FROM (VALUES {rows}) t(x) WHERE {shape}{number}(x) IS DISTINCT FROM x"
    assert identities.execute(query).fetchall() == [(0,)]


@pytest.mark.parametrize("rows", [1, 2047, 2048, 2049, 20_000])
def test_batches_of_any_length_are_those_of_sql(con, grant, rows):
    grant(fx_rate)
    con.execute(f"CREATE TABLE t AS SELECT ['EUR', 'USD', 'XXX', NULL, 'häß'][i % 5 + 1] AS k FROM range({rows}) r(i)")
    code = "import host\ndef f(ks: Column[str | None]) -> list[float]: return host.fx_rate.batch(ks)"
    listed = code.replace("batch(ks)", "batch(ks.to_list())")
    con.register("rates", pa.table({"k": list(RATES), "v": list(RATES.values())}))
    expected = con.execute("SELECT sum(v), count(v) FROM t LEFT JOIN rates USING (k)").fetchall()
    for source in (code, listed):
        assert (
            con.execute("SELECT sum(v), count(v) FROM (SELECT py_udf_double($1, k) AS v FROM t)", [source]).fetchall()
            == expected
        )


def test_columns_of_types_that_lie_otherwise_are_converted(con, grant):
    def doubled(values: list[int]) -> list[int]:
        return [None if value is None else 2 * value for value in values]

    grant(HostFunction(doubled))
    code = "import host\ndef f(xs: Column): return host.doubled.batch(xs)"
    for kind in ("TINYINT", "INTEGER", "BIGINT", "UBIGINT"):
        query = f"SELECT py_udf_bigint($1, i::{kind}) FROM (VALUES (1), (NULL), (100)) t(i)"
        assert con.execute(query, [code]).fetchall() == [(2,), (None,), (200,)], kind


def test_one_call_may_pass_more_rows_than_a_batch_has(grant, evaluate):
    grant(plus)
    assert evaluate("sum(host.plus.batch(range(100_000), [1] * 100_000))") == sum(range(1, 100_001))


def test_a_response_that_does_not_fit_is_taken_in_a_second_step(grant, evaluate):
    def repeated(text: str, times: int) -> str:
        return text * times

    grant(HostFunction(repeated))
    for size in (10, 65_000, 65_400, 65_536, 1_000_000, 10):
        assert evaluate(f"host.repeated('äb', {size}) == 'äb' * {size}") is True


@pytest.mark.parametrize("threads", [1, 16])
def test_threads_make_no_difference(con, grant, threads):
    sandbox = grant(fx_rate)
    con.execute(f"SET threads = {threads}")
    con.execute("CREATE TABLE t AS SELECT ['EUR', 'USD', 'XXX'][i % 3 + 1] AS k FROM range(300_000) r(i)")
    code = "import host\ndef f(ks: Column[str]) -> list[float]: return host.fx_rate.batch(ks)"
    total = con.execute("SELECT round(sum(py_udf_double($1, k))) FROM t", [code]).fetchall()[0][0]
    assert total == 100_000 + 108_000
    assert sum(record.rows for record in sandbox.audit()) == 300_000


# ---- mistakes of the guest ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("host.plus('a')", "TypeError: plus() takes BIGINT as 'a', got str 'a'"),
        ("host.plus(1.5)", "TypeError: plus() takes BIGINT as 'a', got float 1.5"),
        ("host.plus(2 ** 70)", "TypeError: plus() takes BIGINT as 'a', got int 1180591620717411303424"),
        ("host.plus(1, [2])", "TypeError: plus() takes BIGINT as 'b', got list [2]"),
        ("host.plus()", "TypeError: plus() missing 1 required positional argument: 'a'"),
        ("host.plus(1, 2, 3)", "TypeError: plus() takes from 1 to 2 positional arguments but 3 were given"),
        ("host.plus(1, c=2)", "TypeError: plus() got an unexpected keyword argument 'c'"),
        ("host.plus.batch([1])", "TypeError: plus.batch() takes 2 column(s), one for each parameter, got 1"),
        ("host.plus.batch([1], 2)", "TypeError: plus.batch() takes columns, as lists, got int"),
        ("host.fx_rate.batch('EUR')", "TypeError: fx_rate.batch() takes columns, as lists, got str"),
        ("host.plus.batch([1], [2, 3])", "ValueError: plus.batch() takes columns of one length, got 1 and 2 values"),
        ("host.plus.batch([1, 'b'], [2, 3])", "TypeError: plus() takes BIGINT as 'a', got str 'b'"),
    ],
)
def test_wrong_arguments_are_told_in_the_guest_before_anything_crosses(grant, evaluate, expression, text):
    sandbox = grant(fx_rate, plus)
    assert text in str(fails(sandbox, lambda: evaluate(expression)))
    assert sandbox.audit() == []
    assert evaluate("host.plus(x)") == 4


def test_a_function_that_its_own_argument_calls_says_so(grant, con):
    def area(point: Point) -> float:
        return point.x * point.y

    sandbox = grant(HostFunction(area))
    code = """
        import host
        class Square:
            __dataclass_fields__ = {"x": 0, "y": 0}
            x = 1.0
            y = property(lambda self: host.area({"x": 1.0, "y": 1.0}))
        def f(x): return host.area(Square())
    """
    error = fails(sandbox, lambda: con.execute("SELECT py_udf($1, 1)", [code]).fetchall())
    assert "area() is called by a value that it was called with" in str(error)


def test_code_may_call_the_host_while_it_is_loaded(con, grant):
    sandbox = grant(fx_rate)
    code = "import host\nUSD = host.fx_rate('USD')\nlambda x: USD * x"
    assert con.execute("SELECT py_udf_double($1, 2)", [code]).fetchall() == [(2.16,)]
    assert [record.host_function for record in sandbox.audit()] == ["fx_rate"] * len(sandbox.audit())


# ---- mistakes of the host ----------------------------------------------------------------------------------------


class SecretError(Exception):
    pass


def raising(error):
    def fail(x: int) -> int:
        raise error

    return HostFunction(fail)


@pytest.mark.parametrize(
    "error", [SecretError("s3cret"), SystemExit("s3cret"), GeneratorExit("s3cret"), MemoryError("s3cret")]
)
def test_the_guest_learns_nothing_of_what_a_host_function_raised(grant, evaluate, caplog, error):
    sandbox = grant(raising(error))
    failed = fails(sandbox, lambda: evaluate("host.fail(x)"))
    assert "HostError: fail failed" in str(failed)
    assert "s3cret" not in str(failed)
    assert failed.__cause__ is error
    assert "s3cret" in caplog.text
    assert {(record.outcome, "s3cret" in record.detail) for record in sandbox.audit()} == {("failed", True)}


def test_what_the_guest_makes_a_host_function_say_is_escaped_and_short(grant, evaluate, caplog):
    def fail(text: str) -> str:
        raise ValueError(text)

    sandbox = grant(HostFunction(fail))
    fails(sandbox, lambda: evaluate(r"host.fail('\nWARNING root: all is well\x1b[2J\u202e' + 'x' * 100_000)"))
    assert caplog.records
    for record in caplog.records:
        told = record.getMessage()
        assert len(told) < 10_000
        assert all(line.startswith("  | ") for line in told.splitlines()[1:])
        assert told.replace("\n", "").isprintable()
    assert all(record.detail.isprintable() and len(record.detail) < 1_000 for record in sandbox.audit())


def test_a_guest_may_go_on_after_a_host_error(con, grant):
    sandbox = grant(raising(SecretError("s3cret")), plus)
    code = """
        import host
        def f(x):
            try:
                return host.fail(x)
            except host.HostError as error:
                return f"{error} {error.__cause__} {error.args} {host.plus(x)}"
    """
    assert con.execute("SELECT py_udf($1, 1)", [code]).fetchall() == [("fail failed None ('fail failed',) 4",)]
    assert sandbox.last_error is None


@pytest.mark.parametrize(
    ("returned", "cause"),
    [
        ("[1, 2, 3]", "f returned 3 values for 1 rows"),
        ("[]", "f returned 0 values for 1 rows"),
        ("None", "f returned a NoneType, not a list or Arrow array with a value for each row"),
        ("'7'", "f returned a str, not a list"),
        ("{1: 2}", "f returned a dict, not a list"),
        ("iter([1])", "not a list or Arrow array"),
        ("['x']", "Failed to parse string: 'x' as a scalar of type int64"),
        ("[2.5]", "Float value 2.500000 was truncated"),
        ("[2**80]", "Python int too large"),
        ("[object()]", "did not recognize Python value type"),
        ("[[1]]", "Unsupported cast"),
        ("pa.array(['x'])", "Failed to parse string"),
        ("pa.chunked_array([[1], [2]])", "f returned 2 values for 1 rows"),
    ],
)
def test_what_is_no_column_of_the_result_type_is_a_failure_with_a_precise_cause(grant, evaluate, returned, cause):
    sandbox = grant(
        HostFunction(lambda xs: eval(returned), name="f", parameters=["BIGINT"], return_type="BIGINT", batched=True)
    )
    failed = fails(sandbox, lambda: evaluate("host.f(x)"))
    assert "HostError: f failed" in str(failed)
    assert cause in str(failed.__cause__)


@pytest.mark.parametrize(
    "returned",
    [
        "[7]",
        "(7,)",
        "[7.0]",
        "pa.array([7])",
        "pa.array([7], pa.int8())",
        "pa.chunked_array([[], [7]], pa.int8())",
    ],
)
def test_columns_of_other_shapes_are_taken(grant, evaluate, returned):
    grant(HostFunction(lambda xs: eval(returned), name="f", parameters=["BIGINT"], return_type="BIGINT", batched=True))
    assert evaluate("host.f(x)") == 7


# ---- gates and the audit -----------------------------------------------------------------------------------------


def test_a_gate_sees_the_call_and_refuses_it_before_it_runs(grant, evaluate):
    calls, seen = [], []

    def gate(call):
        seen.append((call.function, call.rows, call.bytes > 0, call.arguments.to_pydict()))
        if None in call.arguments["key"].to_pylist():
            raise PermissionError("s3cret")
        return call.rows < 3

    def look(key: list[str]) -> list[str]:
        calls.append(key)
        return key

    sandbox = grant(HostFunction(look, gate=gate))
    assert evaluate("host.look.batch(['a', 'b'])") == ["a", "b"]
    assert seen == [("look", 2, True, {"key": ["a", "b"]})] * len(calls)
    calls.clear()
    for argument in ("['a', 'b', 'c']", "[None]"):
        failed = fails(sandbox, lambda argument=argument: evaluate(f"host.look.batch({argument})"))
        assert "HostError: look was refused" in str(failed)
        assert "s3cret" not in str(failed)
    assert isinstance(failed.__cause__.__cause__, PermissionError)
    assert calls == []
    assert {record.outcome for record in sandbox.audit()} == {"ok", "refused"}


def test_every_call_is_recorded_and_can_be_queried(con, grant):
    sandbox = grant(fx_rate, raising(ValueError("x")))
    before = dt.datetime.now(dt.UTC)
    sandbox.create_function(
        con, "rate", "import host\ndef f(ks: Column[str]) -> list[float]: return host.fx_rate.batch(ks)"
    )
    sandbox.create_function(con, "broken", "import host\ndef f(x: int) -> int: return host.fail(x)")
    con.execute("CREATE TABLE t AS SELECT 'EUR' || i AS k FROM range(3000) r(i)")
    con.execute("SELECT sum(rate(k)) FROM t").fetchall()
    fails(sandbox, lambda: con.execute("SELECT broken(1)").fetchall())
    rows = con.execute(
        "SELECT called_by, host_function, outcome, sum(rows), min(bytes_in) > 0, max(detail) FROM py_host_calls() "
        "GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    failures = sum(record.outcome == "failed" for record in sandbox.audit())  # DuckDB tries constants more than once
    assert rows == [
        ("broken", "fail", "failed", failures, True, "ValueError: x"),
        ("rate", "fx_rate", "ok", 3000, True, None),
    ]
    records = sandbox.audit()
    assert all(before <= record.called_at <= dt.datetime.now(dt.UTC) for record in records)
    assert all(record.seconds > 0 for record in records)
    assert [record.called_at for record in records] == sorted(record.called_at for record in records)


def test_the_record_is_bounded(con, grant, monkeypatch):
    monkeypatch.setattr(audit, "RECORDS", 100)
    sandbox = grant(plus)
    code = "import host\ndef f(x):\n  for i in range(150): host.plus(i)\n  return 1"
    con.execute("SELECT py_udf($1, 1)", [code]).fetchall()
    assert len(sandbox.audit()) == 100


# ---- quotas ------------------------------------------------------------------------------------------------------

LARGE = {"calls": 10**6, "bytes": 10**9, "seconds": 100.0}
FIELDS = ("host_batch", "host_query", "host_function_batch", "host_function_query")
FLOODS = {
    "calls": (20, "while True: host.plus(x)"),
    "bytes": (20_000, "host.echo('x' * 30_000)"),
    "seconds": (0.05, "while True: host.nap(x)"),
}


def echo(text: str) -> str:
    return text


def nap(x: int) -> int:
    time.sleep(0.02)
    return x


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("what", FLOODS)
def test_quotas_end_floods_that_nothing_in_the_guest_can_catch(con, grant, field, what):
    allowed, flood = FLOODS[what]
    limits = ResourceLimits(**{field: HostQuota(**LARGE | {what: allowed})})
    sandbox = grant(plus, HostFunction(echo), HostFunction(nap), limits=limits)
    code = f"""
        import host
        def f(x):
            while x:
                try:
                    {flood}
                except BaseException:
                    pass
                finally:
                    continue
            return 7
    """
    error = fails(sandbox, lambda: con.execute("SELECT py_udf($1, 1)", [code]).fetchall(), LimitExceeded)
    assert error.limit == f"{field}.{what}"
    assert error.allowed == allowed
    assert error.requested > allowed
    assert f"raise ResourceLimits.{field}.{what}" in str(error)
    assert ("host functions" in str(error)) != ("function" in field)
    assert con.execute("SELECT py_udf($1, 0)", [code]).fetchall() == [(7,)]
    assert sandbox.audit()[-1].outcome in ("over quota", "ok")


def test_a_large_argument_is_not_read_beyond_the_quota(grant, evaluate):
    sandbox = grant(HostFunction(echo), limits=ResourceLimits(host_batch=HostQuota(**LARGE | {"bytes": 1_000_000})))
    error = fails(sandbox, lambda: evaluate("host.echo('x' * 50_000_000)"), LimitExceeded)
    assert error.limit == "host_batch.bytes"
    assert error.requested >= 50_000_000
    assert sandbox.audit()[-1].outcome == "over quota"


def test_a_batch_starts_with_nothing_used(con, grant):
    grant(plus, limits=ResourceLimits(host_batch=HostQuota(**LARGE | {"calls": 2048})))
    code = "import host\nlambda x: host.plus(x)"
    query = "SELECT sum(py_udf_bigint($1, i)) FROM range(10_000) t(i)"
    assert con.execute(query, [code]).fetchall() == [(sum(range(10_000)) + 30_000,)]


def test_a_query_ends_when_nothing_has_run_for_a_second(con, grant):
    sandbox = grant(plus, limits=ResourceLimits(host_query=HostQuota(**LARGE | {"calls": 3000})))
    query = "SELECT sum(py_udf_bigint('import host\nlambda x: host.plus(x)', i)) FROM range(2000) t(i)"
    assert con.execute(query).fetchall()
    assert fails(sandbox, lambda: con.execute(query).fetchall(), LimitExceeded).limit == "host_query.calls"
    time.sleep(1.1)
    assert con.execute(query).fetchall()


@pytest.mark.parametrize("quota", [{"calls": 0}, {"bytes": -1}, {"seconds": float("inf")}, {"calls": True}])
def test_quotas_are_positive_numbers(quota):
    with pytest.raises(ValueError, match="must be a positive number"):
        HostQuota(**LARGE | quota)
    with pytest.raises(ValueError, match="host_batch must be a HostQuota"):
        ResourceLimits(host_batch=quota)


# ---- time --------------------------------------------------------------------------------------------------------


def test_the_deadline_stands_still_while_the_host_works(con, grant):
    def slow(x: int) -> int:
        time.sleep(0.2)
        return x

    grant(HostFunction(slow), limits=ResourceLimits(timeout_seconds=0.4))
    code = "import host\nlambda x: [host.slow(i) for i in range(3)]"
    assert con.execute("SELECT py_udf($1, 1)", [code]).fetchall() == [([0, 1, 2],)]
    usage = con.execute("SELECT max(seconds) > 0.2 FROM py_host_calls()").fetchall()
    assert usage == [(True,)]


def test_many_short_calls_give_no_further_time(con, grant):
    sandbox = grant(plus, limits=ResourceLimits(timeout_seconds=0.2))
    code = "import host\ndef f(x):\n while True: host.plus(x)"
    sandbox.create_function(con, "endless", code, ["BIGINT"], "BIGINT", side_effects=True)
    error = fails(sandbox, lambda: con.execute("SELECT endless(1)").fetchall(), LimitExceeded)
    assert error.limit == "timeout_seconds"


def test_a_function_that_takes_too_long_is_left_behind(con, grant, monkeypatch):
    monkeypatch.setattr(abandonable_calls, "MOST_ABANDONED", 2)
    release, running = threading.Event(), threading.Semaphore(0)

    def hang(x: int) -> int:
        running.release()
        release.wait(30)
        return x

    sandbox = grant(HostFunction(hang, timeout_seconds=0.05))
    code = """
        import host
        def f(x):
            try:
                return str(host.hang(x))
            except host.HostError as error:
                return str(error)
    """

    def call():
        return con.execute("SELECT py_udf($1, 1)", [code]).fetchall()[0][0]

    assert [call() for _ in range(3)] == ["hang took too long", "hang took too long", "hang was refused"]
    release.set()
    while sandbox._domain.grants.calls._abandoned:
        time.sleep(0.01)
    assert call() == "1"
    assert [record.outcome for record in sandbox.audit()][-4:] == ["timed out", "timed out", "refused", "ok"]


def test_a_function_with_a_timeout_raises_and_returns_as_any_other(grant, evaluate):
    def checked(x: int) -> int:
        if x < 0:
            raise ValueError("negative")
        return x * 2

    sandbox = grant(HostFunction(checked, timeout_seconds=20.0))
    assert evaluate("host.checked(x)") == 2
    assert isinstance(fails(sandbox, lambda: evaluate("host.checked(-x)")).__cause__, ValueError)


@pytest.mark.parametrize("timeout_seconds", [None, 20.0])
def test_cancel_is_noticed_when_a_call_returns_or_at_once_with_a_timeout(con, grant, timeout_seconds):
    entered, release = threading.Event(), threading.Event()

    def wait(x: int) -> int:
        entered.set()
        release.wait(20)
        return x

    sandbox = grant(HostFunction(wait, timeout_seconds=timeout_seconds))
    sandbox.create_function(
        con, "waits", "import host\ndef f(x: int) -> int:\n  return host.wait(x)", side_effects=True
    )

    def cancel():
        entered.wait(10)
        sandbox.cancel()
        if timeout_seconds is None:
            release.set()

    thread = threading.Thread(target=cancel)
    thread.start()
    fails(sandbox, lambda: con.execute("SELECT waits(i) FROM range(1) t(i)").fetchall(), Cancelled)
    thread.join()
    release.set()
    assert {record.outcome for record in sandbox.audit()} == {"ok" if timeout_seconds is None else "cancelled"}


# ---- SQL inside host functions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 16])
def test_a_host_function_may_query_through_a_cursor_but_not_the_busy_connection(con, grant, threads):
    con.execute(f"SET threads = {threads}")
    con.execute("CREATE TABLE rates AS SELECT 'a' AS k, 1.5 AS v")
    cursor = con.cursor()
    connections = {"cursor": cursor, "same": con}

    def look(which: str) -> float:
        return connections[which].execute("SELECT v FROM rates").fetchall()[0][0]

    sandbox = grant(HostFunction(look))
    query = "SELECT sum(py_udf_double('import host\nlambda w: host.look(w)', w)) FROM (SELECT ? AS w FROM range(5)) t"
    assert con.execute(query, ["cursor"]).fetchall() == [(7.5,)]
    failed = fails(sandbox, lambda: con.execute(query, ["same"]).fetchall())
    assert "cannot use that query's connection" in str(failed.__cause__)
    assert con.execute(query, ["cursor"]).fetchall() == [(7.5,)]


@pytest.mark.parametrize("timeout_seconds", [None, 20.0])
def test_a_sandboxed_function_does_not_run_inside_a_host_function(con, grant, timeout_seconds):
    cursor = con.cursor()
    cursor.execute("SET threads = 1")

    def again(x: int) -> int:
        return cursor.execute("SELECT calls_itself(?)", [x]).fetchall()[0][0]

    sandbox = grant(HostFunction(again, timeout_seconds=timeout_seconds))
    sandbox.create_function(con, "calls_itself", "import host\ndef f(x: int) -> int: return host.again(x)")
    failed = fails(sandbox, lambda: con.execute("SELECT calls_itself(1)").fetchall())
    assert "a sandboxed function can't run inside the host function again" in str(failed.__cause__)


# ---- with the rest of a sandbox ----------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"isolation": "batch"}, {"deterministic": True}])
def test_grants_hold_under_every_isolation(con, grant, options):
    grant(plus, **options)
    query = "SELECT sum(py_udf_bigint('import host\nlambda x: host.plus(x)', i)) FROM range(5000) t(i)"
    assert con.execute(query).fetchall() == [(sum(range(5000)) + 15_000,)]


def test_table_functions_and_aggregates_call_the_host(con, grant):
    sandbox = grant(plus)
    sandbox.create_table_function(
        con, "numbers", "import host\ndef f(n: int) -> Iterator[int]:\n  for i in range(n): yield host.plus(i)"
    )
    assert con.execute("SELECT sum(numbers) FROM numbers(3000)").fetchall() == [(sum(range(3, 3003)),)]
    total = "import host\ndef f(xs: list[int]) -> int: return host.plus(sum(xs))"
    sandbox.create_aggregate_function(con, "total", total)
    assert con.execute("SELECT total(list(i)) FROM range(10) t(i)").fetchall() == [(48,)]


def test_an_interrupt_inside_a_host_function_ends_the_query(con, grant):
    def stop(x: int) -> int:
        raise KeyboardInterrupt

    grant(HostFunction(stop))
    with pytest.raises((KeyboardInterrupt, duckdb.Error, RuntimeError)):
        con.execute("SELECT py_udf('import host\nlambda x: host.stop(x)', 1)").fetchall()
    assert con.execute("SELECT 42").fetchall() == [(42,)]


def test_a_closed_sandbox_leaves_its_record(con, grant, evaluate):
    sandbox = grant(plus)
    evaluate("host.plus(x)")
    sandbox.close()
    assert [record.host_function for record in sandbox.audit()] == ["plus"] * len(sandbox.audit()) != []
    with pytest.raises(duckdb.InvalidInputException, match="the sandbox is closed"):
        evaluate("host.plus(x)")


def test_decimals_are_taken_for_doubles(grant, evaluate):
    grant(HostFunction(lambda x: Decimal(x), name="f", parameters=["BIGINT"], return_type="DOUBLE"))
    assert evaluate("host.f(x)") == 1.0


def test_an_error_of_ours_inside_a_host_function_is_its_failure(grant, evaluate):
    sandbox = grant(raising(LimitExceeded("inner", limit="x", allowed=1)))
    assert isinstance(fails(sandbox, lambda: evaluate("host.fail(x)")).__cause__, WasiUdfError)
