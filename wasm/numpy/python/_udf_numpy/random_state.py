"""The state of `numpy.random`, which would be that of the snapshot in every instance."""

import os

import numpy as np


def seed():
    """Give the functions of `numpy.random` a state of this instance's own.

    `os.urandom` starts from a fixed seed in deterministic sandboxes. Generators that `default_rng` makes take their
    seeds from it too.
    """
    np.random.seed(np.frombuffer(os.urandom(32), np.uint32))  # noqa: NPY002 - the state of these functions is meant
