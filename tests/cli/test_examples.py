import doctest
import linecache
import types

import pytest

from tests.cli.conftest import PRICES

EXAMPLES = '''"""Of the file.

>>> f(1)
2
>>> f(1)  # a wrong one
3
"""
import dataclasses
from typing import Iterator

@dataclasses.dataclass
class Point:
    x: int

    def double(self) -> int:
        """
        >>> Point(2).double()
        4
        >>> Point(2)
        Point(x=2)
        """
        return self.x * 2

def f(x: int) -> int:
    r"""Add one.

    >>> for i in range(2):
    ...     print(f(i))
    1
    2
    >>> f("a")
    Traceback (most recent call last):
        ...
    TypeError: can only concatenate str (not "int") to str
    >>> f(2) + unknown
    3
    >>> print("é 😀", end="")
    é 😀
    >>> f(10**3)  # doctest: +ELLIPSIS
    10...
    >>> print("a\\n\\nb")
    a
    <BLANKLINE>
    b
    >>> f(5)  # doctest: +SKIP
    never
    >>> y = 1
    >>> y
    1
    """
    return x + 1

def rows(n: int) -> Iterator[int]:
    """
    >>> list(rows(2))
    [0, 1]
    """
    yield from range(n)
'''


def of_the_host(text):
    """What doctest itself finds on the host: line and outcome of each example."""
    module = types.ModuleType("examples")
    exec(compile(text, "examples.py", "exec"), module.__dict__)
    outcomes = []

    class Runner(doctest.DocTestRunner):
        def report_start(self, *_): ...

        def report_success(self, out, test, example, got):
            outcomes.append((test.lineno + example.lineno + 1, "passed"))

        def report_failure(self, out, test, example, got):
            outcomes.append((test.lineno + example.lineno + 1, "failed"))

        def report_unexpected_exception(self, out, test, example, info):
            outcomes.append((test.lineno + example.lineno + 1, "failed"))

    linecache.cache["examples.py"] = (len(text), None, text.splitlines(keepends=True), "examples.py")
    module.__file__ = "examples.py"
    for test in doctest.DocTestFinder(recurse=True).find(module, module=False, globs=module.__dict__):
        Runner(verbose=False).run(test, out=lambda _: None)
    return sorted(outcomes)


def test_examples_end_as_with_doctest_itself(cli, tmp_path):
    (tmp_path / "f.py").write_text(EXAMPLES)
    done = cli("test", "f.py", "--json")
    assert done.status == 1
    found = [(example["line"], example["outcome"]) for example in done.json()["examples"]]
    assert sorted(found) == of_the_host(EXAMPLES)
    text = cli("test", "f.py").out
    assert text.count("failed: ") == 2
    assert text.endswith(f"{len(found) - 2} passed, 2 failed\n")


def test_a_file_that_is_right_passes(cli, prices):
    done = cli("test", prices)
    assert (done.status, done.out) == (0, "2 passed, 0 failed\n")
    line = PRICES.splitlines().index("    >>> gross(100)") + 1
    assert [example["line"] for example in cli("test", prices, "--json").json()["examples"]] == [line, line + 2]


def test_comments_have_examples(cli, tmp_path):
    (tmp_path / "f.py").write_text(
        "def f(x: int) -> int: return x\n# >>> f(1)\n# 1\n#\n# Text.\n\n    # >>> f(2)\n    # 3\n"
        "x = 1  # >>> no example\n"
        's = "# >>> neither"\n#: >>> f(3)\n'
    )
    found = cli("test", "f.py", "--json").json()["examples"]
    assert [(example["line"], example["outcome"]) for example in found] == [(2, "passed"), (7, "failed")]


@pytest.mark.parametrize(
    ("text", "line", "outcome", "got"),
    [
        ("def f():\n    '''\n    >>> while True: pass\n    '''\n", 2, "error", "timeout_seconds=0.3"),
        ("def f():\n    '''\n    >>>f()\n    '''\n", 2, "error", "lacks blank"),
        ("def f():\n    '''\n    >>> import os; os._exit(1)\n    '''\n", 2, "error", ""),
        ("def f():\n    '''\n    >>> raise SystemExit\n    '''\n", 3, "failed", "SystemExit"),
        ("'''\n>>> 1\n1\n'''\nraise ValueError('x')\n", 1, "error", "ValueError: x"),
        ("'''\n>>> 1\n1\n'''\nimport sys; sys.exit(0)\n", 1, "error", "SystemExit"),
        ("'''\n>>> open('/etc/passwd')\n'''\n", 2, "failed", "Error"),
        ("'''\n>>> print('\\x1b[31m')\nx\n'''\n", 2, "failed", "\\x1b[31m"),
        ("def f(:\n", 1, "error", "SyntaxError"),
    ],
)
def test_what_goes_wrong_is_named_and_the_rest_is_run(cli, tmp_path, text, line, outcome, got):
    (tmp_path / "a.py").write_text(text)
    (tmp_path / "b.py").write_text("# >>> 1 + 1\n# 2\n")
    done = cli("test", "a.py", "b.py", "--set", "timeout_seconds=0.3", "--json")
    assert done.status == 1
    first, second = done.json()["examples"]
    assert (first["file"], first["line"], first["outcome"]) == ("a.py", line, outcome)
    assert got in first["got"]
    assert (second["file"], second["outcome"]) == ("b.py", "passed")


def test_a_file_without_examples_fails(cli, tmp_path):
    (tmp_path / "f.py").write_text("def f(x: int) -> int: return x\n")
    done = cli("test", "f.py")
    assert (done.status, done.out.startswith("no examples: write ")) == (1, True)
