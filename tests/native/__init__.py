"""Tests of `_arrow`: values in and out of linear memory."""
