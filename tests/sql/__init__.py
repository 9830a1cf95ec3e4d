"""Tests of `_sql`: what queries and connections see."""
