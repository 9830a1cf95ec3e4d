"""The pure-Python packages a sandbox may import: what the given wheels, directories and requirements hold, checked."""

from __future__ import annotations

import csv
import json
import os
import re
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, NamedTuple

from duckdb_wasi_udf._errors import LimitExceeded, PackageError, WasiUdfError
from duckdb_wasi_udf._packages.requirements import resolve

if TYPE_CHECKING:
    import importlib.metadata
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from duckdb_wasi_udf._packages.requirements import Installed

# A wheel for any platform: see https://packaging.python.org/en/latest/specifications/binary-distribution-format/
_PURE_WHEEL = re.compile(r"-(?:\w+\.)*py3\d*(?:\.\w+)*-none-any\.whl$")

# Compiled code, on any platform, and libraries it comes with.
_NATIVE = re.compile(r"\.(?:so|pyd|dylib|dll)(?:\.\d+)*$")

# In a wheel, `name-1.0.data/purelib/` is another place for modules.
_WHEEL_DATA = re.compile(r"^[^/]+\.data/(?:purelib|platlib)/")

# Of what is known about a distribution. Its other files may say where it was installed from.
_METADATA = {"METADATA", "entry_points.txt"}

# What the guest has of its own.
_RESERVED = sys.stdlib_module_names | {"__main__", "__udf__", "duckdb_wasi_udf", "host", "numpy"}

_SHOWN = 3  # of the names an error lists


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Compiled code that was left out of an installed distribution, which may do without.

    Attributes:
        label: how errors call the distribution.
        native: the files.
        modules: what it is imported as: the packages that had native code in them, or all modules.
    """

    label: str
    native: tuple[str, ...]
    modules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Packages:
    """All files of a sandbox's packages.

    Attributes:
        files: their contents by path, as below one directory of `sys.path`: "slugify/__init__.py".
        modules: the top-level names that can be imported.
        left_out: distributions without their compiled code.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    modules: frozenset[str] = frozenset()
    left_out: tuple[LeftOut, ...] = ()


class _File(NamedTuple):
    path: str  # of any origin, so not yet one that may be served
    open: Callable[[], IO[bytes]]


def collect(items: Sequence[str | os.PathLike[str]], *, limit_bytes: int, python_version: str) -> Packages:
    """Read everything that packages hold.

    Args:
        items: each a path (a `Path`, or text that has a slash or ends in .whl, .zip or .py) or a requirement (any other
            text), which takes an installed distribution with all it depends on.
        limit_bytes: how much all files may have together, unpacked, with their names.
        python_version: the guest's, such as "3.13.5".

    Raises:
        PackageError: an item is not there or can't be read, has native code or no modules, or clashes with the standard
            library or another item.
        LimitExceeded: there is more than `limit_bytes`.
    """
    if isinstance(items, (str, bytes, os.PathLike)):
        msg = f"packages is a list, such as packages=[{items!r}]"
        raise PackageError(msg)
    collector = _Collector(limit_bytes)
    requirements = []
    for item in items:
        if not isinstance(item, (str, os.PathLike)):
            msg = f"a package is given by a path or a requirement, not by a {type(item).__name__}"
            raise PackageError(msg)
        if isinstance(item, str) and not _is_path(item):
            requirements.append(item)
        else:
            collector.add(str(item), _files(Path(item)))
    for installed in resolve(requirements, python_version) if requirements else ():
        if installed.distribution.name.casefold() == "numpy":  # which the guest has of its own
            continue
        collector.add(installed.label, _installed_files(installed), may_lack_native=True)
    return Packages(collector.files, frozenset(collector.modules), tuple(collector.left_out))


def _is_path(text: str) -> bool:
    """Return whether the text is meant as a path: what is on the disk doesn't decide it."""
    return "/" in text or os.sep in text or text.endswith((".whl", ".zip", ".py"))


class _Collector:
    """Takes one item after the other."""

    def __init__(self, limit_bytes: int) -> None:
        self.files: dict[str, bytes] = {}
        self.modules: set[str] = set()
        self.left_out: list[LeftOut] = []
        self._limit_bytes = limit_bytes
        self._left_bytes = limit_bytes
        self._owners: dict[str, tuple[str, bytes]] = {}  # of modules and other files: the label and the contents

    def add(self, label: str, files: Iterable[_File], *, may_lack_native: bool = False) -> None:
        native, own = [], {}
        try:
            for file in files:
                if _NATIVE.search(file.path):
                    native.append(file.path)
                elif _is_served(file.path):
                    own[file.path] = self._read(label, file)
        except WasiUdfError:
            raise
        except Exception as error:  # a damaged zip raises whatever its decompressors do
            msg = f"{label}: can't be read: {error}"
            raise PackageError(msg) from error
        modules = {path.partition("/")[0].removesuffix(".py") for path in own if path.endswith(".py")}
        if native and not (may_lack_native and modules):
            raise native_code(label, native)
        if not modules:
            msg = (
                f"{label}: has no Python modules; a zip or directory has to hold packages and modules, or a directory "
                "to be a package itself, with an __init__.py"
            )
            raise PackageError(msg)
        for module in sorted(modules):
            if module in _RESERVED or module.startswith("_udf"):
                msg = f"{label}: its module {module!r} is named as one of the guest or the standard library; rename it"
                raise PackageError(msg)
        for path, contents in own.items():
            self._claim(label, path, contents)
        self.files |= own
        self.modules |= modules
        if native:
            concerned = modules & {path.partition("/")[0] for path in native}
            self.left_out.append(LeftOut(label, tuple(native), tuple(sorted(concerned or modules))))

    def _claim(self, label: str, path: str, contents: bytes) -> None:
        """Take what a path stands for: a module may be a file or a directory."""
        name = path.removesuffix("/__init__.py").removesuffix(".py") if path.endswith(".py") else path
        owner, has = self._owners.setdefault(name, (label, contents))
        if owner != label and has != contents:
            msg = f"{label}: {path} is in {owner} as well, with other contents; give one of them"
            raise PackageError(msg)

    def _read(self, label: str, file: _File) -> bytes:
        with file.open() as opened:
            contents = opened.read(self._left_bytes + 1)  # no more of a small zip that unpacks to a large file
        self._left_bytes -= len(contents) + len(file.path)
        if self._left_bytes < 0:
            msg = (
                f"{label}: with {file.path} the packages are larger than package_bytes={self._limit_bytes:,} allows; "
                "raise ResourceLimits.package_bytes"
            )
            raise LimitExceeded(msg, limit="package_bytes", allowed=self._limit_bytes)
        return contents


def native_code(label: str, files: Sequence[str], why: str = "") -> PackageError:
    """Return the error for a package that needs compiled code."""
    shown = ", ".join(files[:_SHOWN]) + (f" and {len(files) - _SHOWN} more" if len(files) > _SHOWN else "")
    return PackageError(
        f"{label}: has native code ({shown}), which can't run in the sandbox{why}; use a package in pure Python, or do "
        "this part on the host"
    )


def _is_served(path: str) -> bool:
    """Return whether a file is part of what can be imported, a package's data included."""
    parts = path.split("/")
    if any(part in {"", "__pycache__"} or part.startswith(".") or not part.isprintable() for part in parts):
        return False
    if parts[-1].endswith(".pyc"):
        return False
    if len(parts) == 1:
        return path.endswith(".py") and path.removesuffix(".py").isidentifier()
    if parts[0].endswith(".dist-info"):
        return len(parts) == 2 and parts[1] in _METADATA
    return parts[0].isidentifier()


# ---- where files come from ---------------------------------------------------------------------------------------


def _files(path: Path) -> Iterator[_File]:
    """Return the files of a wheel, zip, directory or module."""
    if path.is_dir():
        return _directory_files(path)
    if not path.exists():
        msg = f"{path}: there is no such file or directory"
        raise PackageError(msg)
    if path.suffix == ".whl":
        if not _PURE_WHEEL.search(path.name):
            tag = "-".join(path.stem.split("-")[-3:])
            msg = f"{path}: is built for {tag}, so it has native code; the sandbox takes wheels for py3-none-any"
            raise PackageError(msg)
        return _zip_files(path)
    if path.suffix == ".zip":
        return _zip_files(path)
    if path.suffix == ".py":
        return iter([_File(path.name, lambda: path.open("rb"))])
    msg = f"{path}: is no wheel (.whl), zip, directory or module (.py)"
    raise PackageError(msg)


def _directory_files(directory: Path) -> Iterator[_File]:
    """Return those of a package, with its own name in front, or of a directory of packages and modules."""
    directory = directory.resolve()
    base = directory.parent if (directory / "__init__.py").exists() else directory
    for folder, subfolders, names in os.walk(directory):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith(".") and name != "__pycache__")
        for name in [*subfolders, *sorted(names)]:
            path = Path(folder, name)
            if path.is_symlink():
                msg = f"{path}: is a symbolic link, which may lead anywhere; give what it stands for by its own path"
                raise PackageError(msg)
            if name not in subfolders:
                yield _File(path.relative_to(base).as_posix(), lambda path=path: path.open("rb"))  # type: ignore[misc]


def _zip_files(path: Path) -> Iterator[_File]:
    """Return those of a wheel or of a zip of packages and modules."""
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if not info.is_dir():
                yield _File(_WHEEL_DATA.sub("", info.filename), lambda info=info: archive.open(info))  # type: ignore[misc]


def _installed_files(installed: Installed) -> Iterator[_File]:
    """Return those an installed distribution put where modules are."""
    distribution = installed.distribution
    files = _listed(distribution)
    if files is None:
        msg = f"{installed.label}: there is no list of its files; give its directory or a wheel by its path"
        raise PackageError(msg)
    if _is_editable(distribution):
        msg = f"{installed.label}: is installed for editing (pip install -e); give its directory by its path"
        raise PackageError(msg)
    for path in files:
        located = Path(str(distribution.locate_file(path)))
        yield _File(path, lambda located=located: located.open("rb"))  # type: ignore[misc]


def _listed(distribution: importlib.metadata.Distribution) -> list[str] | None:
    """Return the paths of a distribution's files; None without a list.

    `Distribution.files` leaves out, since Python 3.12, those that are listed and gone.
    """
    if record := distribution.read_text("RECORD"):
        return [PurePosixPath(row[0]).as_posix() for row in csv.reader(record.splitlines()) if row]
    files = distribution.files
    return None if files is None else [path.as_posix() for path in files]


def _is_editable(distribution: importlib.metadata.Distribution) -> bool:
    """Return whether only a pointer to its directory is installed.

    Source: https://packaging.python.org/en/latest/specifications/direct-url/
    """
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    return bool(origin.get("dir_info", {}).get("editable"))
