"""`make setup`: an environment is made when there is none, and made again when it can't be used as it is."""

import functools
import json
import os
import shutil
import sys
import venv as virtual_environments
from pathlib import Path

import pip
import pytest

from tests.tools import set_up

ROOT = Path(__file__).parents[2]


@pytest.fixture
def venv(tmp_path):
    return tmp_path / ".venv"


@pytest.fixture
def installed(monkeypatch):
    """The levels that were installed; nothing is."""
    levels = []
    make = functools.partial(virtual_environments.create, symlinks=os.name != "nt")  # without pip, which takes seconds
    monkeypatch.setattr(set_up, "_make", make)
    monkeypatch.setattr(set_up, "_install", lambda python, level, _: levels.append((python.exists(), level)))
    return levels


def test_an_environment_is_made_once_and_grows(venv, installed):
    for level in ("demo", "demo", "dev", "demo"):
        set_up.set_up(venv, level)
    assert installed == [(True, "demo"), (True, "dev")]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"level": "half"}, "is not complete"),
        ({"python": "3.9"}, "is of Python 3.9, not"),
        ({"folder": "/elsewhere/.venv"}, "was made in /elsewhere/.venv"),
        ({"inputs": "0"}, "is of other versions"),
    ],
)
def test_an_environment_that_does_not_fit_is_made_anew(venv, installed, capsys, change, reason):
    set_up.set_up(venv, "dev")
    stamp = venv / set_up.STAMP
    stamp.write_text(json.dumps(json.loads(stamp.read_text()) | change))
    (venv / "left").touch()
    set_up.set_up(venv, "demo")
    assert not (venv / "left").exists()
    assert f".venv {reason}" in capsys.readouterr().out
    assert installed == [(True, "dev"), (True, "demo")]


@pytest.mark.parametrize("damage", ["no stamp", "no json", "no interpreter", "a file"])
def test_a_damaged_environment_is_made_anew(venv, installed, damage):
    set_up.set_up(venv, "demo")
    if damage == "no interpreter":
        set_up.interpreter(venv).unlink()
    elif damage == "a file":
        set_up._remove(venv)
        venv.touch()
    else:
        (venv / set_up.STAMP).write_text("") if damage == "no json" else (venv / set_up.STAMP).unlink()
    set_up.set_up(venv, "demo")
    assert installed == [(True, "demo")] * 2


def make_with_our_pip(venv):
    """Make an environment that has the pip of this one: to install another takes seconds."""
    virtual_environments.create(venv, symlinks=os.name != "nt")
    (folder,) = venv.glob("lib/python*/site-packages" if os.name != "nt" else "Lib/site-packages")
    shutil.copytree(Path(pip.__file__).parent, folder / "pip")


def test_a_set_up_that_fails_is_not_taken_for_complete(venv, monkeypatch, capsys):
    monkeypatch.setattr(set_up, "_make", make_with_our_pip)
    monkeypatch.setattr(sys, "argv", ["set_up", "demo", "--venv", str(venv)])
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # nobody listens there
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    monkeypatch.setenv("PIP_NO_INDEX", "0")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    assert set_up.main() == 1
    assert "pip could not install the packages" in capsys.readouterr().err.splitlines()[-1]
    assert not (venv / set_up.STAMP).exists()


def test_settings_of_tools_do_not_change_the_environment(tmp_path, monkeypatch):
    before = set_up._inputs(set_up.LOCK)
    project = tmp_path / "pyproject.toml"
    monkeypatch.setattr(set_up, "PROJECT", project)
    text = (ROOT / "pyproject.toml").read_text()
    project.write_text(text.replace("line-length = 120", "line-length = 100"))
    assert set_up._inputs(set_up.LOCK) == before
    project.write_text(text.replace('"pyarrow>=', '"pyarrow>='.replace(">=", ">")))
    assert set_up._inputs(set_up.LOCK) != before
