"""What `pkgutil` finds the modules of a directory with, and what `sys.path` has.

`importlib.metadata` looks through the directories of `sys.path` by itself.
"""

import sys

from _udf_files.trees import locate, names, trees


class Folder:
    """A directory of a tree, as `sys.path_hooks` makes them."""

    def __init__(self, path):
        """Raise ImportError if there is no such directory, as a path hook does."""
        read, below = locate(path)
        found = None if read is None else names(read, below)
        if found is None:
            raise ImportError(f"there is no directory {path!r} in the sandbox")
        self._read = read
        self._below = below
        self._names = found

    def find_spec(self, name, target=None):
        return None  # the trees are on `sys.meta_path`

    def iter_modules(self, prefix=""):
        """Yield (name, whether it is a package) for each module, for `pkgutil`."""
        for name in self._names:
            if name.endswith("/"):
                inside = names(self._read, "/".join(filter(None, (self._below, name[:-1]))))
                if "__init__.py" in inside:
                    yield prefix + name[:-1], True
            elif name.endswith(".py") and name != "__init__.py":
                yield prefix + name[:-3], False


def install():
    """Let the trees be searched for modules by `sys.path`."""
    sys.path_hooks.append(Folder)
    sys.path[:] = [tree.root[:-1] for tree in trees]
