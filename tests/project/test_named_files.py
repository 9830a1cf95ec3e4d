"""Files that comments, docstrings and pages name exist, and hold what is said."""

import functools
import re
import sys

from tests.support.repository import BASES, ROOT, assert_none, comments, files, find, names_defined

SOURCES = files(".py", ".c", ".h", ".md", ".toml", ".mk", "Makefile", ".yaml", ".editorconfig")
CODE = [name for name in SOURCES if not name.endswith(".md") and not name.startswith("tests/")]
FOLDERS = sorted({name.partition("/")[0] for name in files("") if "/" in name and not name.startswith(".")})
FOLDERS += sorted(path.parent.name for path in (ROOT / "duckdb_wasi_udf").glob("_*/__init__.py"))

# A path that begins with a folder of the repository or of the package; a star stands for any name.
PATH = re.compile(rf"(?<![\w/.:<\-$}}])((?:{'|'.join(FOLDERS)})/[\w*./\-]*\w(?:\*|/)?)")
# Made by a build, or up by a test.
MADE = ("duckdb_wasi_udf/_artifact", "tests/test_x.py")

# A source file by its name alone, and those of other projects that comments name.
FILE = re.compile(r"(?<![\w/.*<$\-])((?:\w+/)*_*[A-Za-z]\w*\.(?:py|c|h|cc|md|toml))(?![\w/(])")
THEIRS = {
    "Lib/importlib/_bootstrap_external.py",
    "Modules/_decimal/_decimal.c",
    "arrow/array/array_nested.cc",
    "bltinmodule.c",
    "frozen.c",
    "getpath.c",
    "gzguts.h",
    "mathmodule.c",
    "pyconfig.h",
    "slugify/__init__.py",
    "socketmodule.c",
    "zutil.c",
}

# "NAME of" a file, and "`module.name`" of a module that is ours.
OF_FILE = re.compile(
    r"\b([A-Z][A-Z_]+|(?<=`)\w+(?=`)|_\w+)`? of ((?:wasm|duckdb_wasi_udf|hostfuncs|tests)/[\w/]+\.(?:py|c|h))\b"
)
OF_MODULE = re.compile(r"`(\w+)\.([A-Za-z_]\w*(?:\.\w+)?)(?:\(\))?`|(?<!`)\b(_udf_\w+)\.(\w+(?:\.\w+)?)\b")


@functools.cache
def modules():
    """Our modules by their last name, those with names of the standard library's left out; a package is its modules."""
    found = {}
    for name in files(".py"):
        if name.startswith(("duckdb_wasi_udf/", "wasm/python/")):
            *folders, stem = name.removesuffix(".py").split("/")
            for word in {stem, folders[-1]} - sys.stdlib_module_names - {"host", "duckdb_wasi_udf", "__init__"}:
                found.setdefault(word, []).append(ROOT / name)
    return found


def missing_paths(text):
    """The paths in a text that lead nowhere."""
    for path in PATH.findall(text):
        if path.startswith("_") and "." not in path:  # a module, or a part of a name
            continue
        if not path.startswith(MADE) and not any(any(base.glob(path.rstrip("/."))) for base in BASES):
            yield path


@functools.cache
def names_of_files():
    return {name.rpartition("/")[2] for name in files("")}


def missing_files(text):
    """The source files that a comment names and nobody has."""
    for name in FILE.findall(text):
        there = find(name) is not None if "/" in name else name in names_of_files()
        if not there and name not in THEIRS and not name.startswith(MADE):
            yield name


def missing_names(text):
    """What a comment says a file or module has, and it hasn't."""
    text = " ".join(text.split())
    for name, path in OF_FILE.findall(text):
        if find(path) is not None and name not in names_defined(find(path)):
            yield f"{name} of {path}"
    for quoted, quoted_name, plain, plain_name in OF_MODULE.findall(text):
        module, name = quoted or plain, quoted_name or plain_name
        paths = modules().get(module, [])
        last = name.removeprefix(f"{name.partition('.')[0]}.") if name.partition(".")[0] in modules() else name
        if paths and name != "py" and not any(last in names_defined(path) or last == path.stem for path in paths):
            yield f"{module}.{name}"


# These name what doesn't exist, to see that it is found.
TESTS_OF_NAMES = {"tests/project/test_named_files.py", "tests/project/test_named_code.py"}


def test_paths_lead_somewhere():
    sources = sorted(set(SOURCES) - TESTS_OF_NAMES)
    assert_none((name, path) for name in sources for path in missing_paths((ROOT / name).read_text()))


def test_comments_name_what_exists():
    said = [(name, comment) for name in CODE for comment in comments(name)]
    assert_none((name, missing) for name, comment in said for missing in missing_files(comment))
    assert_none((name, missing) for name, comment in said for missing in missing_names(comment))


def test_what_does_not_exist_is_found():
    text = "see tests/gone.py, wasm/*.py, wasm/gone*.c, docs/index.md, _guests/gone.py and _guests/pool.py"
    assert list(missing_paths(text)) == ["tests/gone.py", "wasm/gone*.c", "_guests/gone.py"]
    assert list(missing_files("as in _abi.py, gone.py, _guests/pool.py and _guests/gone.py")) == [
        "gone.py",
        "_guests/gone.py",
    ]
    text = "ABI_VERSION of duckdb_wasi_udf/_abi.py, GONE of duckdb_wasi_udf/_abi.py, `pool.Pool.run`, `pool.Pool.gone`"
    assert list(missing_names(text)) == ["GONE of duckdb_wasi_udf/_abi.py", "pool.Pool.gone"]
