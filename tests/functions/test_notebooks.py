"""Functions and classes of notebook cells are shipped like those of files."""

import pytest

from tests.support import notebook
from tests.support.repository import ROOT

BEGIN = """
import duckdb, duckdb_wasi_udf as wasi_udf
con = duckdb.connect()
sandbox = wasi_udf.install(con)
RATE = 3
"""

IMPORTS = """
import enum
from dataclasses import dataclass, field
from typing import Iterator, NamedTuple, TypedDict
"""

# The cells of each notebook, between lines "# %%".
NOTEBOOKS = {
    "a dataclass": """
@dataclass
class P:
    x: float
    y: float = RATE
    def total(self): return self.x + self.y
# %%
@sandbox.function(con)
def made(d: int) -> P:
    return P(d)
# %%
@sandbox.function(con)
def total(d: int) -> float:
    return P(d).total()
# %%
assert con.sql('SELECT made(2), total(2)').fetchall() == [({'x': 2.0, 'y': 3.0}, 5.0)]
""",
    "a named tuple, a TypedDict and an enumeration": """
class N(NamedTuple):
    a: int = 4
class T(TypedDict):
    k: int
class E(enum.Enum):
    A = 1
# %%
@sandbox.function(con)
def pair(x: int) -> N:
    return N(x)
# %%
@sandbox.function(con)
def keyed(x: int) -> T:
    return T(k=E(x).value)
# %%
assert con.sql('SELECT pair(1), keyed(1)').fetchall() == [({'a': 1}, {'k': 1})]
""",
    "an aggregate": """
class Total:
    def __init__(self):
        self.sum = 0
    def step(self, x: int):
        self.sum += x * RATE
    def finish(self) -> int:
        return self.sum
# %%
sandbox.create_aggregate_function(con, 'total', Total)
# %%
assert con.sql('SELECT total(list(i)) FROM range(5) t(i)').fetchall() == [(30,)]
""",
    "a table function and a map": """
class Row(TypedDict):
    n: int
    twice: int
# %%
def rows(n: int) -> Iterator[Row]:
    for i in range(n):
        yield Row(n=i, twice=2 * i)
# %%
sandbox.create_table_function(con, 'rows', rows)
# %%
assert con.sql('FROM rows(2)').fetchall() == [(0, 0), (1, 2)]
# %%
class Sums:
    def __init__(self):
        self.sum = 0
    def process(self, n: int) -> Iterator[Row]:
        self.sum += n
        yield Row(n=n, twice=self.sum)
# %%
found = sandbox.map_batches(con.sql('SELECT i AS n FROM range(3) t(i)'), Sums)
# %%
assert found.fetchall() == [(0, 0), (1, 1), (2, 3)]
""",
    "magics": """
%%time
@sandbox.function(con)
def tripled(x: int) -> int:
    return x * RATE
# %%
%%time
class Adds:
    def __call__(self, x: int) -> int:
        return x + RATE
adds = Adds()
# %%
%%capture
def captured(x: int) -> int:
    return x + 7
# %%
%time timed = lambda x: x + 2
# %%
for name in ('adds', 'captured'):
    sandbox.create_function(con, name, globals()[name])
# %%
sandbox.create_function(con, 'timed', timed, ['BIGINT'], 'BIGINT')
# %%
found = con.sql('SELECT tripled(2), adds(1), captured(1), timed(1)').fetchall()
assert found == [(6, 4, 8, 3)]
""",
    "a cell that ran twice": """
def changing(x: int) -> int:
    return x + 1
# %%
def changing(x: int) -> int:
    return x + 2
# %%
sandbox.create_function(con, 'changing', changing)
# %%
assert con.sql('SELECT changing(1)').fetchall() == [(3,)]
""",
    "exec": r"""
exec('def executed(x: int) -> int:\n    return x + 5')
# %%
import linecache
text = 'def ' + 'cached(x: int) -> int: return x + 6\n'
linecache.cache['<made>'] = (len(text), None, [text], '<made>')
exec(compile(text, '<made>', 'exec'))
# %%
sandbox.create_function(con, 'executed', executed)
sandbox.create_function(con, 'cached', cached)
# %%
assert con.sql('SELECT executed(1), cached(1)').fetchall() == [(6, 7)]
# %%
exec('de' + 'f lost(x: int) -> int: return x')
# %%
try:
    sandbox.create_function(con, 'lost', lost)
except wasi_udf.SignatureError as error:
    assert 'pass the source as text' in str(error)
else:
    raise AssertionError
""",
    "autoreload": r"""
import os, pathlib, sys, tempfile
folder = pathlib.Path(tempfile.mkdtemp())
sys.path.insert(0, str(folder))
sys.dont_write_bytecode = True
file = folder / 'reloaded_module.py'
file.write_text('def moving(x: int) -> int:\n    return x + 1\n')
# %%
%load_ext autoreload
%autoreload 2
from reloaded_module import moving
# %%
text = '# more\nimport math\n\ndef moving(x: int) -> int:\n    return x + 100\n'
file.write_text(text)
os.utime(file, (2e9, 2e9))
# %%
assert moving(1) == 101
# %%
sandbox.create_function(con, 'moving', moving)
assert con.sql('SELECT moving(1)').fetchall() == [(101,)]
""",
}


@pytest.fixture(scope="module")
def failures(tmp_path_factory):
    pytest.importorskip("IPython", reason="IPython is not installed: pip install 'duckdb-wasi-udf[dev]'")
    cells = {
        name: [BEGIN, IMPORTS, *[f"{cell}\n" for cell in text.strip("\n").split("\n# %%\n")], "sandbox.close()"]
        for name, text in NOTEBOOKS.items()
    }
    return notebook.run(cells, tmp_path_factory.mktemp("ipython"), ROOT)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_cells_are_shipped(name, failures):
    assert failures[name] is None
