"""Guests, servers and installed distributions for tests."""
