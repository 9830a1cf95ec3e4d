"""Finds modules, and the files that belong to them, among the packages the host has for its guests.

The host answers a question with bytes: a path below `/packages/` is a file, with `.pyc` for `.py` a module's marshalled
code, and with a slash at its end a directory's names, one a line (duckdb_wasi_udf/_guests/package_modules.py). Nothing
is asked before the standard library was found not to have a module.
"""

import _frozen_importlib as _bootstrap
import builtins
import functools
import io
import os
import posixpath
import sys

import _udf
import _udf_importer

ROOT = "/packages/"


class PackageImporter(_udf_importer.Importer):
    """Meta path finder and loader of the sandbox's packages, their resources and metadata."""

    root = ROOT

    def read(self, path):
        return _udf.host_import(ROOT + path)

    def find_spec(self, name, path=None, target=None):
        spec = super().find_spec(name, path, target)
        folder = name.replace(".", "/")
        if spec is None and self.read(folder + "/") is not None:  # a package without an __init__ (PEP 420)
            spec = _bootstrap.ModuleSpec(name, self, is_package=True)
            spec.submodule_search_locations.append(ROOT + folder)
        return spec

    def exec_module(self, module):
        if module.__spec__.has_location:
            super().exec_module(module)

    def load(self, name, code):
        if not code:  # it doesn't compile: let the error say why
            spec = self.find_spec(name)
            return compile(self.get_data(spec.origin), spec.origin, "exec", dont_inherit=True)
        return super().load(name, code)

    def get_source(self, name):
        """Return the source, for tracebacks and `inspect`."""
        spec = self.find_spec(name)
        if spec is None or not spec.has_location:
            return None
        import importlib.util

        return importlib.util.decode_source(self.get_data(spec.origin))

    def get_resource_reader(self, name):
        """Return a reader, for `importlib.resources`."""
        from _udf_packages import resources

        return resources.Reader(resources.Resource(self.read, name.replace(".", "/")))

    def find_distributions(self, context=None):
        """Return distributions, for `importlib.metadata`."""
        from _udf_packages import metadata

        return metadata.distributions(self.read, context)


def _opening(open_file, read):
    """`open`, with the files of packages, which many find beside their `__file__`, among those that can be read."""

    @functools.wraps(open_file)
    def opening(file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, *arguments, **keywords):
        path = posixpath.normpath(file) if isinstance(file, (str, os.PathLike)) else None
        if not isinstance(path, str) or not path.startswith(ROOT) or not {"r", "b", "t"}.issuperset(mode):
            return open_file(file, mode, buffering, encoding, errors, newline, *arguments, **keywords)
        from _udf_packages import resources

        resource = resources.Resource(read, path.removeprefix(ROOT))
        return resource.open("rb") if "b" in mode else resource.open("r", encoding, errors, newline)

    return opening


_importer = PackageImporter()
sys.meta_path.append(_importer)
builtins.open = io.open = _opening(io.open, _importer.read)
