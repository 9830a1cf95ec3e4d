"""What a sandbox is made with, as it travels to other processes."""

from __future__ import annotations

import hashlib
import importlib
import pickle
import sys
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from duckdb_wasi_udf._engine import artifact
from duckdb_wasi_udf._errors import SignatureError
from duckdb_wasi_udf._guests.trust_domain import TrustDomain
from duckdb_wasi_udf._host_functions.function import HostFunction
from duckdb_wasi_udf._packages.collect import Packages, collect
from duckdb_wasi_udf._sql.types import sql_type_of

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    from duckdb_wasi_udf._limits import DataLimits, ResourceLimits


@dataclass(frozen=True)
class SandboxSettings:
    """The settings of a sandbox. They can be pickled, with all files of the packages.

    Attributes:
        limits: as for `Sandbox`, like the others.
        data_limits: likewise.
        packages: the files of the packages, as they were when the settings were made.
        host_functions: import paths, such as "shop.rates:fx_rate", so that every process has its own.
        isolation: likewise.
        deterministic: likewise.
        compiled: likewise.
    """

    limits: ResourceLimits
    data_limits: DataLimits
    packages: Packages
    host_functions: tuple[str, ...]
    isolation: str
    deterministic: bool
    compiled: bool

    @cached_property
    def digest(self) -> str:
        """A hash: settings with the same one make sandboxes that are alike."""
        return hashlib.sha256(pickle.dumps(self.__reduce__()[1])).hexdigest()

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what is pickled: the fields, without what is computed of them."""
        return SandboxSettings, tuple(getattr(self, name) for name in self.__dataclass_fields__)

    def open(self) -> TrustDomain:
        """Return a sandbox of this process.

        Raises:
            SignatureError: a host function isn't where its path says.
            ArtifactError: the guest can't be loaded.
        """
        return TrustDomain(
            limits=self.limits,
            data_limits=self.data_limits,
            isolation=self.isolation,
            deterministic=self.deterministic,
            compiled=self.compiled,
            clock_resolution_seconds=None,
            packages=self.packages,
            host_functions=[imported(path) for path in self.host_functions],
            sql_type_of=sql_type_of,
        )


def collected(packages: Sequence[str | os.PathLike[str]], limits: ResourceLimits) -> Packages:
    """Return the files of packages: see `Sandbox`.

    Raises:
        PackageError: one isn't there, or isn't pure Python.
    """
    version = artifact.find().manifest["versions"]["python"]
    return collect(packages, limit_bytes=limits.package_bytes, python_version=version)


def import_path(function: HostFunction | str) -> str:
    """Return the path under which a host function is imported in any process.

    Args:
        function: the host function, or its path.

    Raises:
        SignatureError: it has none, since it isn't a name of a module.
    """
    if isinstance(function, str):
        imported(function)
        return function
    if not isinstance(function, HostFunction):
        msg = f"a host function is given as such or by its import path, such as 'shop.rates:fx_rate', got {function!r}"
        raise SignatureError(msg)
    inner = function.function
    path = f"{getattr(inner, '__module__', None)}:{getattr(inner, '__qualname__', function.name)}"
    try:
        found = imported(path)
    except SignatureError:
        found = None
    if found is function and not path.startswith("__main__:"):
        return path
    bound = next(_bound_in_modules(function), None)
    if bound is not None:
        return bound
    msg = (
        f"the host function {function.name!r} can't be imported in another process; define it at the top level of a "
        "module that isn't the main program, or pass the import path of one that is"
    )
    raise SignatureError(msg)


def _bound_in_modules(function: HostFunction) -> Iterator[str]:
    """Return the import paths of a function that another one has made and a module binds."""
    for name, module in list(sys.modules.items()):
        if name not in {"__main__", "__mp_main__"}:
            for attribute, value in list(getattr(module, "__dict__", {}).items()):
                if value is function:
                    yield f"{name}:{attribute}"


def imported(path: str) -> HostFunction:
    """Return the host function of an import path."""
    module, colon, name = path.partition(":")
    found: Any = None
    problem: Exception | None = None
    if colon and module and name:
        try:
            found = importlib.import_module(module)
            for part in name.split("."):
                found = getattr(found, part)
        except (ImportError, AttributeError) as error:
            found, problem = None, error
    if not isinstance(found, HostFunction):
        why = "it is written as 'module:name'" if problem is None and found is None else problem or f"it is {found!r}"
        msg = f"{path!r} is no host function that can be imported here: {why}"
        raise SignatureError(msg)
    return found
