from tests.arrow import fuzz_results


def test_a_mutated_result_is_an_error_or_a_valid_array():
    """A fixed-seed part of the long run (`python -m tests.arrow.fuzz_results`)."""
    outcomes = fuzz_results.run(cases=20_000, seed=20_260_101)
    assert set(outcomes) == {"an array", "ProtocolError", "LimitExceeded"}
