"""Tests of `_packages`: collecting pure-Python packages."""
