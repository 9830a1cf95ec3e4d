import io
import json
from types import SimpleNamespace

import pytest

pytest.importorskip("typer", reason="typer is not installed: pip install 'duckdb-wasi-udf[cli]'")

from duckdb_wasi_udf._cli import app

PRICES = '''

"""Prices: two empty lines come before this one."""
from __future__ import annotations
import datetime

VAT = {"DE": 0.19, "FR": 0.2}

def rate(country: str) -> float:
    return VAT[country]

def gross(net: float, country: str = "DE") -> float:
    """Add the tax.

    >>> gross(100)
    119.0
    >>> gross(100, "XX")
    Traceback (most recent call last):
        ...
    KeyError: 'XX'
    """
    return round(net * (1 + rate(country)), 2)
'''


@pytest.fixture
def cli(capfd, monkeypatch, tmp_path):
    """Runs a command in a directory of its own; its status, output and errors."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, stdin=None):
        if stdin is not None:
            data = stdin if isinstance(stdin, bytes) else stdin.encode()
            monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data), "utf-8"))
        capfd.readouterr()
        status = app.main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return SimpleNamespace(
            status=int(status), out=out, err=err, json=lambda: json.loads(out), error=lambda: json.loads(err)["error"]
        )

    return run


@pytest.fixture
def prices(tmp_path):
    """A file of functions in the directory of the commands."""
    (tmp_path / "prices.py").write_text(PRICES)
    return "prices.py"
