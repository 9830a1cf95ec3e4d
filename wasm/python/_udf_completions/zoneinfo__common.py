"""Where `zoneinfo` finds its data: in a package `tzdata` of the sandbox, else in the guest's own."""

import io
import sys

import _udf_files

_common = sys.modules["zoneinfo._common"]  # its package is still being imported


def load_tzdata(key):
    """Open the data of a time zone. Spares `importlib.resources`, which an instance takes 20 ms to import."""
    for tree in _udf_files.trees:
        try:
            data = tree.read(f"tzdata/zoneinfo/{key}")
        except UnicodeEncodeError:
            continue
        if data is not None and not key.endswith("/"):
            return io.BytesIO(data)
    raise _common.ZoneInfoNotFoundError(f"No time zone found with key {key}")


_common.load_tzdata = load_tzdata
