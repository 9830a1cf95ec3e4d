"""What is known about packages, as `importlib.metadata` wants it; imported when it is asked for."""

import importlib.metadata

from _udf_packages.resources import Resource


class PackageDistribution(importlib.metadata.Distribution):
    """A package with the directory of its metadata."""

    def __init__(self, folder):
        self._folder = folder

    def read_text(self, filename):
        resource = self._folder.joinpath(filename)
        return resource.read_text(encoding="utf-8") if resource.is_file() else None

    def locate_file(self, path):
        return self._folder.joinpath("..", path)


def distributions(read, context):
    """Yield the distributions of the name that `context` asks for, all if it has none. `read` is that of `Resource`."""
    normalize = importlib.metadata.Prepared.normalize
    wanted = None if context is None or context.name is None else normalize(context.name)
    for name in (read("") or b"").decode().split("\n"):
        stem, suffix = name[:-1].rpartition(".")[::2]
        if suffix == "dist-info" and wanted in (None, normalize(stem.rpartition("-")[0])):
            yield PackageDistribution(Resource(read, name[:-1]))
