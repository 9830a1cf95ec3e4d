"""Make the picture of a terminal in the README: run the commands, and draw what they print.

Usage: python docs/picture.py, which is part of `make pictures`.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

PICTURE = Path(__file__).parent / "images" / "terminal.svg"

_COLUMNS = 108

_FILES = {
    "people.csv": "name,net,country\nada lovelace,100,FR\ngrace hopper,80,DE\n",
    "prices.py": """VAT = {"DE": 0.19, "FR": 0.2}

def gross(net: float, country: str) -> float:
    return round(net * (1 + VAT[country]), 2)
""",
}
COMMANDS = [
    ("cat", "prices.py"),
    (
        "duckdb-wasi-udf",
        "sql",
        "SELECT *, gross(net, country) AS gross FROM 'people.csv'",
        "--functions",
        "prices.py",
    ),
    ("duckdb-wasi-udf", "sql", "SELECT gross(80, 'US')", "--functions", "prices.py"),
    ("duckdb-wasi-udf", "sql", "SELECT py_udf('lambda path: open(path).read()', '/etc/passwd')"),
    ("duckdb-wasi-udf", "sql", "SELECT py_udf('def f(x):\n  while True: pass', 1)", "--set", "timeout_seconds=1"),
]

# rich's own asks the network for its font.
_FORMAT = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font: {char_height}px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; }}
.{unique_id}-title {{ font: 16px ui-sans-serif, "DejaVu Sans", sans-serif; }}
{styles}
</style>
<defs>{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def main() -> int:
    """Write the picture; return the exit status."""
    console = Console(record=True, width=_COLUMNS, file=io.StringIO(), force_terminal=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, text in _FILES.items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        for command in COMMANDS:
            console.print(Text.assemble(("$ ", "green"), _written(command)), soft_wrap=False)
            console.print(Text.from_ansi(_output(command, folder)))
    drawn = console.export_svg(title="duckdb-wasi-udf", theme=MONOKAI, code_format=_FORMAT, unique_id="t")
    # Each line has a clip path that nothing needs, since the text was wrapped.
    drawn = re.sub(r' clip-path="[^"]*"', "", re.sub(r"<defs>.*?</defs>", "", drawn, flags=re.DOTALL))
    PICTURE.write_text(drawn, encoding="utf-8")
    print(f"{PICTURE}: {len(drawn):,} bytes")
    return 0


def _written(command: tuple[str, ...]) -> str:
    """Return a command as it is typed."""
    return " ".join(f'"{part}"' if " " in part and '"' not in part else shlex.quote(part) for part in command)


def _output(command: tuple[str, ...], folder: str) -> str:
    """Return what a command prints, with its colours."""
    program = (sys.executable, "-m", "duckdb_wasi_udf") if command[0] == "duckdb-wasi-udf" else (command[0],)
    environment = os.environ | {"COLUMNS": str(_COLUMNS), "FORCE_COLOR": "1", "PYTHONPATH": str(PICTURE.parents[2])}
    done = subprocess.run(
        [*program, *command[1:]],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        encoding="utf-8",
    )
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
