"""Tests of `_shared`: annotations and columns, on both sides of the sandbox."""
