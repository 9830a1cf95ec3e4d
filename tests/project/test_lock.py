"""The lock, constraints.txt, agrees with pyproject.toml: no network is asked."""

import itertools
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKED = [
    Requirement(line)
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if line and not line.startswith("#")
]
SYSTEMS = {"linux": "Linux", "darwin": "Darwin", "win32": "Windows"}
MARKERS = [
    {
        "python_version": python,
        "python_full_version": f"{python}.9",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "sys_platform": system,
        "platform_system": name,
        "os_name": "nt" if system == "win32" else "posix",
        "platform_machine": "x86_64",
    }
    for python, (system, name) in itertools.product(("3.11", "3.12", "3.13"), SYSTEMS.items())
]


def applies(requirement, marker):
    return requirement.marker is None or requirement.marker.evaluate(marker)


def direct():
    """What pyproject.toml asks for, for whatever reason."""
    extras = PROJECT["project"]["optional-dependencies"].values()
    groups = PROJECT["dependency-groups"].values()
    lists = [PROJECT["project"]["dependencies"], PROJECT["build-system"]["requires"], *extras, *groups]
    found = map(Requirement, itertools.chain.from_iterable(lists))
    return [requirement for requirement in found if requirement.name != PROJECT["project"]["name"]]


def test_the_lock_has_one_version_of_each_package_and_no_address():
    assert len(LOCKED) > 50
    for requirement in LOCKED:
        assert requirement.url is None
        assert [specifier.operator for specifier in requirement.specifier] == ["=="], requirement
    for marker in MARKERS:
        names = [canonicalize_name(requirement.name) for requirement in LOCKED if applies(requirement, marker)]
        assert len(names) == len(set(names))


def test_what_the_project_asks_for_is_locked_and_in_range():
    by_name = {}
    for locked in LOCKED:
        by_name.setdefault(canonicalize_name(locked.name), []).append(locked)
    for requirement, marker in itertools.product(direct(), MARKERS):
        if applies(requirement, marker):
            pins = [locked for locked in by_name[canonicalize_name(requirement.name)] if applies(locked, marker)]
            assert len(pins) == 1, (str(requirement), marker)
            (pin,) = pins[0].specifier
            assert requirement.specifier.contains(pin.version), (str(requirement), marker)


def test_every_range_has_a_floor_that_can_be_tested():
    assert [str(requirement) for requirement in direct() if not requirement.specifier] == []
