"""The real columns: the package has their description in this place."""

from _udf import Column

__all__ = ["Column"]
