"""Enrichment: every flight of 2013 from New York with the names of its airline and destination and its course.

Usage: python sql/examples/enrichment.py

The function brings its look-up tables along: they are values of this script, which are shipped with it. Plain SQL joins
the tables, and has to find the same.
"""

from __future__ import annotations

import math
import sys
from typing import NamedTuple

import duckdb
import nycflights

import duckdb_wasi_udf as wasi_udf

COMPASS = ("N", "NE", "E", "SE", "S", "SW", "W", "NW")

JOINED = """
SELECT flight_id, al.name AS airline, coalesce(d.name, 'unknown: ' || dest) AS destination,
    list_value('N', 'NE', 'E', 'SE', 'S', 'SW', 'W', 'NW')[
        (round(degrees(atan2(
            sin(radians(d.lon - o.lon)) * cos(radians(d.lat)),
            cos(radians(o.lat)) * sin(radians(d.lat))
                - sin(radians(o.lat)) * cos(radians(d.lat)) * cos(radians(d.lon - o.lon))
        )) / 45)::INTEGER + 8) % 8 + 1
    ] AS course
FROM numbered JOIN airlines al USING (carrier) JOIN airports o ON o.faa = origin LEFT JOIN airports d ON d.faa = dest
"""


class Enriched(NamedTuple):
    """What a flight is given."""

    airline: str
    destination: str
    course: str | None


def main() -> int:
    """Run the example; the process's exit status."""
    con = duckdb.connect()
    sandbox = wasi_udf.install(con)
    nycflights.load(con, "airlines", "airports", "flights")
    con.execute("CREATE TABLE numbered AS SELECT row_number() OVER () AS flight_id, carrier, origin, dest FROM flights")

    airlines = dict(con.execute("FROM airlines").fetchall())
    airports = {code: rest for code, *rest in con.execute("SELECT faa, name, lat, lon FROM airports").fetchall()}

    @sandbox.function(con)
    def enrich(carrier: str, origin: str, dest: str) -> Enriched:
        if dest not in airports:
            return Enriched(airlines[carrier], f"unknown: {dest}", None)
        _, lat, lon = airports[origin]
        name, to_lat, to_lon = airports[dest]
        lat, to_lat, east = math.radians(lat), math.radians(to_lat), math.radians(to_lon - lon)
        # The initial course along a great circle.
        north = math.cos(lat) * math.sin(to_lat) - math.sin(lat) * math.cos(to_lat) * math.cos(east)
        degrees = math.degrees(math.atan2(math.sin(east) * math.cos(to_lat), north))
        return Enriched(airlines[carrier], name, COMPASS[round(degrees / 45) % 8])

    con.execute("CREATE TABLE enriched AS SELECT flight_id, unnest(enrich(carrier, origin, dest)) FROM numbered")
    con.sql(
        "SELECT course, airline, count(*) AS flights FROM enriched GROUP BY ALL ORDER BY flights DESC LIMIT 6"
    ).show()
    ((rows, wrong),) = con.execute(
        f"SELECT (SELECT count(*) FROM enriched), count(*) FROM ({JOINED} EXCEPT FROM enriched)"
    ).fetchall()
    print(f"{rows:,} flights enriched, {wrong:,} of them other than by joins")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
