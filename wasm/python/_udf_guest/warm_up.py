"""The last step of the snapshot: work that each instance would do again."""

import gc
import json
import linecache
import sys

from _udf_guest.definition import MODULE_NAME, define, sources
from _udf_guest.explanation import explain
from _udf_guest.row_driver import driver

# Number of new objects after which the collector looks at them. CPython's 2000 are fewer than a batch of async rows has
# coroutines, none of which is garbage.
_COLLECTED_AFTER = 10_000


def warm_up():
    """Leave in the snapshot what a first definition would make each instance do again.

    The interpreter specializes code it has run a few times, and the allocators have pages ready then. So a fresh
    instance writes to fewer pages, each of which it has to copy. A frozen collector leaves old objects' pages alone.
    """
    source = "import re\nP = re.compile('a')\ndef f(x: int, y: str | None = None) -> float:\n    return x + 1\n"
    unit = {"source": source, "name": "warm-up", "entry": None, "captured": None, "imports": {}, "links": {}}
    flags = {"return_null": False, "by_batch": False, "table": False}
    code = None
    for _ in range(100):  # from the source and from what that was compiled to, in turns
        text = json.dumps({"units": [unit | {"code": code}], "described": code is not None} | flags)
        function, *_, description = define(text)
        code = json.loads(description)["codes"][0] if code is None else None
        function(1)
        try:
            function("1")
        except TypeError as error:
            explain(error, 0, ("1",))
    for n_arguments in range(1, 5):
        driver(n_arguments, by_batch=False)
    linecache.clearcache()
    sources.clear()
    del sys.modules[MODULE_NAME]
    assert "random" not in sys.modules
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECTED_AFTER, *gc.get_threshold()[1:])
