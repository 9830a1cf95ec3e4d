import json
import sys

import pytest

import duckdb_wasi_udf as wasi_udf
from duckdb_wasi_udf import __main__, _doctor
from duckdb_wasi_udf._cli import app, limits, options
from duckdb_wasi_udf._engine import artifact


def test_the_version_and_help_are_printed(cli):
    assert cli("--version").out == f"duckdb-wasi-udf {wasi_udf.__version__}\n"
    for arguments in ([], ["--help"], ["cache", "--help"]):
        done = cli(*arguments)
        assert "Usage: duckdb-wasi-udf" in done.out + done.err
        assert done.status == (0 if arguments else 2)


def commands():
    command = app.typer.main.get_command(app.app)
    for name, found in command.commands.items():
        yield from ([name, inner] for inner in getattr(found, "commands", {}))
        if not hasattr(found, "commands"):
            yield [name]


@pytest.mark.parametrize("command", list(commands()), ids=" ".join)
def test_each_command_has_json_and_an_example_in_its_help(cli, command):
    done = cli(*command, "--help")
    assert done.status == 0
    assert "--json" in done.out
    assert "Example" in done.out
    examples = [line for line in done.out.splitlines() if "duckdb-wasi-udf" in line and "Usage" not in line]
    assert examples
    assert all(f"duckdb-wasi-udf {' '.join(command)}" in line for line in examples)


def test_the_cache_is_counted_and_cleared(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("DUCKDB_WASI_UDF_CACHE", str(tmp_path))
    empty = cli("cache", "info", "--json").json()
    assert empty["directory"] == str(tmp_path / "compiled")
    assert empty["guest"] == {"files": 0, "bytes": 0}
    folder = tmp_path / "compiled"
    ours = [
        folder / f"{'a' * 32}.cwasm",
        folder / "functions" / f"{'b' * 64}.code",
        folder / "modules" / f"{'c' * 64}.code",
    ]
    others = [folder / "notes.txt", folder / "shared", folder / "elsewhere" / f"{'a' * 32}.cwasm"]
    for file in ours + others:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file.write_bytes(b"x" * 100)
    found = cli("cache", "info", "--json").json()
    assert [found[kind] for kind in ("guest", "functions", "modules")] == [{"files": 1, "bytes": 100}] * 3
    assert "compiled functions: 1 file(s)" in cli("cache", "info").out
    cleared = cli("cache", "clear", "--json").json()
    assert (cleared["files"], cleared["bytes"]) == (3, 300)
    assert [file.exists() for file in ours + others] == [False] * 3 + [True] * 3
    assert cli("cache", "clear").status == 0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
def test_a_cache_that_others_can_write_is_left_alone(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("DUCKDB_WASI_UDF_CACHE", str(tmp_path))
    folder = tmp_path / "compiled"
    folder.mkdir()
    file = folder / f"{'a' * 32}.cwasm"
    file.touch()
    folder.chmod(0o777)
    done = cli("cache", "clear")
    assert (done.status, file.exists()) == (3, True)
    assert "isn't yours alone" in done.err


def test_the_guest_is_described(cli):
    manifest = artifact.find().manifest
    assert manifest["versions"]["python"] in cli("guest", "info").out
    assert cli("guest", "info", "--json").json()["guest_sha256"] == manifest["guest_sha256"]
    assert cli("guest", "info", "--sbom").json()["bomFormat"] == "CycloneDX"


def test_a_guest_that_is_not_there_is_named(cli, tmp_path, monkeypatch):
    monkeypatch.setattr(artifact, "NUMPY_DIRECTORY", tmp_path / "gone")
    done = cli("guest", "info", "--numpy")
    assert (done.status, done.out) == (3, "")
    assert "there is no guest with numpy" in done.err


def test_the_doctors_report_is_json_if_asked_for(cli, monkeypatch):
    monkeypatch.setattr(_doctor, "_CHECKS", {"good": lambda: True, "bad": lambda: False})
    done = cli("doctor", "--json")
    assert done.status == 1
    report = done.json()
    assert (report["checks"], report["everything_works"]) == ({"good": None, "bad": "FAILED"}, False)
    assert report["guest"]["sha256"] == artifact.find().sha256
    assert report["versions"]["duckdb-wasi-udf"] == wasi_udf.__version__


def test_a_function_is_measured(cli, prices, tmp_path):
    (tmp_path / "f.py").write_text("def f(x: int, s: str, d: 'DATE', flag: bool) -> float:\n    return x * 1.5\n")
    found = cli("bench", "f.py", "--rows", "3000", "--unsandboxed", "--json").json()
    assert (found["name"], found["rows"]) == ("f", 3000)
    assert found["seconds"].keys() == {"interpreted", "compiled", "unsandboxed"}
    assert all(0 < seconds < 10 for seconds in found["seconds"].values())
    (tmp_path / "in.csv").write_text("net,country\n1,DE\n2,FR\n")
    assert "2 rows, best of" in cli("bench", prices, "in.csv").out


def test_a_file_runs_outside_the_sandbox_only_if_allowed(cli, tmp_path):
    (tmp_path / "f.py").write_text(
        "import os\ntry: open('ran', 'w').close()\nexcept OSError: pass\ndef f(x: int) -> int: return x\n"
    )
    assert cli("bench", "f.py", "--rows", "10").status == 0
    assert not (tmp_path / "ran").exists()
    assert cli("bench", "f.py", "--rows", "10", "--unsandboxed").status == 0
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("setting", "name", "value"),
    [
        ("timeout_seconds=2.5", "timeout_seconds", 2.5),
        (" timeout_seconds = 2s ", "timeout_seconds", 2.0),
        ("timeout_seconds=1e-1", "timeout_seconds", 0.1),
        ("memory_bytes=64MiB", "memory_bytes", 64 * 2**20),
        ("memory_bytes=1_000_000", "memory_bytes", 1_000_000),
        ("memory_bytes=0.5 gb", "memory_bytes", 500_000_000),
        ("instances=3", "instances", 3),
        ("fuel=1e9", "fuel", 10**9),
    ],
)
def test_limits_have_units(setting, name, value):
    found = getattr(limits.parse_limits([setting])[0], name)
    assert (found, type(found)) == (value, type(value))


def test_every_limit_but_quotas_can_be_set():
    for name in (*limits.RESOURCES, *limits.DATA):
        limits.parse_limits([f"{name}=1000"])
    assert limits.parse_limits(["result_bytes=7"])[1].result_bytes == 7


# ---- without the libraries ---------------------------------------------------------------------------------------


@pytest.fixture
def bare(monkeypatch):
    """The command line where typer isn't installed."""
    for name in [name for name in sys.modules if name.startswith("duckdb_wasi_udf._cli.app")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "typer", None)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["duckdb-wasi-udf", *arguments])
        return __main__.main()

    return run


@pytest.mark.parametrize("arguments", [[], ["sql", "SELECT 1"], ["nosuch"], ["--version"]])
def test_without_libraries_commands_say_what_to_install(bare, capsys, arguments):
    assert bare(*arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "typer" in error
    assert "only doctor and compile: pip install 'duckdb-wasi-udf[cli]'" in error
    assert error.count("\n") == 1


def test_without_libraries_doctor_and_compile_work(bare, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(_doctor, "_CHECKS", {"good": lambda: True})
    assert bare("doctor", "--json") == 0
    assert json.loads(capsys.readouterr().out)["everything_works"]
    seen = []
    monkeypatch.setattr(_doctor, "compile_guest", lambda **options: seen.append(options) or 0)
    assert bare("compile", "--fuel") == 0
    assert seen == [{"fuel": True, "numpy": False, "as_json": False}]


@pytest.mark.parametrize(
    ("words", "completed"), [("duckdb-wasi-udf ex", "explain"), ("duckdb-wasi-udf cache cl", "clear")]
)
def test_shells_complete_commands(cli, capfd, monkeypatch, words, completed):
    monkeypatch.setenv("_DUCKDB_WASI_UDF_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
    with pytest.raises(SystemExit):
        cli()
    assert capfd.readouterr().out.split() == [completed]


def test_limits_are_completed():
    assert options.complete_limit("tim") == ["timeout_seconds="]
