"""The model of a job on many nodes, and the page that it makes."""

from dataclasses import replace

import pytest

from benchmarks import cluster
from benchmarks.cluster import BILLION, MIB, Cluster


def test_the_page_has_what_the_model_computes():
    assert f"{cluster.BEGIN}\n{cluster.text(Cluster())}\n{cluster.END}" in cluster.PAGE.read_text(encoding="utf-8")


def test_figures_follow_from_the_inputs():
    few = Cluster(nodes=2, cores=4, worker_cpu_seconds=0.5, core_hour_price=0.9)
    assert few.seconds(BILLION, 80.0) == pytest.approx(0.5 + 10)
    assert few.price(BILLION, 80.0) == pytest.approx(10.5 * 8 / 3600 * 0.9)
    assert few.cold_start_seconds == pytest.approx(few.compile_seconds + 0.5)
    assert few.failed_nodes(3600) == pytest.approx(2 / 720)
    wide = replace(few, code_bytes=10 * MIB, worker_bytes=20 * MIB, instance_bytes=5 * MIB)
    assert wide.node_bytes == 110 * MIB
    assert replace(few, nodes=200).seconds(BILLION, 80.0) == pytest.approx(0.5 + 0.1)


def test_every_input_is_printed_with_its_meaning():
    printed = cluster.text(Cluster(core_hour_price=0.0321))
    assert "| `core_hour_price` | 0.0321 | of a core, an hour. |" in printed
