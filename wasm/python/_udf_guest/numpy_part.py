"""The part of the guest that only the one with numpy has."""

import importlib
import sys

_MODULE = "_udf_numpy"


def load_numpy():
    """Import that part, if this is the guest with numpy."""
    if "numpy._core._multiarray_umath" in sys.builtin_module_names:
        importlib.import_module(_MODULE)


def numpy_part():
    """Return the module _udf_numpy, or None in the guest without numpy."""
    return sys.modules.get(_MODULE)
