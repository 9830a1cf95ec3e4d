"""What docs/guide/command-line.md shows is what the commands print."""

import doctest
import re
import shlex

from duckdb_wasi_udf._cli.failures import Status
from tests.support.repository import ROOT, code_spans, tables

GUIDE = (ROOT / "docs" / "guide" / "command-line.md").read_text()
REFERENCE = (ROOT / "docs" / "reference" / "command-line.md").read_text()


def test_the_guides_commands_print_what_it_shows(cli, tmp_path):
    for language, block in re.findall(r"^```(\w+)\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL):
        if language == "python":
            (tmp_path / re.match(r"# (\S+\.py)\n", block)[1]).write_text(block)
            continue
        assert language == "console"
        for command, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
            program, *arguments = shlex.split(command)
            assert program == "duckdb-wasi-udf"
            done = cli(*arguments)
            assert (done.status, done.err) == (0, ""), command
            assert doctest.OutputChecker().check_output(shown, done.out, doctest.ELLIPSIS), (command, done.out)


def test_all_exit_statuses_are_listed():
    (rows,) = [table for table in tables(REFERENCE) if "status" in table[0]]
    listed = {code_spans(row["name"])[0]: int(row["status"].content) for row in rows}
    assert listed == {status.name: int(status) for status in Status}
