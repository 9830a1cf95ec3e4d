"""Scoring: how likely a flight is to arrive half an hour late, by a logistic regression fitted and applied in SQL.

Usage: python sql/examples/scoring.py

An aggregate function fits the model to the flights of a month, a function over batches scores the next. Plain SQL
computes the same scores, and checks the fit: where it is the best one, the predictions add up to what happened, and so
they do weighted with each feature.
"""

from __future__ import annotations

import sys

import duckdb
import nycflights

import duckdb_wasi_udf as wasi_udf

FIT = '''
import math


def solved(matrix, vector):
    """The solution of a system of linear equations, by Gauss-Jordan elimination."""
    rows = [[*row, value] for row, value in zip(matrix, vector)]
    for i in range(len(rows)):
        pivot = max(range(i, len(rows)), key=lambda k: abs(rows[k][i]))
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for k in range(len(rows)):
            if k != i:
                rows[k] = [a - rows[k][i] * b for a, b in zip(rows[k], rows[i])]
    return [row[-1] for row in rows]


class Fit:
    """Maximum likelihood by Newton's method; rows with the same features are counted, not kept."""

    def __init__(self):
        self.seen = {}

    def step(self, late: bool, hour: float, hundred_miles: float, winter: float):
        counts = self.seen.setdefault((1.0, hour, hundred_miles, winter), [0, 0])
        counts[late] += 1

    def finish(self) -> list[float]:
        weights = [0.0] * 4
        for _ in range(8):
            gradient, hessian = [0.0] * 4, [[0.0] * 4 for _ in range(4)]
            for x, (on_time, late) in self.seen.items():
                p = 1 / (1 + math.exp(-sum(w * v for w, v in zip(weights, x))))
                n = on_time + late
                for i in range(4):
                    gradient[i] += (late - n * p) * x[i]
                    for j in range(4):
                        hessian[i][j] += n * p * (1 - p) * x[i] * x[j]
            weights = [w + step for w, step in zip(weights, solved(hessian, gradient))]
        return weights
'''

SCORE = """
import math

def score(
    hours: Column[float], hundred_miles: Column[float], winter: Column[float], model: Column[list[float]]
) -> list[float]:
    a, b, c, d = model[0]
    return [1 / (1 + math.exp(-(a + b * h + c * m + d * w))) for h, m, w in zip(hours, hundred_miles, winter)]
"""
IN_SQL = "1 / (1 + exp(-(w[1] + w[2] * hour + w[3] * hundred_miles + w[4] * winter)))"


def main() -> int:
    """Run the example; the process's exit status."""
    con = duckdb.connect()
    sandbox = wasi_udf.install(con)
    nycflights.load(con, "flights")
    con.execute("""
        CREATE TABLE features AS SELECT month % 2 = 1 AS train, arr_delay >= 30 AS late, hour::DOUBLE AS hour,
            distance / 100.0 AS hundred_miles, (month IN (12, 1, 2))::INTEGER::DOUBLE AS winter
        FROM flights WHERE arr_delay IS NOT NULL AND day <= 7
    """)
    sandbox.create_aggregate_function(con, "fit", FIT)
    sandbox.create_function(con, "score", SCORE)
    con.execute("""
        CREATE TABLE model AS SELECT fit(list(late), list(hour), list(hundred_miles), list(winter)) AS w
        FROM features WHERE train
    """)
    con.execute(f"""
        CREATE TABLE scored AS SELECT *, score(hour, hundred_miles, winter, w) AS p, {IN_SQL} AS p_in_sql
        FROM features, model
    """)
    con.sql("""
        SELECT floor(p * 10) / 10 AS predicted_from, count(*) AS flights, round(avg(late::INTEGER), 3) AS were_late
        FROM scored WHERE NOT train GROUP BY ALL ORDER BY ALL
    """).show()
    ((rows, differing),) = con.execute(
        "SELECT count(*), count(*) FILTER (abs(p - p_in_sql) > 1e-12) FROM scored"
    ).fetchall()
    ((residual,),) = con.execute("""
        SELECT greatest(abs(sum(r)), abs(sum(r * hour)), abs(sum(r * hundred_miles)), abs(sum(r * winter)))
        FROM (SELECT *, late::INTEGER - p AS r FROM scored WHERE train)
    """).fetchall()
    print(f"{rows:,} flights scored, {differing:,} of them other than in plain SQL; the fit is off by {residual:.0e}")
    return 1 if differing or residual > 1e-6 else 0


if __name__ == "__main__":
    sys.exit(main())
