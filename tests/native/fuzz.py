"""Results that are tampered with, read by C under sanitizers: `python -m tests.native.fuzz [RESULTS]`.

UBSan is zig's. With a system compiler that has ASan, both are used.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from wasm.build.native import FLAGS, zig

SOURCES = Path(__file__).parents[2] / "wasm" / "native"
# Inputs of tests/native/guided_fuzz.py, one a line, in hexadecimal digits.
CORPUS = Path(__file__).parent / "corpus.txt"
SEED = 20_260_101
LONG = 10_000_000


def build(directory: Path, *, address_sanitizer: bool) -> Path:
    """Compile the fuzzer; where there is no system compiler, without ASan."""
    flags = [flag for flag in FLAGS if flag.startswith(("-W", "-O"))]
    files = [SOURCES / name for name in ("fuzz.c", "results.c", "texts.c")]
    out = directory / "fuzz"
    compiler = shutil.which("cc") if address_sanitizer else None
    sanitizers = ["-fsanitize=undefined,address", "-fno-sanitize-recover=all"]
    if compiler is not None:
        command = [compiler, "-std=gnu2x", "-g", *flags, *sanitizers, "-o", out, *files]
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return out
    found = zig()
    assert found is not None
    traps = ["-fsanitize=undefined", "-fsanitize-trap=undefined"]
    subprocess.run([*found, "-std=gnu23", "-g", *flags, *traps, "-o", out, *files], check=True)
    return out


def run(program: Path, results: int) -> str:
    """Tamper with a number of results; what the program says in the end."""
    done = subprocess.run([program, str(SEED), str(results)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-10_000:] or f"status {done.returncode}"
    return done.stdout.strip()


def replay(program: Path, corpus: Path = CORPUS) -> int:
    """Read the inputs of a corpus; return their number."""
    done = subprocess.run([program, corpus], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-10_000:] or f"status {done.returncode}"
    return int(done.stdout.split()[0])


def read_texts(program: Path, texts: list[tuple[bytes, int]], directory: Path) -> list[bool]:
    """Return for texts, of which each is cut into two rows, whether C takes both as UTF-8."""
    file = directory / "texts"
    file.write_bytes(b"".join(struct.pack("=II", len(text), cut) + text for text, cut in texts))
    done = subprocess.run([program, "texts", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-10_000:] or f"status {done.returncode}"
    return [taken == "1" for taken in done.stdout]


def main() -> None:
    results = int(sys.argv[1]) if len(sys.argv) > 1 else LONG
    with tempfile.TemporaryDirectory() as directory:
        program = build(Path(directory), address_sanitizer=True)
        began = time.monotonic()
        print(f"{run(program, results)}, 0 findings, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
