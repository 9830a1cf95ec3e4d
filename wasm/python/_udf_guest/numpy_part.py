"""The part of the guest that only the one with numpy has."""

import sys


def numpy_part():
    """Return the module _udf_numpy, or None in the guest without numpy."""
    return sys.modules.get("_udf_numpy")
