"""HTTP: requests to origins on a list, made by the host for the guest."""

from hostfuncs.http._fetch import fetch

__all__ = ["fetch"]
