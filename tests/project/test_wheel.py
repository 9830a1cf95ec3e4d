"""The wheel, in an environment that has nothing else."""

import shutil
import sys
import zipfile

import pytest

from tests.tools import wheels

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return wheels.build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    return wheels.install(wheel, tmp_path_factory.mktemp("fresh") / "venv")


def test_the_wheel_carries_the_guest_and_runs_everywhere(wheel):
    wheels.check_contents(wheel)


def test_a_wheel_that_lacks_or_has_more_is_noticed(wheel, tmp_path):
    changed = tmp_path / wheel.name
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            if name != "hostfuncs/py.typed":
                new.writestr(name, old.read(name))
        new.writestr("tests/test_x.py", "")
    with pytest.raises(
        wheels.WheelError, match=r"lacks hostfuncs/py.typed; has tests/test_x.py; has [\d,]+ bytes, more than"
    ):
        wheels.check_contents(changed)
    with pytest.raises(wheels.WheelError, match=r"differ in hostfuncs/py.typed, tests/test_x.py$"):
        wheels.check_same(wheel, changed)
    wheels.check_same(wheel, wheel)


def test_every_kind_of_function_works_in_a_fresh_environment(installed, tmp_path):
    report = wheels.use(installed, tmp_path)
    assert "anyio is not installed: pip install 'duckdb-wasi-udf[http]'\n" in report
    assert report.endswith("everything works\n")


def test_a_smoke_test_that_runs_from_the_source_tree_is_noticed(tmp_path):
    with pytest.raises(wheels.WheelError, match="not the wheel ran"):
        wheels.use(sys.executable, tmp_path)


@pytest.mark.skipif(not shutil.which("mypy", path=sys.prefix + "/bin"), reason="mypy isn't installed")
def test_the_types_of_both_packages_are_seen_by_users(installed, tmp_path):
    wheels.check_types(installed, tmp_path)
    for package in ("duckdb_wasi_udf", "hostfuncs"):
        (marker,) = installed.parent.parent.rglob(f"site-packages/{package}/py.typed")
        marker.unlink()
        with pytest.raises(wheels.WheelError, match="mypy sees other types"):
            wheels.check_types(installed, tmp_path)
        marker.touch()
