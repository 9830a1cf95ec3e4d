"""Tests of `_host_functions`: what guests call of the host."""
