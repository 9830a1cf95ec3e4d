import pytest

GOOD = """
from typing import NamedTuple
import re
WORD = re.compile("a")
class Row(NamedTuple):
    a: int
def f(x: int, y: str = "a") -> float | None: return helper(x)
def helper(x): return x
def typed(x: re.Pattern) -> int: return 1
def uses(x: int) -> int: return typed(WORD)
def dec(a: "DECIMAL(18,2)") -> "DECIMAL(18,2)": return a
def rows(n: int) -> Iterator[Row]: yield Row(n)
class Total:
    def step(self, x: int): pass
    def finish(self) -> int: return 1
def _private(x: int) -> int: return x
def main() -> None: f(1)
async def later(x: int) -> int: return x
def keywords(x: int, *, k: int) -> int: return x
"""


def test_functions_are_listed_with_their_signatures(cli, tmp_path):
    (tmp_path / "good.py").write_text(GOOD)
    done = cli("check", "good.py", "--json")
    assert done.status == 0, done.out
    (file,) = done.json()["files"]
    assert {function["name"]: (function["kind"], function["signature"]) for function in file["functions"]} == {
        "f": ("scalar", "(x BIGINT, [y VARCHAR]) -> DOUBLE"),
        "uses": ("scalar", "(x BIGINT) -> BIGINT"),
        "dec": ("scalar", "(a DECIMAL(18,2)) -> DECIMAL(18,2)"),
        "rows": ("table", "(n BIGINT) -> STRUCT(a BIGINT)"),
        "Total": ("aggregate", "(x BIGINT[]) -> BIGINT"),
        "later": ("scalar", "(x BIGINT) -> BIGINT"),
    }
    helpers = {helper["name"]: helper["reason"] for helper in file["helpers"]}
    assert helpers.keys() == {"Row", "helper", "typed", "_private", "main", "keywords"}
    assert "no annotation" in helpers["helper"]
    assert "re.Pattern" in helpers["typed"]
    compiled = {function["name"]: function["compiled"] for function in file["functions"]}
    assert "can be compiled" in compiled["f"]
    assert compiled["later"].startswith("interpreted, because")
    text = cli("check", "good.py").out
    assert f"good.py:{GOOD.splitlines().index('def main() -> None: f(1)') + 1}: helper main: it returns nothing" in text


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("x = 1\ndef f(x: int) -> int return x\n", 2, "SyntaxError"),
        ("def f(x: flaot) -> float: return x\n", 1, "'flaot'"),
        ("\n\ndef f(x: int) -> Nope: return x\n", 3, "'Nope'"),
        ("import pandas\ndef f(x: int) -> int: return x\n", 2, "pandas"),
        ("def f(x: int) -> int: return x\nraise ValueError('é')\n", 1, "ValueError: é"),
        ("def f(x): return x\n", 1, "no function"),
        ("", 1, "no function"),
        ("\0", 1, "binary zeros"),
        ("(" * 5000, 1, "Error"),
        ("x = " + "-" * 100_000 + "1\n", 1, "Error"),
        ("def upper(s: str) -> str: return s\n", 1, "upper"),
        ("while True: pass\ndef f(x: int) -> int: return x\n", 2, "timeout_seconds"),
        ("\n".join(f"def f{i}(x: int) -> int: return 1" for i in range(3)) + "\n)\n", 4, "SyntaxError"),
        ("def f(x: int) -> int: return x\nimport os\nos.abort()\n", 1, "f: "),
    ],
)
def test_problems_have_a_line_and_status_1(cli, tmp_path, text, line, problem):
    (tmp_path / "f.py").write_text(text)
    done = cli("check", "f.py", "--json", "--set", "timeout_seconds=0.5")
    if text == "\0":
        assert (done.status, problem in done.error()["message"]) == (3, True)
        return
    assert done.status == 1, done
    (file,) = done.json()["files"]
    (found,) = file["problems"]
    assert found["line"] == line
    assert problem in found["problem"]


def test_several_files_are_checked_though_one_is_wrong(cli, tmp_path):
    (tmp_path / "a.py").write_text("def f(x: int) -> int return x\n")
    (tmp_path / "b.py").write_text("def g(x: int) -> int: return x\n")
    done = cli("check", ".")
    assert done.status == 1
    assert "a.py:1: problem: SyntaxError" in done.out
    assert "b.py:1: scalar function g(x BIGINT) -> BIGINT" in done.out
    assert cli("check", "-", stdin="def g(x: int) -> int: return x\n").out.startswith("<stdin>:1: scalar function g(x")


@pytest.mark.parametrize("name", ["f", "rows", "Total", "later", "helper"])
def test_functions_of_every_kind_are_explained(cli, tmp_path, name):
    (tmp_path / "good.py").write_text(GOOD)
    done = cli("explain", "good.py", "--function", name, "--json")
    assert done.status == 0, done.err
    assert done.json()["name"] == name
    expected = {"f": "can be compiled", "helper": "its parameters have no types"}.get(name, "interpreted, because")
    assert expected in done.json()["explanation"]
