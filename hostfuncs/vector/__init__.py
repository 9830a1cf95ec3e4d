"""Vectors: of texts by a model of your own, and the nearest ones in a DuckDB table."""

from hostfuncs.vector._embed import embed
from hostfuncs.vector._nearest import nearest

__all__ = ["embed", "nearest"]
