"""Ranges that are longer than a 32-bit size, and floats as seeds: the same values as on a 64-bit CPython."""

import math
import random
from itertools import repeat

_seed, _sample, _choices = random.Random.seed, random.Random.sample, random.Random.choices


def _length(population):
    """Return the length of a range of any length, of other things if it fits in a size."""
    if not isinstance(population, range):
        return len(population)
    step = population.step
    return max(0, (population.stop - population.start + step - (1 if step > 0 else -1)) // step)


def _is_long(population):
    return isinstance(population, range) and _length(population) >= 2**31


class _Methods:
    """Those of `random.Random`."""

    def seed(self, a=None, version=2):
        _seed(self, _hash_of_float(a) if isinstance(a, float) else a, version)

    def choice(self, seq):
        try:
            length = len(seq)
        except OverflowError:
            length = _length(seq)
        if not length:
            raise IndexError("Cannot choose from an empty sequence")
        return seq[self._randbelow(length)]

    def sample(self, population, k, *, counts=None):
        if not _is_long(population) or counts is not None:
            return _sample(self, population, k, counts=counts)
        if k < 0:
            raise ValueError("Sample larger than population or is negative")
        # What CPython does where the population is much larger than the sample.
        length, selected, result = _length(population), set(), [None] * k
        for i in range(k):
            j = self._randbelow(length)
            while j in selected:
                j = self._randbelow(length)
            selected.add(j)
            result[i] = population[j]
        return result

    def choices(self, population, weights=None, *, cum_weights=None, k=1):
        if not _is_long(population) or weights is not None or cum_weights is not None:
            return _choices(self, population, weights, cum_weights=cum_weights, k=k)
        length = _length(population) + 0.0
        return [population[int(self.random() * length)] for _ in repeat(None, k)]


def _hash_of_float(value):
    """Return the hash of a float on a 64-bit CPython, as an unsigned number."""
    if not math.isfinite(value):
        return hash(value) % 2**64
    numerator, denominator = abs(value).as_integer_ratio()
    modulus = 2**61 - 1
    hashed = numerator * pow(denominator, -1, modulus) % modulus
    if value < 0:
        hashed = -hashed
    return (-2 if hashed == -1 else hashed) % 2**64


for _name in ("seed", "choice", "sample", "choices"):
    _method = getattr(_Methods, _name)
    _original = getattr(random.Random, _name)
    _method.__qualname__, _method.__doc__, _method.__module__ = _original.__qualname__, _original.__doc__, "random"
    setattr(random.Random, _name, _method)
    setattr(random, _name, getattr(random._inst, _name))
