"""The documentation site is built without warnings, and loads nothing from elsewhere."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [path.relative_to(ROOT / "docs").with_suffix("") for path in sorted((ROOT / "docs").rglob("*.md"))]


@pytest.fixture(scope="module")
def site_builder():
    spec = importlib.util.spec_from_file_location("build_site", ROOT / "docs" / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_site_is_built_without_warnings(tmp_path):
    pytest.importorskip("zensical", reason="zensical is not installed: pip install 'duckdb-wasi-udf[docs]'")
    command = [sys.executable, "docs/build.py", "--output", tmp_path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    html = {path: path.read_text() for path in (tmp_path / "site").rglob("*.html")}
    assert {tmp_path / "site" / page.with_suffix(".html") for page in PAGES} <= html.keys()
    loaded = re.compile(r"<(?:script|img|link)[^>]*(?:src|href)=\"?(?:https?:)?//[^>]*>")
    assert {match for text in html.values() for match in loaded.findall(text)} == set()
    found = json.dumps(json.loads((tmp_path / "site" / "search.json").read_text()))
    assert "create_aggregate_function" in found
    assert "py_map_batches" in found
    reference = html[tmp_path / "site" / "reference" / "python.html"]
    assert "duckdb_wasi_udf.Sandbox.install" in reference


def test_the_navigation_has_every_page(site_builder, tmp_path):
    config = site_builder.stage(tmp_path / "site")
    sections = site_builder.navigation((config.parent / "pages" / "index.md").read_text())
    listed = [page for section in sections for pages in section.values() for page in (pages or [])]
    listed[: len("index.md")] = ["index.md"]  # Home's is one page
    there = [path.relative_to(config.parent / "pages").as_posix() for path in (config.parent / "pages").rglob("*.md")]
    assert sorted(listed) == sorted(there)


@pytest.mark.parametrize(
    ("link", "moved"),
    {
        "[a](sql.md)": "[a](sql.md)",
        "[a](../reference/api.md#x)": "[a](../reference/api.md#x)",
        "[a](#here)": "[a](#here)",
        "[a](https://example.org/b.md)": "[a](https://example.org/b.md)",
        "[a](../../CHANGELOG.md)": "[a](../project/changelog.md)",
        "[a](../../README.md#b)": "[a](../project/readme.md#b)",
        "[the file](../../wasm/c/abi.h)": "the file (`wasm/c/abi.h`)",
        "[`wasm/c/abi.h`](../../wasm/c/abi.h)": "`wasm/c/abi.h`",
        "![a](../images/b.png)": "![a](../images/b.png)",
        "```\n[a](../../CHANGELOG.md)\n```": "```\n[a](../../CHANGELOG.md)\n```",
    }.items(),
)
def test_links_out_of_the_pages_are_moved(site_builder, link, moved):
    assert site_builder.within_site(link, "docs/guide/quickstart.md", "guide/quickstart.md") == moved


def test_names_in_tables_may_break_between_their_parts(site_builder):
    html = '<p><code>a_b/c.py</code></p><td class="x_y"><code>a_b/c.py</code> d_e<a href="f_g">f_g</a></td>'
    wanted = (
        '<p><code>a_b/c.py</code></p><td class="x_y"><code>a_<wbr>b/<wbr>c.<wbr>py</code> d_e<a href="f_g">f_g</a></td>'
    )
    assert site_builder.with_breaks(html) == wanted
    linked = '<td><code><a href="a_b.html">a_b</a></code></td>'
    assert site_builder.with_breaks(linked) == '<td><code><a href="a_b.html">a_<wbr>b</a></code></td>'
