"""Finds modules, and the files that belong to them, among the packages the host has for its guests.

The host answers a question with bytes: a path below `/packages/` is a file, with `.pyc` for `.py` a module's marshalled
code, and with a slash at its end a directory's names, one a line (duckdb_wasi_udf/_guests/package_modules.py). Nothing
is asked before the standard library was found not to have a module.
"""

import _frozen_importlib as _bootstrap
import sys

import _udf
import _udf_files
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

    def load(self, name, code):
        if not code:  # it doesn't compile: let the error say why
            spec = self.find_spec(name)
            return compile(self.get_data(spec.origin), spec.origin, "exec", dont_inherit=True)
        return super().load(name, code)


_importer = PackageImporter()
# The packages that are part of the guest come last: a sandbox may have another version of one.
sys.meta_path += [_importer, _udf_importer.site_packages]
_udf_files.trees.insert(1, _importer)
_udf_files.path_hook.install()
