"""The files of the repository, what they define and say, and tables of Markdown pages."""

import ast
import functools
import io
import re
import subprocess
import tokenize
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
MARKDOWN = MarkdownIt("commonmark").enable("table")

# Where a path in a page or comment may begin: the repository, or the package.
BASES = (ROOT, ROOT / "duckdb_wasi_udf")


def assert_none(found):
    """Fail with all that was found, a line each: an assertion about a list shows the first of it."""
    lines = [": ".join(map(str, one)) if isinstance(one, tuple) else str(one) for one in found]
    assert not lines, "\n".join(["", *lines])


@functools.cache
def files(*suffixes):
    """The files of the repository that end so, those not committed yet included, as paths below it."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [name for name in listed.stdout.splitlines() if name.endswith(suffixes) and (ROOT / name).exists()]


def find(path):
    """The file or folder that a path names; None when there is none."""
    return next((base / path for base in BASES if (base / path).exists()), None)


def bodies(tree):
    """All lists of statements of a tree. Expressions, most of it, have none in them and are not walked."""
    found = [tree.body]
    for body in found:  # which grows
        yield body
        for statement in body:
            parts = [statement, *getattr(statement, "handlers", ()), *getattr(statement, "cases", ())]
            lists = (getattr(part, field, None) for part in parts for field in ("body", "orelse", "finalbody"))
            found += filter(None, lists)


@functools.cache
def comments(name):
    """The comments of a file, and in Python its docstrings."""
    text = (ROOT / name).read_text()
    if name.endswith((".c", ".h")):
        return re.findall(r"/\*.*?\*/", text, re.DOTALL)
    if not name.endswith(".py"):
        return re.findall(r"#.*", text)
    tokens = tokenize.generate_tokens(io.StringIO(text).readline) if "#" in text else ()
    found = [token.string for token in tokens if token.type == tokenize.COMMENT]
    tree = ast.parse(text)
    documented = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [tree, *(node for body in bodies(tree) for node in body if isinstance(node, documented))]
    return found + list(filter(None, map(ast.get_docstring, nodes)))


@functools.cache
def names_defined(path):
    """What a file defines: functions, classes, `Class.attribute`, constants, and in C macros, types and enumerators."""
    if path.suffix == ".py":
        return frozenset(_python_names(ast.parse(path.read_text()).body, ""))
    if path.suffix in {".c", ".h"}:
        return frozenset(_c_names(path.read_text()))
    return frozenset()


def _python_names(body, prefix):
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield prefix + node.name
        if isinstance(node, ast.ClassDef):
            yield from _python_names(node.body, f"{prefix}{node.name}.")
            attributes = (part for part in ast.walk(node) if isinstance(part, ast.Attribute))
            yield from (f"{prefix}{node.name}.{part.attr}" for part in attributes if ast.unparse(part.value) == "self")
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            inner = (part for part in node.body if isinstance(part, (ast.FunctionDef, ast.ClassDef)))
            yield from _python_names(inner, f"{prefix}{node.name}.")
        for target in node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]:
            if isinstance(target, ast.Name):
                yield prefix + target.id


def _c_names(text):
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    yield from re.findall(r"^#define (\w+)", text, re.MULTILINE)
    yield from re.findall(r"^(?:struct|enum) (\w+) \{", text, re.MULTILINE)
    yield from re.findall(r"^[A-Za-z_][^;={]*?\b(\w+)\([^;{]*[{;]", text, re.MULTILINE)
    yield from re.findall(r"^[A-Za-z_][^;={(]*?\b(\w+)(?:\[\w*\])?(?: = .*)?[;{]$", text, re.MULTILINE)
    for body in re.findall(r"^enum \w+ \{(.*?)^\}", text, re.MULTILINE | re.DOTALL):
        yield from re.findall(r"^ +(\w+)(?: = -?\w+)?,", body, re.MULTILINE)


def code_spans(inline):
    """The code spans of a paragraph, heading or cell."""
    return [part.content for part in inline.children or () if part.type == "code_inline"]


def tables(text):
    """The tables of a page: for each a list of rows, each a dict of the header's words and inline tokens."""
    rows, header, row = [], [], []
    for token in MARKDOWN.parse(text):
        if token.type == "table_open":
            rows, header = [], []
        elif token.type == "tr_open":
            row = []
        elif token.type == "inline":
            row.append(token)
        elif token.type == "tr_close":
            if header:
                rows.append(dict(zip(header, row, strict=True)))
            else:
                header = [cell.content for cell in row]
        elif token.type == "table_close":
            yield rows
