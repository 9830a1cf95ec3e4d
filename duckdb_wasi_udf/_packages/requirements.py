"""Requirements such as "jinja2>=3" as installed distributions, with those they depend on."""

from __future__ import annotations

import importlib.metadata
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from duckdb_wasi_udf._errors import PackageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from packaging.requirements import Requirement


class Installed(NamedTuple):
    """An installed distribution.

    Attributes:
        label: how errors call it: its name and version, and what needs it.
        distribution: its files and what is known of it.
    """

    label: str
    distribution: importlib.metadata.Distribution


def resolve(requirements: Iterable[str], python_version: str) -> list[Installed]:
    """Find the distributions that requirements name, and all that those depend on inside the guest.

    Args:
        requirements: as in `pip install`, without URLs: "jinja2", "jinja2>=3", "textdistance[extras]".
        python_version: the guest's, such as "3.13.5": dependencies may be for some versions or platforms only.

    Returns:
        Each distribution once, those that are named before those that are needed.

    Raises:
        PackageError: a requirement can't be read, or isn't installed in a version that fits.
    """
    try:
        from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415 - an optional dependency
        from packaging.utils import canonicalize_name  # noqa: PLC0415
    except ImportError as error:
        msg = (
            "to find installed packages by their names takes the package 'packaging': pip install "
            "'duckdb-wasi-udf[packages]'; a wheel, zip or directory can be given by its path without it"
        )
        raise PackageError(msg) from error
    environment = _environment(python_version)
    wanted: deque[tuple[Requirement, str]] = deque()
    for text in requirements:
        try:
            wanted.append((Requirement(text), ""))
        except InvalidRequirement as error:
            why = str(error).splitlines()[0]
            msg = f"{text!r} is no requirement ({why}), and no path, which has a slash or ends in .whl, .zip or .py"
            raise PackageError(msg) from error
    found: dict[str, Installed] = {}
    seen: set[tuple[str, str]] = set()  # a distribution, and one of its extras
    while wanted:
        requirement, needed_by = wanted.popleft()
        name = canonicalize_name(requirement.name)
        installed = _installed(requirement, needed_by, python_version)
        found.setdefault(name, installed)
        for extra in ("", *requirement.extras):
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            try:
                needs = [Requirement(text) for text in installed.distribution.requires or ()]
                asked = environment | {"extra": extra}
                needs = [needed for needed in needs if needed.marker is None or needed.marker.evaluate(asked)]
            except ValueError as error:
                raise _unreadable(installed.label, error) from error
            wanted.extend((needed, requirement.name) for needed in needs)
    return list(found.values())


def _installed(requirement: Requirement, needed_by: str, python_version: str) -> Installed:
    from packaging.specifiers import SpecifierSet  # noqa: PLC0415

    why = f", which {needed_by} needs," if needed_by else ""
    try:
        distribution = importlib.metadata.distribution(requirement.name)
    except importlib.metadata.PackageNotFoundError as error:
        msg = f"{requirement}{why} is not installed; pip install '{requirement}', or give a wheel by its path"
        raise PackageError(msg) from error
    version = distribution.version
    if not requirement.specifier.contains(version, prereleases=True):
        msg = f"{requirement}{why} is installed as version {version}, which doesn't fit; pip install '{requirement}'"
        raise PackageError(msg)
    label = f"{requirement.name} {version}" + (f" (needed by {needed_by})" if needed_by else "")
    pythons = next(iter(distribution.metadata.get_all("Requires-Python") or ()), None)  # [...] warns without one
    try:
        fits = not pythons or SpecifierSet(pythons).contains(python_version)
    except ValueError as error:
        raise _unreadable(label, error) from error
    if not fits:
        msg = f"{label} wants Python {pythons}; the guest has {python_version}"
        raise PackageError(msg)
    return Installed(label, distribution)


def _unreadable(label: str, error: ValueError) -> PackageError:
    return PackageError(f"{label}: its metadata can't be read: {error}")


def _environment(python_version: str) -> dict[str, str]:
    """Return what the markers of dependencies (PEP 508) are evaluated with: the guest's environment."""
    return {
        "implementation_name": "cpython",
        "implementation_version": python_version,
        "os_name": "posix",
        "platform_machine": "wasm32",
        "platform_python_implementation": "CPython",
        "platform_release": "0.0.0",
        "platform_system": "wasi",
        "platform_version": "0.0.0",
        "python_full_version": python_version,
        "python_version": ".".join(python_version.split(".")[:2]),
        "sys_platform": "wasi",
    }
