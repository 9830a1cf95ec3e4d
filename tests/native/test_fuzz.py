import sys

import pytest

from tests.native import fuzz


def test_tampered_results_are_taken_only_where_they_are_good(tmp_path):
    """A fixed-seed part of the long run (`python -m tests.native.fuzz`), under UBSan and between guard pages."""
    if sys.platform == "win32":
        pytest.skip("the fuzzer needs mmap")
    said = fuzz.run(fuzz.build(tmp_path, address_sanitizer=False), 150_000)
    results, taken = (int(word) for word in said.split() if word.isdecimal())
    assert results == 150_000
    assert 20_000 < taken < 120_000
