"""The last step of the snapshot: work that each instance would do again."""

import base64
import gc
import json
import linecache
import sys

from _udf_guest.definition import MODULE_NAME, define
from _udf_guest.explanation import explain
from _udf_guest.numpy_part import numpy_part
from _udf_guest.row_driver import driver
from _udf_guest.sources import sources

_SOURCE = "import re\nP = re.compile('a')\ndef f(x: int, y: str | None = None) -> float:\n    return x + 1\n"
_SHIPPED_SOURCE = "def f(x: int) -> float:\n    return x + K\n"
# Of the guest with numpy.
_ARRAY_SOURCES = (
    "import numpy as np\ndef f(x: np.ndarray, y: np.ndarray) -> np.ndarray: return x\n",
    "from numpy.typing import NDArray\ndef f(x: NDArray[float]) -> NDArray[float]: return x\n",
)
# A shipment as `duckdb_wasi_udf._functions.shipment` makes them, in the oldest protocol of pickle, which is text: the
# function of the first unit, and its global K, which is 1.
_VALUES = b"Pfunction\n(I0\nI0\nVf\nVf\n(dtR.(Vglobal\nI0\nVK\nt.I1\n.N."

# Number of new objects after which the collector looks at them. CPython's 2000 are fewer than a batch of async rows has
# coroutines, none of which is garbage.
_COLLECTED_AFTER = 10_000


def warm_up():
    """Leave in the snapshot what a first definition would make each instance do again.

    The interpreter specializes code it has run a few times, and the allocators have pages ready then. So a fresh
    instance writes to fewer pages, each of which it has to copy. A frozen collector leaves old objects' pages alone.
    """
    nothing = {"name": "warm-up", "entry": None, "preferred": None, "captured": None, "imports": {}, "links": {}}
    nothing |= {"code": None}
    text = nothing | {"source": _SOURCE, "kind": "module"}
    function = nothing | {"source": _SHIPPED_SOURCE, "kind": "function", "entry": "f", "free": [], "inside": None}
    values = nothing | {"source": base64.b64encode(_VALUES).decode(), "kind": "values"}
    for units in ([text], [function, values]):
        _define_often(units)
    if numpy_part() is not None:
        for source in _ARRAY_SOURCES:
            _define_often([nothing | {"source": source, "kind": "module"}], call=False)
    for n_arguments in range(1, 5):
        driver(n_arguments, by_batch=False)
    linecache.clearcache()
    sources.clear()
    del sys.modules[MODULE_NAME]
    assert "random" not in sys.modules
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECTED_AFTER, *gc.get_threshold()[1:])


def _define_often(units, *, call=True):
    """Define a function from its source and from what that was compiled to, in turns, and call it."""
    flags = {"return_null": False, "by_batch": False, "table": False, "arrays": ""}
    known = None
    for _ in range(100):
        given, arrays = units, ""
        if known is not None:
            given = [unit | {"code": code} for unit, code in zip(units, known["codes"], strict=True)]
            arrays = known["arrays"]
        text = json.dumps({"units": given, "described": known is not None} | flags | {"arrays": arrays})
        function, *_, description = define(text)
        known = json.loads(description) if known is None else None
        if not call:
            continue
        function(1)
        try:
            function("1")
        except TypeError as error:
            explain(error, 0, ("1",))
