"""Tests of `_guests`: instances, pools, limits, packages, isolation and cancellation."""
