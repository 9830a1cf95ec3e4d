"""The example scripts run, and find what the plain SQL, or the made-up data, in them says."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "sql" / "examples"

# What each script prints at its end, and has to; the figures are of its data, which never changes.
ENDS = {
    "access_log": r"20,000 lines, 210 of them damaged\n(.*\n)*[\d,]+ visits, as in plain SQL",
    "aggregation": "36 months of airports, as in plain SQL",
    "cleaning": "1,000 contacts, 0 of them not as they were",
    "enrichment": "336,776 flights enriched, 0 of them other than by joins",
    "rotations": "64,251 rotations, as in plain SQL",
    "scoring": r"75,236 flights scored, 0 of them other than in plain SQL; the fit is off by \de-\d+",
    "tracebacks": r"2\d,\d{3} lines, 8,000 records, as they were logged",
}


def run(name, monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    spec = importlib.util.spec_from_file_location(f"examples.{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)  # for the globals of what is shipped
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ENDS)
def test_an_example_finds_what_plain_sql_finds(name, monkeypatch, capsys):
    assert run(name, monkeypatch).main() == 0
    assert re.search(f"{ENDS[name]}$", capsys.readouterr().out.strip())


def test_every_script_is_run():
    scripts = {path.stem for path in EXAMPLES.glob("*.py") if "def main" in path.read_text()}
    assert scripts == set(ENDS)
    assert len(scripts) >= 6


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("aggregation", "fahrenheit < 32", "fahrenheit <= 32"),
        ("cleaning", "11 <= len(digits)", "12 <= len(digits)"),
        ("scoring", "c * m", "c * h"),
        ("tracebacks", "depth + 1", "depth + 2"),
    ],
)
def test_an_example_notices_when_it_is_wrong(name, right, wrong, monkeypatch, capsys):
    module = run(name, monkeypatch)
    changed = 0
    for variable, value in vars(module).copy().items():
        if variable.isupper() and isinstance(value, str) and right in value:
            monkeypatch.setattr(module, variable, value.replace(right, wrong))
            changed += 1
    assert changed == 1
    assert module.main() == 1
    capsys.readouterr()
