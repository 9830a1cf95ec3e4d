"""Results that a fuzzer changes, led by the code that they reach: `python -m tests.native.guided_fuzz [MINUTES]`.

It takes clang with libFuzzer, ASan and UBSan, and llvm-profdata and llvm-cov: docs/contributing/fuzzing.md. It begins
with the inputs of corpus.txt, which the test suite replays. In the end it writes there the fewest that reach as much,
and prints how much of results.c and texts.c that is.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.native.fuzz import CORPUS, SOURCES

MINUTES = 20.0
LONGEST = 160  # bytes of an input
_SANITIZERS = ["-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all"]
_COVERAGE = ["-fsanitize=fuzzer", "-fprofile-instr-generate", "-fcoverage-mapping"]


def tool(name: str) -> str:
    """Return the path of a program of clang's version; exit without one."""
    compiler = os.path.realpath(shutil.which("clang") or "")
    found = shutil.which(name, path=str(Path(compiler).parent)) or shutil.which(name)
    if found is None:
        sys.exit(f"{name} is missing: see docs/contributing/fuzzing.md")
    return found


def build(out: Path, flags: list[str]) -> Path:
    """Compile the fuzzer with flags of clang's."""
    files = [SOURCES / name for name in ("fuzz.c", "results.c", "texts.c")]
    subprocess.run([tool("clang"), "-std=gnu2x", "-g", "-O1", "-DLIBFUZZER", *flags, "-o", out, *files], check=True)
    return out


def main() -> int:
    """Fuzz; the status of the process, not 0 after a finding."""
    seconds = round(60 * (float(sys.argv[1]) if len(sys.argv) > 1 else MINUTES))
    with tempfile.TemporaryDirectory() as directory:
        top = Path(directory)
        found, fewest = top / "found", top / "fewest"
        for each in (found, fewest):
            each.mkdir()
        for number, line in enumerate(CORPUS.read_text(encoding="ascii").split()):
            (found / str(number)).write_bytes(bytes.fromhex(line))
        fuzzer = build(top / "fuzzer", _SANITIZERS)
        options = [f"-max_len={LONGEST}", f"-artifact_prefix={Path.cwd()}/"]
        limits = [f"-max_total_time={seconds}", "-print_final_stats=1"]
        done = subprocess.run([fuzzer, *options, *limits, found], check=False)
        if done.returncode != 0:
            return done.returncode
        subprocess.run([fuzzer, *options, "-merge=1", fewest, found], check=True, capture_output=True)
        lines = sorted(path.read_bytes().hex() for path in fewest.iterdir())
        CORPUS.write_text("".join(f"{line}\n" for line in lines if line), encoding="ascii")
        _print_coverage(top, fewest)
    return 0


def _print_coverage(top: Path, inputs: Path) -> None:
    """Print which part of the code the inputs reach."""
    program, raw, profile = build(top / "covered", _COVERAGE), top / "raw", top / "profile"
    environment = os.environ | {"LLVM_PROFILE_FILE": str(raw)}
    subprocess.run([program, "-runs=0", inputs], check=True, capture_output=True, env=environment)
    subprocess.run([tool("llvm-profdata"), "merge", "-o", profile, raw], check=True)
    report = [tool("llvm-cov"), "report", program, f"-instr-profile={profile}", "-show-functions"]
    subprocess.run([*report, SOURCES / "results.c", SOURCES / "texts.c"], check=True)


if __name__ == "__main__":
    sys.exit(main())
