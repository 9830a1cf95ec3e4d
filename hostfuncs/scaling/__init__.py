"""Host functions around other host functions: cached, limited in rate, several at once, tried again."""

from hostfuncs.scaling._cached import cached
from hostfuncs.scaling._concurrent import concurrent
from hostfuncs.scaling._rate_limited import RateLimit, rate_limited
from hostfuncs.scaling._retried import retried

__all__ = ["RateLimit", "cached", "concurrent", "rate_limited", "retried"]
