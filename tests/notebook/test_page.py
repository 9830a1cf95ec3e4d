"""The page about notebooks says what happens."""

import re

from tests.support.repository import ROOT


def test_the_cells_of_the_page_run(kernel):
    page = (ROOT / "docs" / "guide" / "notebooks.md").read_text()
    cells = re.findall(r"^```ipython\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(cells) >= 5
    kernel.run(*cells, "None")
    assert (
        kernel.value("con.sql(\"SELECT place(1), plus(1, 2), gross(100, 'DE')\").fetchall()") == "[('wasi', 3, 119.0)]"
    )
    listed = kernel.value("[*get_ipython().find_magic('py_udf').parser._option_string_actions]")
    assert set(re.findall(r"`(--[a-z-]+)", page)) == set(re.findall(r"'(--[a-z-]+)'", listed))
