"""Sessionising: the departures of each aircraft from New York in early 2013, cut at pauses of over eight hours.

Usage: python sql/examples/rotations.py

The same in plain SQL takes two window functions over all rows; the two have to agree.
"""

from __future__ import annotations

import sys

import duckdb
import nycflights

import duckdb_wasi_udf as wasi_udf

ROTATIONS = """
from datetime import datetime, timedelta
from typing import Iterator, NamedTuple

STOOD = timedelta(hours=8)


class Rotation(NamedTuple):
    tailnum: str
    begun: datetime
    departures: int
    minutes: int
    places: list[str]


class Rotations:
    '''Departures of one aircraft, sorted by time, none of them over eight hours after the one before.'''

    def __init__(self):
        self.flights = []

    def process(self, tailnum: str, departed: datetime, minutes: int | None, dest: str) -> Iterator[Rotation]:
        if self.flights and (self.flights[-1][0] != tailnum or departed - self.flights[-1][1] > STOOD):
            yield from self.finish()
        self.flights.append((tailnum, departed, minutes or 0, dest))

    def finish(self) -> Iterator[Rotation]:
        if self.flights:
            tailnum, begun, *_ = self.flights[0]
            yield Rotation(
                tailnum, begun, len(self.flights), sum(f[2] for f in self.flights), sorted({f[3] for f in self.flights})
            )
            self.flights = []
"""

IN_SQL = """
WITH marked AS (
    SELECT *, coalesce(departed - lag(departed) OVER aircraft > INTERVAL 8 HOURS, true) AS begins
    FROM departures WINDOW aircraft AS (PARTITION BY tailnum ORDER BY departed, dest)
), numbered AS (
    SELECT *, count(*) FILTER (begins) OVER (PARTITION BY tailnum ORDER BY departed, dest) AS rotation FROM marked
)
SELECT tailnum, min(departed) AS begun, count(*) AS departures, coalesce(sum(air_time), 0)::BIGINT AS minutes,
    list_sort(list(DISTINCT dest)) AS places
FROM numbered GROUP BY tailnum, rotation
"""


def main() -> int:
    """Run the example; the process's exit status."""
    con = duckdb.connect()
    sandbox = wasi_udf.install(con)
    nycflights.load(con, "flights")
    con.execute("""
        CREATE TABLE departures AS
        SELECT tailnum, make_timestamp(year, month, day, dep_time // 100 % 24, dep_time % 100, 0) AS departed,
            air_time, dest
        FROM flights WHERE dep_time IS NOT NULL AND tailnum IS NOT NULL AND month <= 3
    """)
    ordered = con.sql("FROM departures ORDER BY tailnum, departed, dest")
    sandbox.map_batches(ordered, ROTATIONS).create("rotations")
    con.sql("FROM rotations ORDER BY departures DESC, minutes DESC, tailnum LIMIT 5").show()
    con.execute(f"CREATE VIEW expected AS {IN_SQL}")
    ((found, differing),) = con.execute("""
        SELECT (SELECT count(*) FROM rotations), count(*)
        FROM ((FROM rotations EXCEPT FROM expected) UNION ALL (FROM expected EXCEPT FROM rotations))
    """).fetchall()
    print(f"{found:,} rotations, {'NOT ' if differing else ''}as in plain SQL")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
