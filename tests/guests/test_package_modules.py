"""What guests get of the packages they were given: modules, data, metadata, and nothing else."""

import stat
import sys
import threading
import time

import duckdb
import pytest

import duckdb_wasi_udf as wasi_udf
from duckdb_wasi_udf._arrow.linear_memory import LinearMemory
from duckdb_wasi_udf._engine import artifact
from duckdb_wasi_udf._guests import package_modules
from duckdb_wasi_udf._guests.definition import Definition
from duckdb_wasi_udf._guests.instance import GuestInstance
from duckdb_wasi_udf._guests.package_modules import PackageModules
from duckdb_wasi_udf._packages.collect import Packages
from duckdb_wasi_udf._process import cache_files
from tests.support import guests
from tests.support.installed import install

FILES = {
    "rules/__init__.py": "from rules.deep import B\nA = 1\n",
    "rules/deep/__init__.py": "B = 2\n",
    "rules/broken.py": "def f(:\n    pass\n",
    "rules/failing.py": '"""Fails."""\n\n\ndef fail(x):\n    return 1 // x  # here\n\n\nfail(0)\n',
    "rules/latin.py": b"# coding: latin-1\nNAME = '\xfc'\n",
    "rules/data/table.json": '{"ü": 1}',
    "rules/data/empty.txt": "",
    "rules/data/large.bin": bytes(range(256)) * 5_000,
    "space/inner/leaf.py": "LEAF = __name__\n",
    "single.py": "import rules\nNAME = rules.A\n",
    "rules-1.2.dist-info/METADATA": "Metadata-Version: 2.1\nName: rules\nVersion: 1.2\nSummary: ü\n",
    "rules-1.2.dist-info/entry_points.txt": "[plugins]\nfirst = rules.deep:B\n",
}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    directory = tmp_path_factory.mktemp("src")
    for path, text in FILES.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_bytes(text if isinstance(text, bytes) else text.encode())
    return directory


@pytest.fixture(scope="module")
def sandbox(source):
    with wasi_udf.Sandbox(packages=[source]) as made:
        yield made


@pytest.fixture
def evaluate(sandbox):
    """The value of an expression in a fresh guest, as text."""

    def run(expression, before=""):
        definition = Definition.from_source(f"{before}\ndef f(): return str({expression})", "f")
        instance = guests.start_in(sandbox, definition)
        try:
            instance.bind([], None)
            return instance.call([], 1)[0].to_pylist()[0]
        finally:
            sandbox._domain.instances.drop(instance)

    return run


@pytest.fixture
def failing(evaluate):
    def run(expression, before=""):
        with pytest.raises(wasi_udf.GuestError) as raised:
            evaluate(expression, before)
        return raised.value

    return run


# ---- importing ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "expression", "expected"),
    [
        ("import rules", "(rules.A, rules.B, rules.__name__)", "(1, 2, 'rules')"),
        ("import rules.deep as d", "(d.__file__, d.__package__)", "('/packages/rules/deep/__init__.py', 'rules.deep')"),
        ("import single", "(single.NAME, single.__file__)", "(1, '/packages/single.py')"),
        ("from space.inner import leaf", "(leaf.LEAF)", "space.inner.leaf"),
        ("import space.inner as s", "(getattr(s, '__file__', None), s.__path__)", "(None, ['/packages/space/inner'])"),
        ("import rules.latin as r", "r.NAME", "ü"),
        ("import rules, importlib", "importlib.reload(rules).A", "1"),
        ("import importlib.util as u", "[bool(u.find_spec(n)) for n in ('rules', 'no')]", "[True, False]"),
        ("import pkgutil", "sorted(pkgutil.resolve_name('rules.deep:B').__class__.__name__)", "['i', 'n', 't']"),
        ("import rules, sys", "rules.__spec__.loader_state", "None"),
    ],
)  # fmt: skip
def test_modules_are_imported(evaluate, before, expression, expected):
    assert evaluate(expression, before) == expected


@pytest.mark.parametrize("name", ["nothing", "rules.nothing", "rules.data.table", "rules.broken.x", "data"])
def test_what_is_not_given_is_not_found(failing, name):
    error = failing("1", f"import importlib\nimportlib.import_module({name!r})")
    assert error.type_name in ("ModuleNotFoundError", "SyntaxError")
    assert ("No module named" in str(error)) == ("broken" not in name)


def test_a_module_that_does_not_compile_raises_its_syntax_error(failing):
    error = failing("1", "import rules.broken")
    assert error.type_name == "SyntaxError"
    assert 'File "/packages/rules/broken.py", line 1' in error.guest_traceback
    assert "def f(:" in error.guest_traceback


def test_tracebacks_show_package_lines_and_no_import_frames(failing):
    error = failing("1", "import rules.failing")
    assert [line for line in error.guest_traceback.splitlines() if "~" not in line and "^" not in line] == [
        "Traceback (most recent call last):",
        '  File "<f>", line 1, in <module>',
        "    import rules.failing",
        '  File "/packages/rules/failing.py", line 8, in <module>',
        "    fail(0)",
        '  File "/packages/rules/failing.py", line 5, in fail',
        "    return 1 // x  # here",
        "ZeroDivisionError: integer division or modulo by zero",
    ]


def test_the_source_can_be_inspected(evaluate):
    assert evaluate("inspect.getsource(rules.deep)", "import inspect, rules.deep") == FILES["rules/deep/__init__.py"]


# ---- data and metadata -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("files('rules').joinpath('data/table.json').read_text(encoding='utf-8')", '{"ü": 1}'),
        ("(files('rules') / 'data' / 'table.json').read_bytes()", str('{"ü": 1}'.encode())),
        ("files('rules.data').joinpath('empty.txt').read_bytes()", "b''"),
        ("len(files('rules').joinpath('data', 'large.bin').read_bytes())", "1280000"),
        ("[r.name for r in files('rules').joinpath('data').iterdir()]", "['empty.txt', 'large.bin', 'table.json']"),
        ("[files('rules').joinpath(n).is_file() for n in ('data', 'data/empty.txt', 'no')]", "[False, True, False]"),
        ("[files('rules').joinpath(n).is_dir() for n in ('data', 'data/empty.txt', 'no')]", "[True, False, False]"),
        ("importlib.resources.read_text('rules.data', 'table.json', encoding='utf-8')", '{"ü": 1}'),
        ("pkgutil.get_data('rules', 'data/empty.txt')", "b''"),
        ("open(rules.__path__[0] + '/data/table.json', encoding='utf-8').read()", '{"ü": 1}'),
        ("open(os.path.join(os.path.dirname(rules.deep.__file__), '../data/table.json'), 'rb').read(2)", "b'{\"'"),
        ("Path(rules.__file__).with_name('data').joinpath('table.json').read_text('utf-8')", '{"ü": 1}'),
        ("os.path.getsize(rules.__path__[0] + '/data/large.bin')", "1280000"),
        ("[os.path.exists('/packages/rules/' + n) for n in ('data', 'data/empty.txt', 'no')]", "[True, True, False]"),
        ("sorted(os.listdir(rules.__path__[0] + '/data'))", "['empty.txt', 'large.bin', 'table.json']"),
        ("sorted(p.name for p in Path('/packages/rules').rglob('*.json'))", "['table.json']"),
        ("sorted(glob.glob('/packages/rules/data/*.txt'))", "['/packages/rules/data/empty.txt']"),
        ("importlib.resources.as_file(files('rules') / 'data/empty.txt').__enter__().name", "empty.txt"),
        ("[m.name for m in pkgutil.iter_modules(rules.__path__)]", "['broken', 'deep', 'failing', 'latin']"),
        ("linecache.getline(rules.deep.__file__, 1)", "B = 2\n"),
        ("tokenize.open(rules.deep.__file__).readline()", "B = 2\n"),
        ("(version('rules'), metadata('RULES')['Summary'])", "('1.2', 'ü')"),
        ("[d.name for d in distributions()]", "['rules']"),
        ("[e.load() for e in entry_points(group='plugins')]", "[2]"),
    ],
)  # fmt: skip
def test_packages_find_what_belongs_to_them(evaluate, expression, expected):
    imports = (
        "import glob, importlib.resources, linecache, os, pkgutil, rules.deep, tokenize\nfrom pathlib import Path\n"
        "from importlib.resources import files\n"
        "from importlib.metadata import distributions, entry_points, metadata, version"
    )
    assert evaluate(expression, imports) == expected


@pytest.mark.parametrize(
    ("expression", "error"),
    [
        ("files('rules').joinpath('no.json').read_text()", "FileNotFoundError"),
        ("files('rules').joinpath('data').read_text()", "IsADirectoryError"),
        ("list(files('rules').joinpath('data/empty.txt').iterdir())", "NotADirectoryError"),
        ("files('rules').joinpath('../../etc/passwd').read_text()", "FileNotFoundError"),
        ("os.stat('/packages/rules/no')", "FileNotFoundError"),
        ("os.listdir('/packages/rules/no')", "FileNotFoundError"),
        ("os.listdir('/packages/rules/data/table.json')", "NotADirectoryError"),
        ("os.listdir('/')", "FileNotFoundError"),
        ("files('rules').joinpath('/etc/passwd').read_text()", "FileNotFoundError"),
        ("open('/packages/rules/no.json')", "FileNotFoundError"),
        ("open('/packages/rules/data/table.json', 'w')", "OSError"),
        ("open('/packages/rules/data/table.json', 'r+')", "OSError"),
        ("open('/packages/rules')", "IsADirectoryError"),
        ("open('/packages/../etc/passwd')", "FileNotFoundError"),
        ("pkgutil.get_data('rules', 'no')", "FileNotFoundError"),
        ("version('nothing')", "PackageNotFoundError"),
    ],
)
def test_what_does_not_belong_to_them_is_not_there(failing, expression, error):
    imports = "import os, pkgutil\nfrom importlib.resources import files\nfrom importlib.metadata import version"
    assert failing(expression, imports).type_name == error


# ---- what guests may ask for ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *("", "/", "rules", "/packages", "packages/", "/packages/../packages/", "/packages//rules/", "//packages/"),
        *("/packages/rules", "/packages/rules/../single.py", "/packages/rules/./deep/", "/etc/passwd", "/packages/.."),
        *(
            "/packages/rules\0",
            "/packages/\0",
            "\0",
            "/packages/rules/deep.pyc",
            "/packages/single.pycc",
            "/packages/.pyc",
        ),
        *("/packages/RULES/", "/packages/rules\u2215deep/", "/packages/single.py\u200b", "/packages/" + "x" * 900),
        *("/packages/%72ules/", "/packages/rules/data/*", "\\packages\\rules\\", "file:///packages/rules/"),
    ],
)
def test_names_are_the_exact_ones_or_stand_for_nothing(evaluate, sandbox, name):
    assert evaluate(f"_udf.host_import({name!r})", "import _udf") == "None"
    assert sandbox._domain.modules.find(name) is None


@pytest.mark.parametrize(
    ("name", "error"), [("b'x'", "TypeError"), ("None", "TypeError"), ("'\\ud800'", "UnicodeEncodeError")]
)
def test_names_that_are_no_text_raise_in_the_guest(failing, name, error):
    assert failing(f"_udf.host_import({name})", "import _udf").type_name == error


def test_guests_see_exactly_what_was_given(evaluate):
    walk = """
import _udf
def walk(path):
    for name in _udf.host_import(path).decode().split("\\n"):
        yield path + name
        if name.endswith("/"):
            yield from walk(path + name)
"""
    seen = evaluate("list(walk('/packages/'))", walk)
    files = {path.removeprefix("/packages/") for path in eval(seen) if not path.endswith("/")}
    assert files == set(FILES)


def test_a_sandbox_without_packages_serves_nothing():
    with wasi_udf.Sandbox() as bare:
        assert bare._domain.modules.find("/packages/") is None
        with pytest.raises(wasi_udf.GuestError, match="No module named 'rules'"):
            guests.start_in(bare, Definition.from_source("import rules\nlambda: 1", "f"))


def test_a_closed_sandbox_keeps_nothing_of_its_packages(source):
    with wasi_udf.Sandbox(packages=[source]) as sandbox:
        assert sandbox._domain.modules.find("/packages/single.pyc")
    assert sandbox._domain.modules.find("/packages/single.pyc") is None
    assert sandbox._domain.modules.find("/packages/") is None


def test_asking_without_end_ends_with_the_guests_time(source):
    limits = wasi_udf.ResourceLimits(timeout_seconds=0.3)
    flood = (
        "import _udf\nwhile True: _udf.host_import('/packages/rules/data/large.bin'), _udf.host_import('/packages/x')"
    )
    with wasi_udf.Sandbox(packages=[source], limits=limits) as sandbox:
        with pytest.raises(wasi_udf.LimitExceeded, match=r"timeout_seconds=0\.3"):
            guests.start_in(sandbox, Definition.from_source(f"{flood}\nlambda: 1", "f"))
        assert len(sandbox._domain.instances) == 0


def test_the_time_it_takes_to_serve_bytes_is_the_guests(source, monkeypatch):
    written = []
    real = LinearMemory.write

    def slowly(self, pointer, data):
        if len(data) == len(FILES["rules/data/large.bin"]):
            written.append(pointer)
            time.sleep(0.05)
        real(self, pointer, data)

    monkeypatch.setattr(LinearMemory, "write", slowly)
    limits = wasi_udf.ResourceLimits(timeout_seconds=0.3)
    flood = "import _udf\nwhile True: _udf.host_import('/packages/rules/data/large.bin')\nlambda: 1"
    definition = Definition.from_source(flood, "f")
    with wasi_udf.Sandbox(packages=[source], limits=limits) as sandbox, pytest.raises(wasi_udf.LimitExceeded):
        guests.start_in(sandbox, definition)
    assert len(written) <= 7


def test_what_is_larger_than_the_guests_memory_ends_in_its_limit(source):
    with wasi_udf.Sandbox(packages=[source]) as sandbox:
        code = (
            "import _udf\nkept = [_udf.host_import('/packages/rules/data/large.bin') for _ in range(1000)]\nlambda: 1"
        )
        with pytest.raises(wasi_udf.LimitExceeded, match="memory_bytes"):
            guests.start_in(sandbox, Definition.from_source(code, "f"))


def test_what_a_guest_does_to_a_module_stays_in_the_guest(evaluate, sandbox):
    assert evaluate("rules.A", "import rules\nrules.A = 666\nrules.deep.B = 666") == "666"
    assert evaluate("(rules.A, rules.B)", "import rules") == "(1, 2)"


# ---- compiling ---------------------------------------------------------------------------------------------------


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of compiled modules; that of the guest stays, which takes seconds to fill."""
    real = cache_files.directory()
    real.mkdir(parents=True, exist_ok=True)
    directory = tmp_path / "compiled"
    directory.mkdir(mode=0o700)
    for file in real.iterdir():
        if file.is_file():
            (directory / file.name).symlink_to(file)
    monkeypatch.setenv("DUCKDB_WASI_UDF_CACHE", str(tmp_path))
    assert cache_files.directory() == directory
    return directory / "modules"


@pytest.fixture
def compiled(monkeypatch):
    """The paths of modules as they are compiled."""
    paths = []
    real = PackageModules._compile

    def record(self, path, source):
        paths.append(path)
        return real(self, path, source)

    monkeypatch.setattr(PackageModules, "_compile", record)
    return paths


def modules(**files):
    return PackageModules(
        Packages({f"{name}.py": text.encode() for name, text in files.items()}, frozenset(files)), artifact.find()
    )


def test_a_module_is_compiled_once_for_a_machine_when_wanted(cache, compiled):
    first = modules(a="x = 1", b="x = 2")
    assert compiled == []
    code = first.find("/packages/a.pyc")
    assert first.find("/packages/a.pyc") == code
    assert modules(a="x = 1").find("/packages/a.pyc") == code
    assert compiled == ["a.py"]
    modules(a="x = 3").find("/packages/a.pyc")
    modules(c="x = 1").find("/packages/c.pyc")
    assert compiled == ["a.py", "a.py", "c.py"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no owner permissions of this kind")
def test_compiled_modules_belong_to_their_owner_alone(cache):
    modules(a="x = 1").find("/packages/a.pyc")
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    assert [stat.S_IMODE(file.stat().st_mode) for file in cache.iterdir()] == [0o600]


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data[:-1] + b"\xff", lambda data: b""])
def test_a_compiled_module_that_was_changed_is_compiled_again(cache, compiled, damage):
    code = modules(a="x = 1").find("/packages/a.pyc")
    (file,) = cache.iterdir()
    file.write_bytes(damage(file.read_bytes()))
    assert modules(a="x = 1").find("/packages/a.pyc") == code
    assert modules(a="x = 1").find("/packages/a.pyc") == code
    assert compiled == ["a.py"] * 2


def test_a_cache_that_cant_be_written_is_done_without(cache, compiled, monkeypatch):
    def full(path, data):
        raise cache_files.UnusableCacheError

    monkeypatch.setattr(cache_files, "replace", full)
    for _ in range(2):
        assert modules(a="x = 1").find("/packages/a.pyc")
    assert compiled == ["a.py"] * 2
    assert list(cache.iterdir()) == []


def test_one_module_in_the_place_of_another_is_not_loaded(cache, compiled):
    for text in ("x = 1", "x = 2"):
        modules(a=text).find("/packages/a.pyc")
    one, two = cache.iterdir()
    one.write_bytes(two.read_bytes())
    codes = {modules(a=text).find("/packages/a.pyc") for text in ("x = 1", "x = 2")}
    assert len(codes) == 2
    assert len(compiled) == 3


def test_a_source_that_does_not_compile_is_not_tried_again(cache, compiled):
    for text in ("def f(:", "\0", "(" * 1000, "x" + ".x" * 100_000, "# coding: nonsense"):
        found = [modules(a=text).find("/packages/a.pyc") for _ in range(2)]
        assert found == [b"", b""]
    assert len(compiled) == 5


def test_threads_that_want_the_same_module_wait_for_one(cache, compiled):
    served = modules(a="x = 1\n" * 2000)
    found = []
    threads = [threading.Thread(target=lambda: found.append(served.find("/packages/a.pyc"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(found) == 8
    assert compiled == ["a.py"]


def test_compiling_takes_none_of_the_importing_guests_stack(con, cache, tmp_path):
    (tmp_path / "deep.py").write_text("a = 1\nx = " + "a" + " + a" * 3_000 + "\n")
    with wasi_udf.Sandbox(packages=[tmp_path / "deep.py"]).install(con):
        code = "def dig(n): return max([n], key=lambda n: dig(n - 1)) if n else __import__('deep').x\n"
        code += "def f(n):\n    dig(n)\n    return __import__('deep').x"
        assert con.execute("SELECT py_udf($1, 300)", [code]).fetchall() == [(3001,)]


def test_compiling_takes_none_of_the_guests_time(cache, source, monkeypatch):
    real = PackageModules._compile

    def slowly(self, path, source):
        time.sleep(0.4)
        return real(self, path, source)

    monkeypatch.setattr(PackageModules, "_compile", slowly)
    limits = wasi_udf.ResourceLimits(timeout_seconds=0.3)
    with wasi_udf.Sandbox(packages=[source], limits=limits) as sandbox:
        guests.start_in(sandbox, Definition.from_source("import single\nlambda: 1", "f"))


def test_compiling_beyond_its_bounds_ends_the_query_and_says_why(con, cache, tmp_path, monkeypatch):
    limits = wasi_udf.ResourceLimits(timeout_seconds=60, memory_bytes=25 * 2**20)
    monkeypatch.setattr(package_modules, "_LIMITS", limits)
    large = tmp_path / "large.py"
    large.write_text("x = [" + "[1, 'a'], " * 40_000 + "]")
    with wasi_udf.Sandbox(packages=[large]).install(con) as sandbox:
        with pytest.raises(
            duckdb.InvalidInputException, match="large.py takes more than memory_bytes=26,214,400 to compile"
        ):
            con.execute("SELECT py_udf('import large\nlambda x: x', 1)").fetchall()
        assert isinstance(sandbox.last_error, wasi_udf.PackageError)


def test_cancel_stops_a_query_that_waits_for_a_compilation(cache, tmp_path, monkeypatch):
    (tmp_path / "long.py").write_text("x = [" + "[1, 'a'], " * 400_000 + "]")
    began = threading.Event()
    real = GuestInstance.call

    def call(self, *arguments):
        began.set()
        return real(self, *arguments)

    monkeypatch.setattr(GuestInstance, "call", call)
    with duckdb.connect() as con, wasi_udf.Sandbox(packages=[tmp_path / "long.py"]).install(con) as sandbox:
        errors = []

        def run():
            try:
                con.execute("SELECT py_udf('import long\nlambda x: x', i) FROM range(3) t(i)").fetchall()
            except duckdb.Error as error:
                errors.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        assert began.wait(30)
        while thread.is_alive():
            sandbox.cancel()
            thread.join(0.05)
        assert len(errors) == 1
        assert isinstance(wasi_udf.error_of(errors[0]), wasi_udf.Cancelled)
        assert list(cache.iterdir()) == []


def test_a_query_on_many_threads_imports_in_each_guest(source):
    with duckdb.connect(config={"threads": 4}) as con, wasi_udf.Sandbox(packages=[source]).install(con):
        con.execute("CREATE TABLE t AS SELECT range AS i FROM range(300_000)")
        code = "from rules.deep import B\nlambda i: i * B"
        assert con.execute("SELECT sum(py_udf_bigint($1, i)) FROM t", [code]).fetchall() == [(300_000 * 299_999,)]


# ---- native code that an installed distribution may do without -----------------------------------------------------


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path / "site")
    return tmp_path / "site"


NATIVE = b"\x7fELF"


@pytest.mark.parametrize(
    "speed",
    [
        "try:\n    from quick._speed import f\nexcept ImportError:\n    def f(x): return x + 1\n",
        "from quick.pure import f\n",
    ],
)
def test_native_code_beside_python_code_is_left_out(con, site, speed):
    files = {"quick/__init__.py": speed, "quick/_speed.so": NATIVE, "quick/pure.py": "f = lambda x: x + 1\n"}
    install(site, "quick", files=files | {"quick/pure.cpython-313-x86_64-linux-gnu.so": NATIVE})
    with wasi_udf.Sandbox(packages=["quick"]).install(con):
        assert con.sql("SELECT py_udf_bigint('import quick\nlambda x: quick.f(x)', 1)").fetchall() == [(2,)]


def test_needed_native_code_is_refused_with_what_fails_without(site):
    install(site, "slow", files={"slow/__init__.py": "from slow._speed import f\n", "slow/_speed.so": NATIVE})
    install(site, "needs", requires=["slow"])
    message = (
        r"^slow 1\.0 \(needed by needs\): has native code \(slow/_speed\.so\), which can't run in the sandbox "
        r"\(without it: ModuleNotFoundError: No module named 'slow\._speed'\)"
    )
    with pytest.raises(wasi_udf.PackageError, match=message):
        wasi_udf.Sandbox(packages=["needs"])


@pytest.mark.parametrize("name", ["duckdb", "pyarrow"])
def test_real_packages_of_native_code_are_refused_by_name(name):
    with pytest.raises(wasi_udf.PackageError, match=f"^{name} .*: has native code .* which can't run in the sandbox"):
        wasi_udf.Sandbox(packages=[name])
