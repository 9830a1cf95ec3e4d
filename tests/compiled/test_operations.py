"""Every operation over all pairs of edge values, compiled against interpreted."""

import itertools

import pytest

from tests.compiled.comparing import Comparison, difference
from tests.compiled.operations import operations
from tests.compiled.values import ARROW, RESULTS, column

PARTS = 8


def arguments(types):
    """Columns with all combinations of edge values."""
    rows = list(itertools.product(*(ARROW[t][1] for t in types)))
    return [column(ARROW[t][0], list(values)) for t, values in zip(types, zip(*rows, strict=True), strict=True)]


@pytest.mark.parametrize("part", range(PARTS))
def test_operations_over_edge_values(part):
    """A bail is always right, so the share of them is counted."""
    comparison = Comparison()
    rows = bailed = 0
    for source, types, result in list(operations())[part::PARTS]:
        columns = arguments(types)
        compared = comparison.run(source, columns, RESULTS[result])
        assert compared.why is None, (source, compared.why)
        assert not compared.left, (source, compared.left)
        assert compared.found == compared.wanted, (source, difference(compared, columns))
        rows += len(columns[0])
        bailed += compared.bailed
    assert bailed < rows * 0.15
