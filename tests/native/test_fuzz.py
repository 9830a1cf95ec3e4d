import sys

import pytest

from tests.native import fuzz


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    if sys.platform == "win32":
        pytest.skip("the fuzzer needs mmap")
    return fuzz.build(tmp_path_factory.mktemp("fuzz"), address_sanitizer=False)


def test_tampered_results_are_taken_only_where_they_are_good(program):
    """A fixed-seed part of the long run (`python -m tests.native.fuzz`), under UBSan and between guard pages."""
    said = fuzz.run(program, 150_000)
    results, taken = (int(word) for word in said.split() if word.isdecimal())
    assert results == 150_000
    assert 20_000 < taken < 120_000


def test_inputs_of_the_guided_fuzzer_are_read_as_they_should(program):
    """Those that together reach what it has reached: see docs/contributing/fuzzing.md."""
    assert fuzz.replay(program) == len(fuzz.CORPUS.read_text(encoding="ascii").split()) > 300
