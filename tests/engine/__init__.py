"""Tests of `_engine`: the artifact, machine code, raw calls and clocks."""
