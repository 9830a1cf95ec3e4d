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
from _udf_numpy.annotations import parameter_meaning, result_meaning
from _udf_numpy.arrays import drive_batch
from _udf_numpy.random_state import seed

__all__ = ["WARM_UP", "drive_batch", "over_arrays", "parameter_meaning", "result_meaning", "seed"]

# Functions whose definition is repeated before the snapshot is taken: see `_udf_guest.warm_up`.
WARM_UP = (
    "import numpy as np\ndef f(x: np.ndarray, y: np.ndarray) -> np.ndarray: return x\n",
    "from numpy.typing import NDArray\ndef f(x: NDArray[float]) -> NDArray[float]: return x\n",
)

# What numpy.random takes of it has no state. Its functions have: each instance imports it for itself.
for _name in ("random", "_udf_completions.random"):
    sys.modules.pop(_name, None)
