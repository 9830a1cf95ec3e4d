"""The model of row functions on many cores, against times that are made by Amdahl's law."""

import pytest

from benchmarks.many_cores import CORES, fit


def amdahl(cores, *, fixed, work, serial, machine=0.0):
    """Return the seconds of a query whose machine slows each of two cores down by `machine`."""
    return fixed + work * (serial + (1 - serial) / cores + (machine / cores if cores > 1 else 0))


@pytest.mark.parametrize("serial", [0.0, 0.01, 0.2, 1.0])
@pytest.mark.parametrize("machine", [0.0, 0.3])
def test_the_serial_share_is_found_again(serial, machine):
    one, two = (amdahl(n, fixed=0.001, work=0.05, serial=serial, machine=machine) for n in (1, 2))
    model = fit(fixed=0.001, one=one, two=two, both=0.001 + 0.05 * (1 + machine), batches=500)
    assert model.serial == pytest.approx(serial, abs=1e-6)
    assert model.batch_seconds == pytest.approx(1e-4)
    assert model.times_as_fast(CORES) == pytest.approx(1 / (serial + (1 - serial) / CORES))


def test_noise_gives_no_more_than_the_cores():
    model = fit(fixed=0.001, one=0.1, two=0.04, both=0.11, batches=500)
    assert model.times_as_fast(CORES) == CORES
    assert model.times_as_fast(1) == 1
    least, most = model.between(CORES)
    assert least == pytest.approx(1 / (0.01 + 0.99 / CORES))
    assert most == CORES


def test_long_queries_are_as_fast_as_their_batches():
    model = fit(fixed=0.01, one=0.11, two=0.06, both=0.11, batches=1000)
    seconds = 0.01 + 10**6 * 1e-4 / 64
    assert model.rows_per_second(64, 2048 * 10**6) == pytest.approx(2048 * 10**6 / seconds)
