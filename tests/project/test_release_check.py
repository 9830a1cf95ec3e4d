"""`make release-check` fails where something it has to check isn't there."""

import sys

import pytest

from tests.tools import release_check, wheels

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


def test_a_missing_python_is_an_error_unless_allowed(capsys):
    with pytest.raises(wheels.WheelError, match=r"^Python 3\.99 isn't installed; .* make release-check MISSING=allow$"):
        release_check.find((HERE, "3.99"), allow_missing=False)
    found = release_check.find((HERE, "3.99"), allow_missing=True)
    assert found.keys() == {HERE}
    assert "Python 3.99 isn't installed: NOT checked with it" in capsys.readouterr().out


def test_a_check_that_fails_leaves_what_was_released_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(release_check, "DIST", tmp_path / "dist")
    monkeypatch.setattr(release_check, "PYTHONS", ("3.99",))
    (tmp_path / "dist").mkdir()
    monkeypatch.setattr(sys, "argv", ["release_check"])
    assert release_check.main() == 1
    assert (tmp_path / "dist").exists()
