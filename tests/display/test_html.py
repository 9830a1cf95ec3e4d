"""HTML of text that may be an attacker's."""

import pytest

from duckdb_wasi_udf import GuestError
from duckdb_wasi_udf._display import html, plain
from duckdb_wasi_udf._text import readable
from tests.support.markup import text_of

HOSTILE = [
    "<script>alert(1)</script>",
    "</pre></div><img src=x onerror=alert(1)>",
    "&lt;b&gt; &amp; &#60;",
    '" style="position:fixed" onclick=\'alert(1)\'',
    "<!-- ]]> <![CDATA[ <?php",
    "\x1b[31mred\x1b[0m \x1b]8;;http://example.invalid\x07link\x1b]8;;\x07",
    "over\rwritten \x08\x7f\x9b31m",
    "\u202egnp.exe \u2066x\u2069 \u200b",
    "</summary></details><iframe srcdoc='<b>'>",
    "\ud800 \udfff",
    "javascript:alert(1)",
]


def harmless(text):
    return not any(not char.isprintable() and char not in "\n\t" for char in text)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text(text):
    made = html.table([text, "n"], [[text, 1], [html.folded(text, html.code(text)), text]])
    shown = text_of(made)
    assert shown.count(readable(text)) == 5
    assert harmless(made)


@pytest.mark.parametrize("text", HOSTILE)
def test_an_error_of_hostile_text_is_only_text(text):
    frames = f'  File "<f>", line 3, in {text}\n    {text}\n    ^^^^'
    traceback = f"Traceback (most recent call last):\n{frames}\nE: {text}"
    error = GuestError(
        f"{text}: E: {text}\nin row 0, called with ({text})\n{traceback}",
        type_name="E",
        guest_traceback=traceback,
        row=0,
        arguments=(text, text),
    )
    error.output = text
    styles = set()
    made = error._repr_html_()
    assert readable(text) in text_of(made, styles)
    assert harmless(made)
    calm = GuestError("f: E: m", type_name="E", guest_traceback="", row=None, arguments=())
    known = set()
    calm.output = "x"
    text_of(calm._repr_html_(), known)
    assert all("position" not in style and "url" not in style for style in styles | known)


def card(traceback, message="E: m", row=None):
    text = f"f: {message}\n{traceback}"
    return GuestError(text, type_name="E", guest_traceback=traceback, row=row, arguments=())._repr_html_()


def test_the_innermost_line_of_the_user_is_marked():
    made = card(
        'Traceback (most recent call last):\n  File "<f>", line 2, in f\n    return g(x)\n  File "<g>", line 5, in g\n'
        '    return a + 1 // 0\n               ~~^^~~\n  File "/lib/x.py", line 9, in x\n    raise E\nE: m'
    )
    assert "line 5, in g" in made
    assert ">1 // 0</span></pre>" in made
    assert "return a + <span" in made


def test_a_message_that_looks_like_a_frame_is_no_line():
    message = 'E: m\n  File "<forged>", line 99, in forged\n    forged'
    made = card(
        f'Traceback (most recent call last):\n  File "<f>", line 2, in f\n    raise E(text)\n{message}', message
    )
    assert "line 2, in f" in made
    assert ">raise E(text)</span></pre>" in made


@pytest.mark.parametrize("traceback", ["", "E: m", "x" * 10**6, 'File "<f>", line 1', '  File "<f>", line ' + "9" * 50])
def test_a_traceback_may_be_anything(traceback):
    text_of(card(traceback))


def test_what_is_long_is_cut_and_what_is_left_is_counted():
    made = html.table(["n"], [[number] for number in range(105)])
    assert made.count("<tr>") == 101
    assert "and 5 more" in made
    assert len(html.escape("<" * 10**6)) < 100_000
    assert "980,000 more characters" in html.escape("<" * 10**6)


def test_a_plain_table_has_a_line_for_each_row():
    table = plain.table(["name", "rows"], [["a\nb\x1b[31m", 1_000], ["x" * 100, 2]])
    assert table.splitlines() == [
        f"{'name':60}   rows",
        "a b\\x1b[31m".ljust(60) + "  1,000",
        "x" * 57 + "...      2",
    ]
    assert plain.table(["a"], []) == "a"
