"""Aggregation: what SQL has no aggregate for, over a year's weather at the airports of New York City.

Usage: python sql/examples/aggregation.py

The mean direction of the wind is that of a circle, the longest frost depends on the order of the hours. Plain SQL gets
there with trigonometry and window functions, and has to find the same.
"""

from __future__ import annotations

import sys

import duckdb
import nycflights

import duckdb_wasi_udf as wasi_udf

DIRECTION = """
import cmath
import math

def direction(degrees: list[float]) -> float:
    '''The direction of the mean of unit vectors; None for calm.'''
    vectors = [cmath.rect(1, math.radians(angle)) for angle in degrees if angle is not None]
    return math.degrees(cmath.phase(sum(vectors))) % 360 if vectors else None
"""

LONGEST_FROST = """
class LongestFrost:
    '''The most hours in a row below freezing, hours without a measurement left out.'''

    def __init__(self):
        self.run = self.longest = 0

    def step(self, fahrenheit: float):
        self.run = self.run + 1 if fahrenheit < 32 else 0
        self.longest = max(self.longest, self.run)

    def finish(self) -> int:
        return self.longest
"""

OURS = """
SELECT origin, month, round(direction(list(wind_dir) FILTER (wind_speed > 0)), 6) AS wind_from,
    longest_frost(list(temp ORDER BY time_hour)) AS frost_hours
FROM weather GROUP BY origin, month ORDER BY origin, month
"""
IN_SQL = """
WITH hours AS (
    SELECT *, count(*) FILTER (temp >= 32) OVER (PARTITION BY origin, month ORDER BY time_hour) AS thaws FROM weather
), frosts AS (
    SELECT origin, month, count(*) FILTER (temp < 32) AS length FROM hours GROUP BY origin, month, thaws
)
SELECT origin, month,
    round((degrees(atan2(
        sum(sin(radians(wind_dir))) FILTER (wind_speed > 0), sum(cos(radians(wind_dir))) FILTER (wind_speed > 0)
    )) + 360) % 360, 6) AS wind_from,
    (SELECT max(length) FROM frosts f WHERE f.origin = weather.origin AND f.month = weather.month) AS frost_hours
FROM weather GROUP BY origin, month ORDER BY origin, month
"""


def main() -> int:
    """Run the example; the process's exit status."""
    con = duckdb.connect()
    sandbox = wasi_udf.install(con)
    nycflights.load(con, "weather")
    sandbox.create_aggregate_function(con, "direction", DIRECTION)
    sandbox.create_aggregate_function(con, "longest_frost", LONGEST_FROST)
    con.sql(OURS).limit(5).show()
    found, expected = con.execute(OURS).fetchall(), con.execute(IN_SQL).fetchall()
    print(f"{len(found)} months of airports, {'as' if found == expected else 'NOT as'} in plain SQL")
    return 0 if found == expected else 1


if __name__ == "__main__":
    sys.exit(main())
