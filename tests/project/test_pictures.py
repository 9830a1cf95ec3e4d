"""The committed pictures: `make pictures` draws them."""

import re
import xml.etree.ElementTree as ET

import pytest

from benchmarks import charts
from tests.support.repository import ROOT

IMAGES = ROOT / "docs" / "images"
PAGE = charts.PAGE.read_text(encoding="utf-8")
TABLES = {"compiled.svg": "Compiled functions", "row-functions.svg": "Row functions", "types.svg": "Types"}


def texts(name):
    """All pieces of text of a picture."""
    return [
        "".join(element.itertext()).strip()
        for element in ET.parse(IMAGES / name).iter()
        if element.tag.endswith("text")
    ]


@pytest.mark.parametrize("name", TABLES)
def test_a_chart_has_what_its_table_has(name):
    table = charts.table_below(PAGE, TABLES[name])
    assert set(table.labels()) <= set(texts(name))
    assert len(table.rows) >= 6


def test_bars_have_the_figures_of_the_table():
    """A page that was measured again needs new charts."""
    table = charts.table_below(PAGE, "Row functions").where("threads", "1")
    shown = texts("row-functions.svg")
    for column in ("sandboxed", "DuckDB's own"):
        assert {f"{number:,.0f}" for number in table.numbers(column)} <= set(shown)


@pytest.mark.parametrize("name", sorted(path.name for path in IMAGES.glob("*.svg")))
def test_pictures_are_small_and_load_nothing(name):
    source = (IMAGES / name).read_text(encoding="utf-8")
    assert len(source) < 60_000
    assert not re.search(r"url\(\s*['\"]?[a-z]+:|href=\"[a-z]+:|@import|<script", source)
    pages = [path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]]
    assert any(f"images/{name}" in page for page in pages)


def test_a_table_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="no section 'Nothing'"):
        charts.table_below(PAGE, "Nothing")
