"""Requirements become installed distributions, with those they need in the guest."""

import builtins

import pytest

from duckdb_wasi_udf import PackageError
from duckdb_wasi_udf._packages.requirements import resolve
from tests.support.installed import install


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def names(*requirements, python_version="3.13.5"):
    return [installed.distribution.metadata["Name"] for installed in resolve(requirements, python_version)]


def test_a_requirement_brings_what_it_needs_once_each(site):
    install(site, "a", requires=["b", "c>=1"])
    install(site, "b", requires=["c"])
    install(site, "c", requires=["a"])
    assert names("a") == ["a", "b", "c"]
    assert names("c", "a") == ["c", "a", "b"]
    assert names() == []


@pytest.mark.parametrize(
    ("marker", "needed"),
    [
        ('python_version >= "3.13"', True),
        ('python_version < "3.13"', False),
        ('python_full_version == "3.13.5"', True),
        ('sys_platform == "wasi"', True),
        ('sys_platform == "linux" or sys_platform == "darwin" or sys_platform == "win32"', False),
        ('platform_machine == "wasm32" and os_name == "posix"', True),
        ('implementation_name == "cpython" and platform_python_implementation == "CPython"', True),
        ('extra == "more"', False),
    ],
)
def test_markers_are_answered_for_the_guest_and_not_for_the_host(site, marker, needed):
    install(site, "a", requires=[f"b; {marker}"])
    install(site, "b")
    assert names("a") == (["a", "b"] if needed else ["a"])


def test_extras_bring_what_they_need(site):
    install(site, "a", requires=['b; extra == "more"', 'c[most]; extra == "most"'])
    install(site, "b")
    install(site, "c", requires=['d; extra == "most"'])
    install(site, "d")
    assert names("a") == ["a"]
    assert names("a[more]") == ["a", "b"]
    assert names("a", "a[most]") == ["a", "c", "d"]


def test_names_are_compared_as_pip_does(site):
    install(site, "Some_Name", files={"some.py": ""}, requires=["other-name"])
    install(site, "other.name", files={"other.py": ""})
    assert names("some-name", "SOME.NAME") == ["Some_Name", "other.name"]


@pytest.mark.parametrize("requirement", ["a", "a>=1", "a==1.*", "a~=1.0", "a<2,!=1.5", "a>=1.0rc1"])
def test_versions_that_fit(site, requirement):
    install(site, "a", "1.9rc1")
    assert names(requirement) == ["a"]


@pytest.mark.parametrize(
    ("requirement", "message"),
    [
        ("b", "^b is not installed; pip install 'b', or give a wheel"),
        ("a>2", "^a>2 is installed as version 1.0, which doesn't fit; pip install 'a>2'"),
        ("lacks", "^gone>=3, which lacks needs, is not installed"),
        ("late", r"^old 1\.0 \(needed by late\) wants Python <3\.12; the guest has 3\.13\.5"),
        ("", "'' is no requirement"),
        ("a b", "'a b' is no requirement .*and no path, which has a slash or ends in .whl, .zip or .py"),
        ("..", "'..' is no requirement"),
        ("a\0b", "is no requirement"),
        ("пакет", "is no requirement"),
        ("x" * 10_000, "is not installed"),
    ],
)
def test_what_is_not_there_or_does_not_fit_is_an_error(site, requirement, message):
    install(site, "a")
    install(site, "lacks", requires=["gone>=3"])
    install(site, "late", requires=["old"])
    install(site, "old", metadata=["Requires-Python: <3.12"])
    with pytest.raises(PackageError, match=message):
        names(requirement)


def test_without_packaging_the_error_says_what_to_install(site, monkeypatch):
    real = builtins.__import__

    def without_packaging(name, *arguments):
        if name.startswith("packaging"):
            raise ModuleNotFoundError(name)
        return real(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without_packaging)
    with pytest.raises(PackageError, match=r"pip install 'duckdb-wasi-udf\[packages\]'"):
        names("a")


@pytest.mark.parametrize(
    "damage",
    [
        {"requires": ["b >>> 1"]},
        {"requires": ['b; python_version ~~ "3"']},
        {"metadata": ["Requires-Python: about 3"]},
    ],
)
def test_metadata_that_cannot_be_read_is_an_error(site, damage):
    install(site, "a", **damage)
    with pytest.raises(PackageError, match=r"^a 1\.0: its metadata can't be read"):
        names("a")


def test_the_label_says_who_needs_it(site):
    install(site, "a", "1.5", requires=["b"])
    install(site, "b", "2.5")
    assert [installed.label for installed in resolve(["a"], "3.13.5")] == ["a 1.5", "b 2.5 (needed by a)"]
