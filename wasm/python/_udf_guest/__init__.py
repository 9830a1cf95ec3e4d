"""The Python half of the guest: turns a definition into a function, and an exception into text.

It is imported once, while the snapshot is made, together with the modules that functions use most. They are part of
every instance from its first instruction.
"""

# For the snapshot alone. First what replaces `open`, which other modules take when they are imported.
import _udf_packages  # noqa: F401, I001

import _udf_functions.aggregate
import _udf_functions.inspection
import _udf_functions.map
import _udf_functions.table  # noqa: F401

from _udf_guest import preloaded  # noqa: F401
from _udf_guest.definition import define
from _udf_guest.explanation import explain
from _udf_guest.numpy_part import load_numpy
from _udf_guest.row_driver import driver
from _udf_guest.warm_up import warm_up

__all__ = ["define", "driver", "explain"]

load_numpy()
warm_up()
