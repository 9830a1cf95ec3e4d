"""Host functions: granted, called from guests, checked, counted, stopped."""

import logging
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

import duckdb
import pyarrow as pa
import pytest

import duckdb_wasi_udf as wasi_udf
from duckdb_wasi_udf import (
    Column,
    HostFunction,
    LimitExceeded,
    SignatureError,
    WasiUdfError,
    host_function,
)
from tests.host_functions.samples import RATES, fails, fx_rate, plus, raising

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
    assert [granted.function.batched for granted in sandbox._domain.grants.functions] == [
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
    assert sandbox._domain.grants.functions[0].function.parameters == ("DECIMAL(18,3)[]",)
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
def test_what_cannot_be_granted_is_refused_by_the_sandbox(functions, text):
    with pytest.raises(SignatureError) as raised:
        wasi_udf.Sandbox(host_functions=functions)
    assert text in str(raised.value)


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan")])
def test_a_timeout_is_a_positive_number(seconds):
    with pytest.raises(ValueError, match="timeout_seconds must be a positive number"):
        HostFunction(plus.function, timeout_seconds=seconds)


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
def test_wrong_arguments_are_errors_before_anything_crosses(grant, evaluate, expression, text):
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


def test_a_host_functions_text_is_escaped_and_short(grant, evaluate, caplog):
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


@pytest.mark.parametrize(
    ("code", "has_cause"),
    [
        ("lambda x: host.fail(x)", True),
        ("def f(x):\n try: host.fail(x)\n except Exception as error: raise ValueError('again') from error", True),
        ("def f(x):\n try: host.fail(x)\n except Exception: raise ValueError('meanwhile')", True),
        ("def f(x):\n try: host.fail(x)\n except Exception as error: raise ExceptionGroup('all', [error])", True),
        ("def f(x):\n try: host.fail(x)\n except Exception: raise ValueError('HostError') from None", False),
        ("def f(x):\n try: host.fail(x)\n except Exception: pass\n raise ValueError('HostError: fail failed')", False),
        ("class HostError(Exception): pass\ndef f(x):\n raise HostError('fail failed')", False),
    ],
)
def test_an_error_has_the_host_functions_exception_as_its_cause(con, grant, code, has_cause):
    sandbox = grant(HostFunction(raising(SecretError("inside")).function, name="fail", return_type="BIGINT"))
    error = fails(sandbox, lambda: con.execute("SELECT py_udf($1, 1)", [f"import host\n{code}"]).fetchall())
    assert isinstance(error.__cause__, SecretError) is has_cause


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
        ("['x']", pa.ArrowInvalid),
        ("[2.5]", pa.ArrowInvalid),
        ("[2**80]", OverflowError),
        ("[object()]", pa.ArrowInvalid),
        ("[[1]]", pa.ArrowNotImplementedError),
        ("pa.array(['x'])", pa.ArrowInvalid),
        ("pa.chunked_array([[1], [2]])", "f returned 2 values for 1 rows"),
    ],
)
def test_what_is_no_column_of_the_result_type_is_a_failure(grant, evaluate, returned, cause):
    sandbox = grant(
        HostFunction(lambda xs: eval(returned), name="f", parameters=["BIGINT"], return_type="BIGINT", batched=True)
    )
    failed = fails(sandbox, lambda: evaluate("host.f(x)"))
    assert "HostError: f failed" in str(failed)
    if isinstance(cause, str):
        assert cause in str(failed.__cause__)
    else:
        assert isinstance(failed.__cause__, cause)


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


# ---- SQL inside host functions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 16])
def test_a_host_function_may_query_through_a_cursor(con, grant, threads):
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
    assert isinstance(failed.__cause__, duckdb.Error)
    assert con.execute(query, ["cursor"]).fetchall() == [(7.5,)]


@pytest.mark.parametrize("timeout_seconds", [None, 20.0])
def test_no_sandboxed_function_runs_inside_a_host_function(con, grant, timeout_seconds):
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
