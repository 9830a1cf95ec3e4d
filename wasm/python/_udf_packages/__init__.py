"""The packages that the sandbox was given, as guests import them."""

from _udf_packages.importer import PackageImporter

__all__ = ["PackageImporter"]
