"""The example project in real dbt, with four threads, over a database file."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

EXAMPLE = Path(__file__).parents[2] / "sql" / "dbt_example"
ROOT = EXAMPLE.parents[1]

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        shutil.which("dbt", path=Path(sys.executable).parent) is None,
        reason="dbt is not installed here: make test-dbt",
    ),
]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dbt") / "project"
    shutil.copytree(EXAMPLE, folder)
    return folder


def dbt(project, *arguments):
    """What dbt prints, and its exit status."""
    paths = {
        "SHOP_DATABASE": str(project / "shop.duckdb"),
        "PYTHONPATH": str(ROOT),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "0",
    }
    command = [Path(sys.executable).with_name("dbt"), "--no-use-colors", *arguments, "--profiles-dir", "."]
    done = subprocess.run(command, cwd=project, env=os.environ | paths, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr, done.returncode


def test_models_functions_and_tests_are_built(project):
    output, status = dbt(project, "build")
    assert status == 0, output
    with duckdb.connect(project / "shop.duckdb", read_only=True) as con:
        assert con.sql("FROM sales ORDER BY id").fetchall() == [
            (1, "Ada Lovelace", 120.0),
            (2, "Grace Hopper", 59.5),
            (4, "Katherine Johnson", 24.39),
        ]
        assert con.sql("FROM german_prices ORDER BY id").fetchall() == [(1, 119.0), (2, 59.5), (3, None), (4, 24.39)]


def test_a_part_is_built_shown_and_documented_in_other_processes(project):
    for arguments in (("build", "--select", "sales"), ("docs", "generate"), ("test",)):
        output, status = dbt(project, *arguments)
        assert status == 0, output
    output, status = dbt(project, "show", "--select", "named_orders")
    assert status == 0, output
    assert "Alan Turing" in output


def test_errors_name_model_function_and_row(project):
    model = project / "models" / "failing.sql"
    model.write_text(
        "{{ config(materialized='table') }}\n"
        "SELECT {{ function('with_tax') }}(net, 'XX') AS gross FROM {{ ref('orders') }}"
    )
    try:
        output, status = dbt(project, "run", "--select", "failing")
    finally:
        model.unlink()
    assert status != 0
    assert "models/failing.sql" in output
    assert "with_tax: KeyError: 'XX'" in output
    assert "in row 0" in output


def test_a_mistake_in_a_function_is_said_by_file(project):
    file = project / "udfs" / "title_name.py"
    before = file.read_text()
    file.write_text(before.replace("-> str:", "-> str"))
    try:
        output, status = dbt(project, "run")
    finally:
        file.write_text(before)
    assert status != 0
    assert "title_name.py" in output
    assert "SyntaxError" in output
