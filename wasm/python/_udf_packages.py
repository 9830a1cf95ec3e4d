"""Finds modules, and the files that belong to them, among the packages the host has for its guests.

The host answers a question with bytes: a path below `/packages/` is a file, with `.pyc` for `.py` a module's marshalled
code, and with a slash at its end a directory's names, one a line (duckdb_wasi_udf/_modules.py). Nothing is asked before
the standard library was found not to have a module.
"""

import sys

import _frozen_importlib as _bootstrap
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
        """For tracebacks and `inspect`."""
        spec = self.find_spec(name)
        if spec is None or not spec.has_location:
            return None
        import importlib.util

        return importlib.util.decode_source(self.get_data(spec.origin))

    def get_resource_reader(self, name):
        """For `importlib.resources`."""
        import _udf_resources

        return _udf_resources.Reader(_udf_resources.Resource(self.read, name.replace(".", "/")))

    def find_distributions(self, context=None):
        """For `importlib.metadata`."""
        import _udf_resources

        return _udf_resources.distributions(self.read, context)


sys.meta_path.append(PackageImporter())
