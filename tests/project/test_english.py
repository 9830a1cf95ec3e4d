"""Pages and comments use the words of docs/contributing/style.md and docs/explanation/glossary.md."""

import ast
import re

from tests.support.repository import MARKDOWN, ROOT, assert_none, bodies, code_spans, comments, files, tables

PAGES = [name for name in files(".md") if name != "CHANGELOG.md" and not name.startswith(".github/")]

# Words that the style page replaces, as they occur in prose.
AVOIDED = re.compile(
    r"\b(time-outs?|rosters?|shelf|shelves|told|tells?|so many|how many|gives? way|give way|given up|get told"
    r"|thrown away|what comes back|what there is)\b",
    re.IGNORECASE,
)
STYLE = "docs/contributing/style.md"


def prose(text):
    """The text of a page without code."""
    for token in MARKDOWN.parse(text):
        if token.type == "inline":
            yield "".join(part.content if part.type == "text" else " " for part in token.children)


def test_pages_use_the_words_of_the_style_page():
    found = [
        (page, match[0])
        for page in PAGES
        if page != STYLE
        for line in prose((ROOT / page).read_text())
        for match in AVOIDED.finditer(line)
    ]
    assert_none(found)


def test_comments_use_the_words_of_the_style_page():
    """The whole text of C files."""
    folders = ("duckdb_wasi_udf/", "hostfuncs/", "wasm/", "benchmarks/", "tests/")
    sources = [name for name in files(".py", ".c", ".h") if name.startswith(folders)]
    assert {f"{name.partition('/')[0]}/" for name in sources} == set(folders)
    found = [
        (name, match[0])
        for name in sources
        for text in (comments(name) if name.endswith(".py") else [(ROOT / name).read_text()])
        for match in AVOIDED.finditer(text)
    ]
    assert_none(found)


def test_the_glossary_is_sorted_and_each_entry_is_one_sentence():
    (rows,) = tables((ROOT / "docs" / "explanation" / "glossary.md").read_text())
    words = [row["word"].content for row in rows]
    assert words == sorted(words, key=str.casefold)
    for row in rows:
        sentence = re.sub(r"`[^`]*`", "code", row["meaning"].content)
        assert sentence.endswith("."), sentence
        assert sentence.count(". ") == 0, sentence


def test_headings_are_words_that_people_search_for():
    for page in PAGES:
        headings = re.findall(
            r"^#+ (.*)$", re.sub(r"```.*?```", "", (ROOT / page).read_text(), flags=re.DOTALL), re.MULTILINE
        )
        for heading in headings:
            assert not re.match(r"(What|Whether|Which|Where|How often|How many)\b", heading), heading


def test_code_spans_are_not_prose():
    assert list(prose("a `told` b")) == ["a   b"]
    assert code_spans(MARKDOWN.parse("a `told` b")[1]) == ["told"]


def test_a_tests_name_has_at_most_60_characters():
    names = [
        node.name
        for file in files(".py")
        if file.startswith("tests/")
        for body in bodies(ast.parse((ROOT / file).read_text()))
        for node in body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    assert names
    assert_none(name for name in names if len(name) > 60)
