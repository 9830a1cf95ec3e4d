"""Random programs, compiled against interpreted. `python -m tests.compiled.test_programs SEED SECONDS` runs more."""

import collections
import sys
import time

import pyarrow as pa
import pytest

from duckdb_wasi_udf import LimitExceeded
from tests.compiled.comparing import Comparison, difference
from tests.compiled.programs import Program
from tests.compiled.values import RESULTS, column

ROWS = 48
PARTS, PROGRAMS = 8, 50
TYPES = RESULTS | {"INTEGER": pa.int32()}


def check(comparison, seed):
    """Compare one program; what came of it, and the rows that bailed."""
    program = Program(seed)
    columns = [column(TYPES[sql], values) for sql, values in program.columns(ROWS)]
    try:
        compared = comparison.run(program.source, columns, TYPES[program.result], sees_null=program.sees_null)
    except LimitExceeded:  # a text that doubles, say
        return "limit", 0
    if compared.why is not None:
        return compared.why, 0
    assert compared.found == compared.wanted, (seed, program.source, difference(compared, columns))
    if seed % 4 == 0:  # errors too: the same one, where the interpreter, too, reports the first row that raises
        strict = comparison.run(
            program.source, columns, TYPES[program.result], sees_null=program.sees_null, return_null=False
        )
        same = strict.found == strict.wanted or strict.found[0] == strict.wanted[0] == "error"
        assert same, (seed, program.source, strict.wanted, strict.found)
    return "same", compared.bailed


@pytest.mark.parametrize("part", range(PARTS))
def test_random_programs(part):
    comparison = Comparison()
    outcomes = collections.Counter(check(comparison, seed)[0] for seed in range(part * PROGRAMS, (part + 1) * PROGRAMS))
    assert outcomes["same"] > PROGRAMS * 0.7, outcomes


def main(seed, seconds):
    """Run programs from a seed on, for a time."""
    comparison, end = Comparison(), time.monotonic() + seconds
    outcomes, bailed = collections.Counter(), 0
    while time.monotonic() < end:
        try:
            outcome, count = check(comparison, seed)
        except Exception as error:
            outcome, count = "WRONG", 0
            print(f"seed {seed}: {type(error).__name__}: {str(error)[:3000]}\n")
        outcomes[outcome] += 1
        bailed += count
        seed += 1
    print(f"{outcomes.total()} programs, next seed {seed}, {bailed} of {outcomes['same'] * ROWS} rows bailed")
    print(outcomes.most_common(20))


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
