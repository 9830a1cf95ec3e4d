"""Which importer has a file."""

import os
import posixpath

import _udf_importer

# The importers that have files.
trees = [_udf_importer.library, _udf_importer.site_packages]


def locate(file):
    """Return (read, path) of a file or directory in one of the trees, whether or not it is there; else (None, None).

    Args:
        file: what `open` or `os.stat` takes.

    Returns:
        The importer's `read`, and the path below its root.
    """
    if not isinstance(file, (str, bytes, os.PathLike)):
        return None, None
    path = posixpath.normpath(os.fsdecode(file))
    for tree in trees:
        if (path + "/").startswith(tree.root):
            return tree.read, path[len(tree.root) :]
    return None, None


def names(read, path):
    """Return the names in a directory, with a slash after those of directories; None if it is none.

    Args:
        read: `Importer.read`.
        path: its path below the importer's root.
    """
    listed = read(path and path + "/")
    return None if listed is None else bytes(listed).decode().split("\n")
