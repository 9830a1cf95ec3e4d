"""Tests of the ready-made host functions."""
