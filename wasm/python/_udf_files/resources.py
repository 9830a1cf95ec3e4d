"""The files beside a module, as `importlib.resources` wants them; imported when they are asked for."""

import importlib.resources.abc
import pathlib


class Reader(importlib.resources.abc.TraversableResources):
    """The resources of one package."""

    def __init__(self, folder):
        """`folder` is the path of the package's directory."""
        self._folder = pathlib.Path(folder)

    def files(self):
        return self._folder
