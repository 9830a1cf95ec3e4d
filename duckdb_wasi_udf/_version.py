"""The version, which the wheel's metadata is made from."""

__version__ = "0.1.0"
