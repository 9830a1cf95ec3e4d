"""A model of row functions on more cores than were measured.

It has two terms, both fitted to queries with one and two threads. What a query takes whatever it has of rows and
threads (planning, the client's waits for the GIL, starting threads) is measured with a query of one row. Of the rest a
share is done by one thread at a time: what two threads lose against two processes, which share the memory and the
caches of the machine, but neither DuckDB's locks nor ours. Amdahl's law does the rest. What is beyond two threads is
extrapolated: two threads are measured with an error of 1% or so, and a share of 1% takes 64 cores down to 39. So the
model gives a range. It knows nothing of a memory that is too slow for the cores.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

CORES = 64

# How far off the serial share may be.
ERROR = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """Queries of one function.

    Attributes:
        fixed_seconds: What a query takes without rows.
        batch_seconds: What a batch takes on one thread.
        serial: The share of that which one thread at a time does, 0 to 1.
    """

    fixed_seconds: float
    batch_seconds: float
    serial: float

    def times_as_fast(self, cores: int) -> float:
        """Return the speed of a long query; that on one core is 1."""
        return cores / (1 + (cores - 1) * self.serial)

    def between(self, cores: int) -> tuple[float, float]:
        """Return the least and the most that this speed may be, as far as the serial share is known."""
        least, most = (replace(self, serial=min(max(self.serial + by, 0.0), 1.0)) for by in (ERROR, -ERROR))
        return least.times_as_fast(cores), most.times_as_fast(cores)

    def rows_per_second(self, cores: int, rows: int) -> float:
        """Return the rows that all cores together do in a second.

        Args:
            cores: The cores, each with a thread.
            rows: The rows of the query.
        """
        working = rows / 2048 * self.batch_seconds / self.times_as_fast(cores)
        return rows / (self.fixed_seconds + working)


def fit(*, fixed: float, one: float, two: float, both: float, batches: int) -> Model:
    """Return the model of what was measured.

    Args:
        fixed: the seconds of a query of one row.
        one: of a query with one thread.
        two: of the same with two threads.
        both: of the slower of two processes that run it at the same time, with one thread each.
        batches: the batches of the query.
    """
    one, two, both = (max(seconds - fixed, 1e-9) for seconds in (one, two, both))
    serial = 2 * two / one - both / one  # two threads take one / 2 * (1 + serial), in the time that processes take
    return Model(fixed_seconds=fixed, batch_seconds=one / batches, serial=min(max(serial, 0.0), 1.0))
