"""What the guest can't reach: everything is asked for from inside, through SQL."""

from pathlib import Path

import pytest
import wasmtime

from duckdb_wasi_udf import GuestError, GuestTrap, _abi
from duckdb_wasi_udf._engine import artifact
from wasm.build import link, sections, snapshot
from wasm.build.reactor import Module, SnapshotError

pytestmark = pytest.mark.shared_sandbox


@pytest.fixture
def evaluate(con, sandbox):
    def run(expression):
        code = f"import os, sys, socket, time\nlambda x: {expression}"
        return con.execute("SELECT py_udf($1, 1)", [code]).fetchall()[0][0]

    return run


def test_the_module_imports_what_is_documented_and_nothing_else():
    found = sections.split(artifact.find().read())
    assert sections.imports(found) == link.IMPORTS
    assert {"clock_res_get", "clock_time_get", "random_get"} == link.WASI_IMPORTS
    assert link.HOST_MODULE == _abi.HOST_MODULE
    assert {name: len(parameters) for name, parameters in _abi.HOST_IMPORTS.items()} == link.HOST_IMPORTS


def test_there_are_no_arguments_and_no_environment(evaluate, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_HOST", "1")
    assert evaluate("len(os.environ)") == 0
    assert evaluate("os.getenv('SECRET_OF_THE_HOST')") is None
    assert evaluate("str(sys.argv)") == "['']"


@pytest.mark.parametrize(
    "expression",
    [
        "open('/etc/passwd').read()",
        f"open({str(Path(__file__).resolve())!r}).read()",
        "open('/stdlib/os.py', 'w')",
        "open('/stdlib/../etc/passwd').read()",
        "os.unlink('/stdlib/os.py')",
        "open('new', 'w').write('x')",
        "open(3).read()",
        "str(os.listdir('/'))",
        "str(os.listdir('.'))",
        "str(os.stat('/'))",
        "os.mkdir('/x')",
        "os.unlink('/etc/passwd')",
        "os.read(3, 10).hex()",
        "str(os.scandir('/'))",
        "str(socket.socket())",
        "str(socket.getaddrinfo('localhost', 80))",
        "str(socket.create_connection(('127.0.0.1', 80)))",
        "__import__('subprocess').run(['ls'])",
        "os.fork()",
        "os.execv('/bin/sh', [])",
        "os.system('ls')",
        "os.kill(1, 9)",
        "__import__('ctypes')",
        "__import__('mmap')",
        "__import__('threading').Thread(target=print).start()",
    ],
)
def test_files_sockets_processes_and_threads_are_out_of_reach(failing, expression):
    code = f"import os, sys, socket\nlambda x: {expression}"
    failing("SELECT py_udf($1, 1)", [code], error=GuestError)


def test_standard_input_is_empty_and_printing_goes_nowhere(evaluate, capfd):
    assert evaluate("sys.stdin.read()") == ""
    assert evaluate("print('seen' * 10_000) or os.write(2, b'x' * 100_000)") == 100_000
    assert capfd.readouterr() == ("", "")


def test_what_was_printed_before_a_crash_is_part_of_the_error(failing):
    code = "import os\ndef f(x):\n    print('last words', flush=True)\n    os.abort()"
    assert "last words" in str(failing("SELECT py_udf($1, 1)", [code], error=GuestTrap))


def test_clocks_and_random_numbers_work(evaluate):
    assert evaluate("time.time()") > 1.7e9
    assert evaluate("(lambda a: time.monotonic() >= a)(time.monotonic())") is True
    assert evaluate("time.sleep(0.01)") is None
    assert evaluate("len(os.urandom(1000))") == 1000
    assert evaluate("os.urandom(16).hex()") != evaluate("os.urandom(16).hex()")


def test_the_snapshot_is_mapped_not_copied():
    """Wasmtime maps an image copy-on-write while it is below 16 MiB or at least half of its span is used.

    https://docs.wasmtime.dev/api/wasmtime/struct.Config.html#method.memory_guaranteed_dense_image_size
    """
    (data,) = [section for section in sections.split(artifact.find().read()) if section.id == sections.SectionId.DATA]
    reader = sections.Reader(data.body)
    segments = []
    for _ in range(reader.unsigned()):
        assert reader.take(2) == b"\0\x41"
        start = 0
        shift = 0
        while (byte := reader.byte()) >= 0x80:
            start |= (byte & 0x7F) << shift
            shift += 7
        start |= byte << shift
        assert reader.byte() == 0x0B
        segments.append((start, len(reader.take(reader.unsigned()))))
    used = sum(size for _, size in segments)
    span = segments[-1][0] + segments[-1][1] - segments[0][0]
    assert used > 0.8 * span


def test_a_snapshot_that_does_not_start_shows_what_it_printed():
    reactor = wasmtime.wat2wasm("""
        (module
          (memory (export "memory") 1)
          (global (export "__stack_pointer") (mut i32) (i32.const 1024))
          (data (i32.const 2048) "\\08\\08\\00\\00\\05\\00\\00\\00no way")
          (func (export "_initialize"))
          (func (export "udf_frozen_module") (param i32 i32 i32) (result i32) (i32.const 0))
          (func (export "udf_prepare") (param i32 i32) (result i32) (i32.const 1))
          (func (export "udf_output") (result i32) (i32.const 2048)))
    """)
    with pytest.raises(SnapshotError, match=r"udf_prepare failed \(1\); the guest printed:\nno wa"):
        snapshot.take(Module(bytes(reactor)), b"zip", {"importer": b"code"})
