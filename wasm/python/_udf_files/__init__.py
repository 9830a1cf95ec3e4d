"""The files that guests can read: those of the standard library and of packages.

`open` and the functions of `os` that look at files find them, and nothing else.
"""

from _udf_files import access, path_hook
from _udf_files.trees import trees

__all__ = ["access", "path_hook", "trees"]
