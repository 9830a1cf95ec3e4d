"""Tests with a native library that checks itself: `python -m tests.native.sanitized address|thread [PYTEST ARGUMENTS]`.

The library is compiled with ASan and UBSan, or TSan, and takes the place of the one in the package for that time.
DuckDB, wasmtime and the interpreter are as they are. Reports about the library are printed in the end; then it fails.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from duckdb_wasi_udf._native.library import file_name
from wasm.build.native import DIRECTORY, FLAGS, SOURCES

# By the name of a sanitizer: compiler, its flags, the runtime, and which tests are run.
BUILDS = {
    "address": (
        "clang",
        ("-fsanitize=address,undefined", "-fsanitize-recover=address,undefined", "-shared-libsan"),
        "libclang_rt.asan-x86_64.so",
        ("tests/native", "tests/functions/test_aggregate.py", "tests/sql/test_table_functions.py"),
    ),
    "thread": (  # clang's runtime can't be loaded into a program that wasn't compiled for it
        "gcc",
        ("-fsanitize=thread",),
        "libtsan.so",
        ("tests/native/test_calls.py", "tests/native/test_steps.py", "tests/native/test_aggregates.py"),
    ),
}
# wasmtime handles the signals of traps itself, and guests have stacks of their own.
OPTIONS = (
    "halt_on_error=0:use_sigaltstack=0:handle_segv=0:handle_sigbus=0:handle_sigill=0:handle_sigfpe=0:handle_abort=0"
)


def build(sanitizer: str, out: Path) -> Path:
    """Compile the library; return the sanitizer's runtime, which has to be loaded before everything else."""
    compiler, sanitizers, runtime, _ = BUILDS[sanitizer]
    flags = [flag for flag in FLAGS if flag.startswith(("-f", "-Wa", "-We")) or flag == "-shared"]
    files = [path for path in SOURCES if path.suffix == ".c"]
    command = [compiler, "-std=gnu2x", "-g", "-O1", "-fno-omit-frame-pointer", *flags, *sanitizers, "-o", out, *files]
    subprocess.run([part for part in command if part != "-Werror"], check=True)
    found = subprocess.run([compiler, f"-print-file-name={runtime}"], capture_output=True, text=True, check=True)
    return Path(found.stdout.strip()).resolve()


def run(sanitizer: str, runtime: Path, arguments: list[str], reports: Path) -> int:
    """Run tests; return pytest's status."""
    options = f"{OPTIONS}:log_path={reports / 'report'}"
    own = "detect_leaks=0:detect_odr_violation=0" if sanitizer == "address" else "report_signal_unsafe=0"
    variables = [
        f"LD_PRELOAD={runtime}",
        f"{'ASAN' if sanitizer == 'address' else 'TSAN'}_OPTIONS={options}:{own}",
        f"UBSAN_OPTIONS=print_stacktrace=1:log_path={reports / 'report'}",
    ]
    # TSan needs addresses that aren't random.
    command = ["setarch", "-R", "env", *variables, sys.executable, "-m", "pytest", "-n0", "-q", *arguments]
    return subprocess.run(command, check=False).returncode


def findings(reports: Path) -> list[str]:
    """Return the reports whose first frames are the library's. TSan has many about DuckDB and wasmtime."""
    texts = [path.read_text(errors="replace") for path in sorted(reports.iterdir())]
    found = [part for text in texts for part in re.split(r"^={18,}\n", text, flags=re.MULTILINE) if part.strip()]
    return [part for part in found if "runtime error" in part or re.search(r"#0 .*wasm/native/", part)]


def main() -> None:
    """Run what the command line says."""
    if sys.platform != "linux" or len(sys.argv) < 2 or sys.argv[1] not in BUILDS:
        sys.exit(__doc__)
    sanitizer, arguments = sys.argv[1], sys.argv[2:]
    there = DIRECTORY / file_name()
    new = there.with_suffix(".new")  # moved there, as one in use must not be written over
    with tempfile.TemporaryDirectory() as folder:
        kept, reports = Path(folder, "kept"), Path(folder, "reports")
        reports.mkdir()
        shutil.copy2(there, kept)
        runtime = build(sanitizer, new)
        try:
            new.replace(there)
            status = run(sanitizer, runtime, arguments or list(BUILDS[sanitizer][3]), reports)
        finally:
            shutil.copy2(kept, new)
            new.replace(there)
        found = findings(reports)
    print(*found, sep="\n")
    print(f"{len(found)} findings")
    if status:  # TSan's is 66 also for reports about others
        print(f"status {status}: tests failed, the process ended early, or there were reports about others")
    sys.exit(status or bool(found))


if __name__ == "__main__":
    main()
