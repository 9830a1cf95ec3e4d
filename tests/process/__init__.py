"""Tests of `_process`: stacks, threads, processes and cache files."""
