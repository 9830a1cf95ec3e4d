"""Which functions run on the guest with numpy, what they share and don't, and how numpy differs there."""

import hashlib
import json
import logging
import math

import duckdb
import numpy as np
import pytest

import duckdb_wasi_udf as wasi_udf
from duckdb_wasi_udf import ArtifactError, GuestError
from duckdb_wasi_udf._engine import artifact
from duckdb_wasi_udf._engine.engine import Engine
from duckdb_wasi_udf._guests.definition import Definition
from duckdb_wasi_udf._guests.numpy_use import mentions_numpy

HAS_NUMPY = "def f(x):\n    import sys\n    return 'num' + 'py' in sys.modules"


@pytest.mark.parametrize(
    ("source", "uses"),
    [
        ("import numpy as np\nf = lambda x: x", True),
        ("import os, numpy\nf = lambda x: x", True),
        ("from numpy import sin\nf = lambda x: sin(x)", True),
        ("from numpy.linalg import norm\nf = lambda x: x", True),
        ("import numpy.random as r\nf = lambda x: x", True),
        ("def f(x):\n    import numpy", True),
        ("import importlib\nf = lambda x: importlib.import_module('numpy')", True),
        ("f = lambda x: __import__('numpy.linalg')", True),
        ("lambda x: x + 1", False),
        ("# as numpy does\nlambda x: x", False),
        ("import numpydoc\nlambda x: x", False),
        ("numpy = 1\nlambda x: x", False),
        ("import mynumpy\nlambda x: x", False),
    ],
)
def test_the_text_decides(source, uses):
    assert mentions_numpy(Definition.from_source(source, "f"), frozenset()) is uses


def test_functions_without_numpy_do_not_load_its_guest(con, sandbox):
    assert con.execute("SELECT py_udf($1, 1)", [HAS_NUMPY]).fetchone() == (False,)
    assert sandbox._domain._numpy_engines == []
    assert con.execute("SELECT py_udf($1, 1)", [f"import numpy\n{HAS_NUMPY}"]).fetchone() == (True,)
    assert len(sandbox._domain._numpy_engines) == 1
    assert con.execute("SELECT py_udf($1, 2)", [HAS_NUMPY]).fetchone() == (False,)


def test_no_guest_with_numpy_is_one_clear_sentence(con, sandbox, monkeypatch, tmp_path):
    monkeypatch.setattr(artifact, "NUMPY_DIRECTORY", tmp_path / "none")
    with pytest.raises(duckdb.InvalidInputException, match="run `make guest-numpy` in a source tree"):
        con.execute("SELECT py_udf('import numpy\nf = lambda x: x', 1)").fetchall()
    assert isinstance(sandbox.last_error, ArtifactError)
    assert con.execute("SELECT py_udf('lambda x: x', 1)").fetchone() == (1,)


def test_an_import_that_the_text_does_not_show_fails_with_a_hint(failing):
    code = "def f(x):\n    name = 'num' + 'py'\n    return __import__(name)"
    assert "write `import numpy` into this one's" in str(failing("SELECT py_udf($1, 1)", [code], error=GuestError))


def test_what_numpy_is_without_says_so(failing):
    code = "import numpy.f2py\nf = lambda x: x"
    assert "the sandbox's numpy is without it" in str(failing("SELECT py_udf($1, 1)", [code], error=GuestError))


def test_a_package_that_imports_numpy_brings_it_along(con, tmp_path):
    (tmp_path / "means").mkdir()
    (tmp_path / "means" / "__init__.py").write_text("from means.inner import mean\n")
    (tmp_path / "means" / "inner.py").write_text("import numpy as np\ndef mean(xs): return float(np.mean(xs))\n")
    (tmp_path / "users.py").write_text("import means\n")
    (tmp_path / "others.py").write_text("import math\n")
    with wasi_udf.Sandbox(packages=[tmp_path]).install(con) as sandbox:
        assert sandbox._domain.modules.with_numpy == {"means", "users"}
        code = "from users import means\nf = lambda x: means.mean([x, x + 1])"
        assert con.execute("SELECT py_udf($1, 1)", [code]).fetchone() == (1.5,)
        assert con.execute("SELECT py_udf($1, 1)", ["import others\n" + HAS_NUMPY]).fetchone() == (False,)


def test_numpy_among_the_packages_is_the_guests_own(con):
    pytest.importorskip("packaging", reason="packaging is not installed: pip install 'duckdb-wasi-udf[packages]'")
    with wasi_udf.Sandbox(packages=["numpy"]).install(con):
        assert con.execute("SELECT py_udf('import numpy\nf = lambda x: numpy.__version__', 1)").fetchone() == ("2.5.5",)


def test_functions_with_numpy_are_not_compiled(con, sandbox):
    sandbox.create_function(con, "g", "import numpy as np\ndef g(x: int) -> int: return x + 1")
    assert con.execute("SELECT sum(g(i)) FROM range(50000) t(i)").fetchone() == (sum(range(1, 50001)),)
    assert "functions with numpy aren't compiled" in sandbox.explain("g")


def test_the_guest_is_compiled_once_a_machine_with_a_message(tmp_path, monkeypatch, caplog):
    """With a tiny module in its place."""
    module = tmp_path / "guest.wasm"
    module.write_bytes(b"\0asm\1\0\0\0")
    guest = artifact.Guest(
        module_path=module,
        sha256=hashlib.sha256(module.read_bytes()).hexdigest(),
        manifest={"versions": {"numpy": "2.5.5"}},
    )
    with caplog.at_level(logging.WARNING, "duckdb_wasi_udf.cache"):
        first = Engine(guest, tmp_path / "cache", timeout_seconds=1)
        second = Engine(guest, tmp_path / "cache", timeout_seconds=1)
    assert (first.compiled_now, second.compiled_now) == (True, False)
    assert [record.getMessage().partition(",")[0] for record in caplog.records] == [
        "compiling the guest with numpy for this machine"
    ]


# ---- random numbers ----------------------------------------------------------------------------------------------

RANDOM = (
    "import random\nimport numpy as np\nlambda x: [np.random.rand(), np.random.default_rng().random(), random.random()]"
)


def test_each_instance_has_random_numbers_of_its_own():
    with duckdb.connect() as con, wasi_udf.Sandbox(isolation="batch").install(con):
        rows = con.execute("SELECT py_udf($1, i) FROM range(3 * 2048) t(i)", [RANDOM]).fetchall()
        found = [rows[start][0] for start in (0, 2048, 4096)]
    for numbers in zip(*found, strict=True):
        assert len(set(numbers)) == 3


def test_a_deterministic_sandbox_repeats_them():
    found = []
    for _ in range(2):
        with duckdb.connect() as con, wasi_udf.Sandbox(deterministic=True).install(con):
            found.append(con.execute("SELECT py_udf($1, i) FROM range(5) t(i)", [RANDOM]).fetchall())
    assert found[0] == found[1]


def test_seeded_streams_are_those_of_other_platforms(con, sandbox):
    code = """
import numpy as np
def f(x):
    g, r = np.random.default_rng(7), np.random.RandomState(7)
    return [*g.normal(size=9).tolist(), *g.integers(0, 10**12, 9).tolist(), *r.rand(9).tolist(),
            *r.normal(size=9).tolist(), *r.randint(0, 100, 9).tolist(), *r.poisson(5, 9).tolist(),
            *g.poisson(5, 9).tolist(), *g.binomial(10, 0.3, 9).tolist(), *g.zipf(2.0, 9).tolist(),
            *g.hypergeometric(5, 6, 7, 9).tolist(), *g.multinomial(20, [0.5, 0.5], 2).ravel().tolist(),
            *g.negative_binomial(5, 0.5, 9).tolist(), *g.geometric(0.3, 9).tolist(), *g.logseries(0.5, 9).tolist(),
            *r.binomial(10, 0.3, 9).tolist(), *r.zipf(2.0, 9).tolist(), *r.multinomial(20, [0.5, 0.5]).tolist(),
            *g.permutation(9).tolist(), *g.choice(9, 5).tolist(), *g.gamma(2, size=9).tolist()]
"""
    namespace = {}
    exec(code, namespace)
    found = con.execute("SELECT py_udf_json($1, 1)::VARCHAR", [code]).fetchone()[0]
    assert np.allclose(np.array(eval(found)), namespace["f"](1), rtol=1e-12)


# ---- against numpy on the host -----------------------------------------------------------------------------------

EXPRESSIONS = [
    "np.array([2**31 - 1]) + 1",
    "np.arange(3) * 10**12",
    "np.array([1, 2, 3]).dtype",
    "np.zeros(3, int).dtype",
    "np.full(3, 7).dtype",
    "np.array([True, False]).sum() * 2**40",
    "np.array([100] * 3, np.int8).sum()",
    "np.array([100] * 3, np.uint8).sum().dtype",
    "np.prod(np.array([10**5, 10**5], np.int32))",
    "np.cumsum(np.array([2**30] * 4, np.int32))",
    "np.add(2**31 - 1, 1)",
    "np.square(100_000)",
    "np.int_(2**40)",
    "np.iinfo(int).max",
    "np.dtype('int')",
    "np.array([True]) + 1",
    "np.linspace(0, 10, 3).astype(int) * 10**10",
    "np.array([1.5, 2.5]).round().astype(int).dtype",
    "np.random.default_rng(1).integers(10, size=3).dtype",
    "np.take(np.arange(9.0), [1, 2])",
    "np.repeat([1, 2], [3, 4])",
    "np.bincount([1, 2, 2, 5]).tolist()",
    "np.digitize([1.5, 2.5], [1, 2, 3]).tolist()",
    "np.histogram(np.arange(9), 3)[0].tolist()",
    "np.unravel_index(np.array([5, 7]), (3, 3))[0].tolist()",
    "np.ravel_multi_index((np.array([1, 2]), np.array([0, 1])), (3, 3)).tolist()",
    "np.searchsorted([1, 3, 5], [2, 4]).tolist()",
    "np.unique([3, 1, 3, 2], return_counts=True)[1].tolist()",
    "np.split(np.arange(6), [2, 4])[1]",
    "np.put_along_axis(a := np.zeros((2, 2)), np.array([[1], [0]]), 5, 1) or a",
    "np.choose([0, 1, 0], [[1, 2, 3], [4, 5, 6]])",
    "np.insert(np.arange(4), [1, 2], 9)",
    "np.delete(np.arange(4), np.array([1, 3]))",
    "np.roll(np.arange(5), np.array([2]))",
    "np.eye(3)[np.array([0, 2])]",
    "np.arange(9).reshape(3, 3)[[0, 2], [1, 1]]",
    "np.arange(24).reshape(np.array([2, 3, 4])).shape",
    "np.ix_([0, 2], [1])[0].tolist()",
    "np.nonzero([0, 3, 0, 5])[0].tolist()",
    "np.einsum('ij,jk->ik', np.arange(4).reshape(2, 2), np.arange(4).reshape(2, 2))",
    "np.array([3, 1, 2])[np.argsort([3, 1, 2])]",
    "np.lexsort(([1, 0, 1], [0, 1, 0])).tolist()",
    "np.linalg.solve([[3.0, 1], [1, 2]], [9.0, 8])",
    "np.linalg.inv(np.diag([1.0, 2, 4]))",
    "np.linalg.det([[1.0, 2], [3, 4]])",
    "np.linalg.eigvalsh([[2.0, 1], [1, 2]])",
    "np.linalg.svd(np.arange(6.0).reshape(2, 3))[1]",
    "np.linalg.lstsq(np.vander([1.0, 2, 3], 2), [1.0, 2, 3])[0].round(9) + 0",
    "np.linalg.qr(np.array([[1.0, 2], [3, 4]]))[1].round(9)",
    "np.linalg.norm([3, 4])",
    "np.fft.fft([1, 2, 3, 4]).real",
    "np.fft.irfft(np.fft.rfft(np.arange(7.0)), 7).round(12)",
    "np.polyfit([1, 2, 3], [2, 4, 6], 1).round(9)",
    "np.polynomial.Polynomial([1, 2])(3)",
    "np.interp([1.5], [1, 2], [10, 20])",
    "np.convolve([1, 2, 3], [0, 1, 0.5])",
    "np.corrcoef([1, 2, 3], [1, 2, 4]).round(12)",
    "np.percentile([1, 2, 3, 4], [25, 50])",
    "np.median(np.array([[1, 2], [3, 4]]), axis=0)",
    "np.ma.array([1, 2, 3], mask=[0, 1, 0]).mean()",
    "np.datetime64('2020-02-29') + np.arange(3)",
    "np.busday_count('2020-01-01', '2020-02-01')",
    "np.array(['a', 'bc']) * 2 if False else np.char.add(['a'], ['b'])",
    "np.strings.find(np.array(['abc', 'cab']), 'c').tolist()",
    "np.strings.multiply(np.array(['ab']), 3)",
    "np.strings.center(np.array(['ab']), 6)",
    "np.array(['x', 'longer than sixteen bytes'], dtype='T')",
    "np.vectorize(lambda v: v + 1)([1, 2])",
    "np.select([np.arange(3) < 1], [np.arange(3)], 9)",
    "np.float32(1) / 3",
    "np.float64(0.1) + 0.2",
    "np.finfo(np.float64).eps",
    "np.spacing(1.0)",
    "np.nextafter(1, 2)",
    "np.array([1, 2]) // 0",
    "np.floor_divide(-7, 2)",
    "np.mod(-7, 3)",
    "np.left_shift(1, 40)",
    "np.bitwise_count(np.array([7, 2**40]))",
    "np.frombuffer(b'abcd', np.uint8)",
    "np.packbits([1, 0, 1])",
    "np.save(b := __import__('io').BytesIO(), np.arange(3)) or np.load(__import__('io').BytesIO(b.getvalue()))",
    "np.loadtxt(__import__('io').StringIO('1 2\\n3 4'))",
    "np.genfromtxt(__import__('io').StringIO('1,2\\n3,'), delimiter=',')",
    "__import__('pickle').loads(__import__('pickle').dumps(np.arange(3)))",
    "__import__('copy').copy(np.float64(1))",
    "np.array([1, 2]).tobytes()",
    "np.array2string(np.array([1.5, 2]))",
    "np.isclose(0.1 + 0.2, 0.3)",
    "np.broadcast_shapes((3, 1), (1, 4))",
    "np.lib.stride_tricks.sliding_window_view(np.arange(5), 3)",
    "np.apply_along_axis(np.sum, 0, np.ones((2, 2)))",
    "np.trapezoid([1, 2, 3])",
    "np.gradient([1, 4, 9])",
    "np.kron([1, 2], [1, 1])",
    "np.tensordot(np.ones((2, 3)), np.ones((3, 2)), 1)",
    "np.exp(np.linspace(-3, 3, 7)).round(12)",
    "np.sin(np.linspace(-9, 9, 7)).round(12)",
    "np.array([1e308]) * 10",
    "np.sqrt(np.array([-1.0]))",
    "np.array([3, 1, 2], '>i4').astype('<i4')",
    "np.longdouble(1) + 1",
    "repr(np.int64(3))",
    "exec('from numpy import *', found := {}) or found['pi']",
    "[name for name in dir(np) if not hasattr(np, name)]",
]


def test_expressions_are_those_of_numpy_on_the_host(con, sandbox):
    code = """
import json
import numpy as np

def f(expressions: str) -> str:
    results = []
    for expression in json.loads(expressions):
        try:
            results.append(repr(eval(expression, {"np": np})))
        except Exception as error:
            results.append(type(error).__name__)
    return json.dumps(results)
"""
    (found,) = con.execute("SELECT py_udf($1, $2)", [code, json.dumps(EXPRESSIONS)]).fetchone()
    with np.errstate(all="ignore"):
        expected = [repr(eval(expression, {"np": np})) for expression in EXPRESSIONS]
    differing = {
        expression: (here, there)
        for expression, here, there in zip(EXPRESSIONS, json.loads(found), expected, strict=True)
        if here != there
    }
    assert differing == {}


def test_floats_do_not_warn_and_integers_do(con, sandbox):
    code = """
import warnings
import numpy as np

def f(x):
    with warnings.catch_warnings(record=True) as caught, np.errstate(all="warn"):
        warnings.simplefilter("always")
        np.array([1.0]) / 0
        floats = len(caught)
        np.array([1]) // 0
    return [floats, len(caught) - floats]
"""
    assert con.execute("SELECT py_udf($1, 1)", [code]).fetchone() == ([0, 1],)


def test_a_singular_matrix_raises(failing):
    code = "import numpy as np\nlambda x: np.linalg.inv(np.zeros((2, 2)))"
    assert "LinAlgError" in str(failing("SELECT py_udf($1, 1)", [code], error=GuestError))


@pytest.mark.parametrize(
    "code",
    [
        "np.fromfile('x')",
        "np.memmap('x', shape=(1,))",
        "np.arange(3).tofile('x')",
        "np.ctypeslib.load_library('x', '.')",
        "np.array([0])[2**40]",
        "np.array([0])[np.array([2**40])]",
    ],
)
def test_what_is_not_there_is_an_error(failing, code):
    failing("SELECT py_udf($1, 1)", [f"import numpy as np\nlambda x: {code}"], error=GuestError)


def test_a_compiled_function_and_one_with_numpy_agree(con, sandbox):
    sandbox.create_function(con, "plain", "import math\ndef plain(x: float) -> float: return math.log1p(x)")
    code = "import numpy as np\ndef f(x: np.ndarray) -> np.ndarray: return np.log1p(x)"
    found = con.execute("SELECT plain(i), py_udf_double($1, i::DOUBLE) FROM range(5000) t(i)", [code]).fetchall()
    assert all(math.isclose(left, right, rel_tol=1e-15) for left, right in found)
