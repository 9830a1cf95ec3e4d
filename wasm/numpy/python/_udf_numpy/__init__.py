"""What the guest with numpy has of its own. It is imported while the snapshot is made."""

import sys

import numpy.fft
import numpy.linalg
import numpy.ma
import numpy.polynomial
import numpy.random
import numpy.typing  # noqa: F401, ICN001

import _udf_numpy.results  # noqa: F401
from _udf_numpy.aggregates import over_arrays
from _udf_numpy.annotations import converters_of, parameter_meaning, recipe_of, result_meaning
from _udf_numpy.arrays import drive_batch
from _udf_numpy.random_state import seed

__all__ = [
    "converters_of",
    "drive_batch",
    "over_arrays",
    "parameter_meaning",
    "recipe_of",
    "result_meaning",
    "seed",
]

# What numpy.random takes of it has no state. Its functions have: each instance imports it for itself.
for _name in ("random", "_udf_completions.random"):
    sys.modules.pop(_name, None)
