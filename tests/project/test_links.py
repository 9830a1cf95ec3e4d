"""Every relative link in every Markdown file leads to a file, and to a heading of it."""

import functools
import itertools
import re
import subprocess
from pathlib import Path
from urllib.parse import unquote

from markdown_it import MarkdownIt

from tests.support.repository import assert_none

ROOT = Path(__file__).parents[2]
PAGES = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
MARKDOWN = MarkdownIt("commonmark").enable("table")


def links(text):
    """The targets of a page's links and images."""
    for token in MARKDOWN.parse(text):
        for inline in token.children or ():
            if inline.type == "link_open":
                yield inline.attrs["href"]
            elif inline.type == "image":
                yield inline.attrs["src"]


@functools.cache
def anchors(text):
    """The anchors that code hosts make of a page's headings."""
    return set(_anchors(text))


def _anchors(text):
    tokens = MARKDOWN.parse(text)
    seen = {}
    for opened, inline in itertools.pairwise(tokens):
        if opened.type != "heading_open":
            continue
        heading = "".join(part.content for part in inline.children if part.type in {"text", "code_inline"})
        anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        number = seen[anchor] = seen.get(anchor, -1) + 1
        yield f"{anchor}-{number}" if number else anchor


def broken(page, text):
    """The links of a page that lead nowhere."""
    for link in links(text):
        target, _, anchor = unquote(link).partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        found = (ROOT / page).parent / target if target else ROOT / page
        if not found.resolve().exists() or ROOT not in [found.resolve(), *found.resolve().parents]:
            yield f"{link}: there is no such file"
        elif anchor and anchor not in anchors(found.read_text() if target else text):
            yield f"{link}: there is no such heading"


def test_relative_links_lead_somewhere():
    assert_none((page, link) for page in PAGES for link in broken(page, (ROOT / page).read_text()))


def test_broken_links_are_found():
    text = "# A `b`: c\n# A `b`: c\n[1](gone.md) [2](#a-b) [3](#a-b-c) [4](#a-b-c-1) [5](CHANGELOG.md#gone) [6](../x)"
    assert [line.partition(":")[0] for line in broken("README.md", text)] == [
        "gone.md",
        "#a-b",
        "CHANGELOG.md#gone",
        "../x",
    ]


def test_every_page_of_the_documentation_is_in_its_index():
    index = ROOT / "docs" / "index.md"
    linked = {(index.parent / link.partition("#")[0]).resolve() for link in links(index.read_text())}
    pages = {ROOT / page for page in PAGES if page.startswith("docs/")} - {index}
    assert pages <= linked
