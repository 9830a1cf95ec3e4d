"""Tests of `_functions`: signatures, shipped callables, scalar and aggregate functions."""
