"""What the pages for developers name exists: files, and what is defined in them.

A table with the columns "file" and "names" says that each of these names is defined in that file. Elsewhere a code span
that ends in `()`, or that is a class's name, is defined somewhere.
"""

import ast
import functools
import re
import subprocess

import pytest

from tests.support.repository import MARKDOWN, ROOT, assert_none, code_spans, files, find, names_defined, tables

PAGES = files(".md")
# Other pages name what users write and call.
FOR_DEVELOPERS = [
    "CONTRIBUTING.md",
    "docs/explanation/architecture.md",
    "docs/explanation/glossary.md",
    *[page for page in PAGES if page.startswith("docs/contributing/")],
]
SOURCES = [ROOT / name for name in files(".py", ".c", ".h") if not name.startswith(("tests/", "sql/", "benchmarks/"))]


def unknown_rows(text):
    """What the tables of a page name and the files don't define."""
    for table in tables(text):
        for row in table:
            if not {"file", "names"} <= row.keys():
                continue
            paths = [find(span) for span in code_spans(row["file"])]
            if not paths or None in paths:
                yield f"no such file: {row['file'].content}"
                continue
            for name in code_spans(row["names"]):
                if not any(name in names_defined(path) or _is_in_text(name, path) for path in paths):
                    yield f"{row['file'].content} has no {name}"


def _is_in_text(name, path):
    """Settings have no definitions to find."""
    return path.suffix not in {".py", ".c", ".h"} and path.is_file() and name in path.read_text()


@functools.cache
def all_names():
    """What the sources define, attributes also without their class."""
    known = set().union(*map(names_defined, SOURCES))
    return known | {name.rpartition(".")[2] for name in known}


def unknown_spans(text):
    """What a page names as a function or class and no file defines."""
    known = all_names()
    for token in MARKDOWN.parse(text):
        for span in code_spans(token) if token.type == "inline" else ():
            called = re.fullmatch(r"([A-Za-z_][\w.]*)\(\)", span)
            name = called[1] if called else span
            if (called or re.fullmatch(r"[A-Z][a-z]+(?:[A-Z][a-z]+)+(?:\.\w+)?", span)) and name not in known:
                yield span


def test_tables_name_what_the_files_define():
    assert_none((page, row) for page in PAGES for row in unknown_rows((ROOT / page).read_text()))


def test_functions_and_classes_that_pages_name_exist():
    assert_none((page, span) for page in FOR_DEVELOPERS for span in unknown_spans((ROOT / page).read_text()))


def test_unknown_names_are_found():
    header = "| file | names |\n| --- | --- |\n"
    row = "| `_guests/pool.py` | `Pool.run`, `Pool.walk` |\n| `_guests/gone.py` | `Pool` |\n| `_abi.py` | `CALL` |\n"
    page = f"{header}{row}\nA `GuestInstance` calls `no_such_function()` of a `NoSuchClass`, by `builder_append()`.\n"
    assert list(unknown_rows(page)) == ["`_guests/pool.py` has no Pool.walk", "no such file: `_guests/gone.py`"]
    assert list(unknown_spans(page)) == ["no_such_function()", "NoSuchClass"]


def test_the_walk_of_a_batch_is_checked():
    rows = [row for table in tables((ROOT / "docs" / "explanation" / "architecture.md").read_text()) for row in table]
    checked = [row for row in rows if {"file", "names"} <= row.keys()]
    assert len(checked) >= 25
    assert sum(len(code_spans(row["names"])) for row in checked) >= 60


def test_the_list_of_process_wide_state_is_whole():
    """tests/project/test_layers.py checks that no other module has any."""
    tree = ast.parse((ROOT / "duckdb_wasi_udf" / "_process" / "state.py").read_text())
    assigned = [
        node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None) for node in tree.body
    ]
    names = [target.id for target in assigned if isinstance(target, ast.Name)]
    page = (ROOT / "docs" / "explanation" / "architecture.md").read_text()
    (listed,) = [table for table in tables(page) if "what it holds" in table[0]]
    assert [span for row in listed for span in code_spans(row["name"])] == names


def test_commits_that_pages_give_as_examples_exist():
    texts = [" ".join((ROOT / page).read_text().split()) for page in FOR_DEVELOPERS]
    named = {commit for text in texts for commit in re.findall(r"\bcommit ([0-9a-f]{7,40})\b", text)}
    shallow = subprocess.run(
        ["git", "rev-parse", "--is-shallow-repository"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    if shallow.stdout.strip() == "true":
        pytest.skip("the clone is shallow: it has no history to look the commits up in")
    is_ancestor = ["git", "merge-base", "--is-ancestor"]
    unknown = {
        commit for commit in named if subprocess.run([*is_ancestor, commit, "HEAD"], cwd=ROOT, check=False).returncode
    }
    assert_none(unknown)
