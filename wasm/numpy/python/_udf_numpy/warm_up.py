"""Work that functions with arrays begin with, done once before the snapshot.

The first call of each of numpy's functions looks up and keeps how it is done, in memory all over the place. What the
snapshot has kept no instance writes again, and each page that it writes is one of its own.
"""

import numpy as np

from _udf_numpy.arrays import filled
from _udf_numpy.random_state import seed
from _udf_numpy.results import plain, prepare

# Functions whose definition is repeated: see `_udf_guest.warm_up`.
DEFINITIONS = (
    "import numpy as np\ndef f(x: np.ndarray, y: np.ndarray) -> np.ndarray: return x\n",
    "from numpy.typing import NDArray\ndef f(x: NDArray[float]) -> NDArray[float]: return x\n",
)

# CPython specializes code after a few calls.
_TIMES = 20


def warm_up():
    """Call what functions call most, with the types that columns have."""
    for _ in range(_TIMES):
        for dtype in (np.int64, np.float64, np.int32, np.float32):
            _use_numbers(np.frombuffer(bytes(64), dtype))
        _use_others()
        seed()


def _use_numbers(x):
    results = [x * 2 + 1, x * 2.5 - x, x / 3, -x, abs(x), x**2, x // 2, x % 3]
    results += [np.sqrt(x * x + 1), np.exp(-x), np.log1p(x), np.log(x + 1), np.sin(x), np.cos(x), np.hypot(x, x)]
    results += [np.where(x > 0, x, 0), x > 0, x == x[0], (x >= 0) & (x < 5), np.isnan(x), np.isfinite(x)]
    results += [np.cumsum(x), np.clip(x, 0, 1), np.maximum(x, 0), np.minimum(x, 1), np.round(x), np.floor(x)]
    results += [x.astype(np.float64), x.astype(np.int64), np.zeros(len(x)), np.arange(len(x)), np.stack([x, x], axis=1)]
    for array in results:
        prepare(array)
    for value in (x.sum(), x.mean(), x.std(), x.min(), x.max(), np.median(x), np.quantile(x, 0.5), len(np.unique(x))):
        plain(value)
    filled(x, x == 0)
    np.ma.MaskedArray(x, x == 0).filled(0)
    np.argsort(x), np.nan_to_num(x), np.isin(x, [0]), x[x > 0], np.diff(x), np.dot(x, x)


def _use_others():
    texts = np.array(["a", "a longer text than others"], np.dtypes.StringDType())
    times = np.array([0, 1], "M8[us]")
    for array in (
        np.strings.upper(texts),
        texts,
        times,
        times + np.timedelta64(1, "D"),
        np.array([True]),
        ~np.array([True]),
    ):
        prepare(array)
    np.strings.str_len(texts), times - times, np.isnat(times)
    np.linalg.solve(np.eye(2), np.ones(2))
