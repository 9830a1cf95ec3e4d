"""Tests of `dbt`: the plugin, and the example project in real dbt."""
