import json

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.conftest import PRICES


@pytest.fixture
def sales(tmp_path):
    table = pa.table({"country": ["DE", "FR", None] * 1000, "net": [1.5, 2.0, 10.0] * 1000, "id": range(3000)})
    pq.write_table(table, tmp_path / "sales.parquet")
    return table


def expected(table):
    source = {}
    exec(PRICES, source)
    rows = zip(table["net"].to_pylist(), table["country"].to_pylist(), strict=True)
    return [None if country is None else source["gross"](net, country) for net, country in rows]


def test_columns_are_passed_by_the_names_of_parameters(cli, prices, sales, tmp_path):
    done = cli("run", prices, "sales.parquet", "-o", "out.parquet")
    assert (done.status, done.out, done.err) == (0, "", "")
    found = pq.read_table(tmp_path / "out.parquet")
    assert found.column_names == ["country", "net", "id", "gross"]
    assert found["gross"].to_pylist() == expected(sales)
    assert found.drop_columns("gross").to_pydict() == sales.to_pydict()


def test_parameters_have_no_case_and_defaults_may_be_left_out(cli, prices):
    done = cli("run", prices, "-", "--input-format", "json", "--json", stdin='{"NET": 100, "x": "ü"}')
    assert done.json() == [{"NET": 100, "x": "ü", "gross": 119.0}]


def test_results_replace_a_column_or_stand_alone(cli, prices, sales, tmp_path):
    cli("run", prices, "sales.parquet", "--as", "NET", "-o", "replaced.parquet")
    replaced = pq.read_table(tmp_path / "replaced.parquet")
    assert replaced.column_names == ["country", "net", "id"]
    assert replaced["net"].to_pylist() == expected(sales)
    cli("run", prices, "sales.parquet", "--only", "--as", "price", "-o", "only.parquet")
    assert pq.read_table(tmp_path / "only.parquet").to_pydict() == {"price": expected(sales)}


def test_globs_and_other_formats_are_read(cli, tmp_path):
    (tmp_path / "f.py").write_text("def double(n: int) -> int: return n * 2\n")
    for number in range(3):
        (tmp_path / f"part{number}.csv").write_text(f"n\n{number}\n")
    (tmp_path / "lines.jsonl").write_text('{"n": 5}\n{"n": null}\n')
    assert cli("run", "f.py", "part*.csv", "--only", "--json").json() == [{"double": 2 * n} for n in range(3)]
    assert cli("run", "f.py", "lines.jsonl", "--only", "--json").json() == [{"double": 10}, {"double": None}]


def test_the_function_is_chosen(cli, tmp_path):
    (tmp_path / "in.csv").write_text("n\n7\n")
    texts = {
        "clean.py": "def other(n: int) -> int: return 0\ndef Clean(n: int) -> int: return n\n",  # named like the file
        "a.py": "def f(n: int) -> int: return g(n)\ndef g(n: int) -> int: return n\n",  # used by no other
        "b.py": "def f(n: int) -> int: return n\ndef _g(n: int) -> int: return 0\ndef h(n): return 0\n",
        "c.py": "def f(n): return n\ndef g(): pass\n",  # of several without annotations: named
        "d.py": "if 1:\n    async def f(n: int) -> int: return n\n"
        "if __name__ == '__main__':\n    def g(n: int) -> int: 1\n",
        "e.py": "def f(n: Column[int]) -> list[int]: return list(n)\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
        chosen = ["--function", "f"] if name == "c.py" else []
        done = cli("run", name, "in.csv", "--only", "--as", "x", "--json", *chosen)
        assert done.status == 0, (name, done.err)
        assert done.json() == [{"x": 7}], name


def test_rows_are_made_of_rows(cli, tmp_path):
    (tmp_path / "in.csv").write_text("word,n\nab,2\ncd,1\n")
    (tmp_path / "twice.py").write_text(
        "from typing import Iterator\ndef twice(n: int, word: str) -> Iterator[tuple[str, int]]:\n"
        "    for i in range(n): yield word, i\n"
    )
    (tmp_path / "longest.py").write_text(
        "class Longest:\n    def __init__(self): self.words = []\n"
        "    def process(self, word: str) -> Iterator[str]: self.words.append(word)\n"
        "    def finish(self): return [max(self.words)]\n"
    )
    expected = [{"col0": "ab", "col1": 0}, {"col0": "ab", "col1": 1}, {"col0": "cd", "col1": 0}]
    assert cli("run", "twice.py", "in.csv", "--json").json() == expected
    (row,) = cli("run", "longest.py", "in.csv", "--json").json()
    assert list(row.values()) == ["cd"]
    assert cli("run", "twice.py", "in.csv", "--only").status == 2


@pytest.mark.parametrize("columns", ["a", "a, b", "b", "c", "a, c"])
def test_a_missing_column_is_named(cli, tmp_path, columns):
    (tmp_path / "f.py").write_text("def f(a: int, b: int = 10, c: int = 100) -> int: return a + b + c\n")
    with duckdb.connect() as con:
        values = {"a": "1 AS a", "b": "2 AS b", "c": "3 AS c"}
        selected = ", ".join(values[name] for name in columns.split(", "))
        con.execute(f"COPY (SELECT {selected}) TO '{tmp_path / 'in.json'}'")
    done = cli("run", "f.py", "in.json", "--only", "--json")
    if columns in ("a", "a, b"):
        assert done.json() == [{"f": 111 if columns == "a" else 103}]
    else:
        assert done.status == 2
        missing = "b" if "a" in columns else "a"
        assert (
            f"f takes a, b, c, and in.json has no column {missing}; it has: {columns}"
            in json.loads(done.err)["error"]["message"]
        )


def test_text_is_cast_to_the_types_of_parameters(cli, tmp_path):
    (tmp_path / "f.py").write_text(
        "import datetime\ndef f(n: int, d: datetime.date) -> str: return f'{n + 1} {d:%d.%m.%Y}'\n"
    )
    (tmp_path / "in.json").write_text('[{"n": "41", "d": "2024-02-29"}, {"n": null, "d": "2024-02-29"}]')
    assert [row["f"] for row in cli("run", "f.py", "in.json", "--json").json()] == ["42 29.02.2024", None]
    (tmp_path / "bad.json").write_text('[{"n": "x", "d": "2024-02-29"}]')
    done = cli("run", "f.py", "bad.json", "-o", "out.csv")
    assert (done.status, done.err.startswith("error: ")) == (1, True)
    assert not (tmp_path / "out.csv").exists()
