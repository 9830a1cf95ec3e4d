"""How objects of the package show themselves."""

import pytest

import duckdb_wasi_udf as wasi_udf
from duckdb_wasi_udf._text import readable
from tests.support.markup import text_of

HOSTILE = "<script>alert(1)</script>\x1b[31m\u202e"


@wasi_udf.host_function
def failing(text: str) -> str:
    raise ValueError(text)


def objects(con):
    sandbox = wasi_udf.Sandbox(host_functions=[failing]).install(con)
    sandbox.create_function(con, "half", "def half(x: int) -> float: return x / 2")
    con.execute("SELECT half(i) FROM range(2049) t(i)").fetchall()
    code = f"import host\ndef f(x):\n    try: return host.failing(x)\n    except Exception: return {HOSTILE!r}"
    con.execute("SELECT py_udf($1, $2)", [code, HOSTILE]).fetchall()
    con.execute("SELECT py_udf($1, 1)", [f"lambda x: {HOSTILE!r}"]).fetchall()
    return {"sandbox": sandbox, "audit": sandbox.audit(), "explanation": sandbox.explain("half")}


def test_html_is_of_text_and_tables_only(con):
    shown = {name: text_of(item._repr_html_()) for name, item in objects(con).items()}
    assert "half" in shown["sandbox"]
    assert "(x BIGINT) -> DOUBLE" in shown["sandbox"]
    assert "2,049" in shown["sandbox"]
    assert readable(HOSTILE)[:20] in shown["sandbox"]
    assert readable(HOSTILE) in shown["audit"]
    assert "failed" in shown["audit"]
    assert "can be compiled" in shown["explanation"]


def test_text_is_for_terminals(con):
    for name, item in objects(con).items():
        for text in (repr(item), str(item)):
            assert "\x1b" not in text, name
            assert "\u202e" not in text, name
            assert " object at 0x" not in text, name


def test_lists_and_texts_are_still_lists_and_texts(con):
    made = objects(con)
    assert [record.outcome for record in made["audit"]] == ["failed"]
    assert made["audit"] == list(made["audit"])
    assert made["explanation"].startswith("(x BIGINT) -> DOUBLE: ")
    assert repr(made["explanation"]) == made["explanation"]
    with wasi_udf.Sandbox() as sandbox:
        assert sandbox.audit() == []
        assert repr(sandbox.audit()) == "no calls of host functions"
        assert str(sandbox) == repr(sandbox)
        assert "no functions yet" in sandbox._repr_html_()


def test_a_long_record_shows_its_end(con):
    sandbox = wasi_udf.Sandbox(host_functions=[failing]).install(con)
    code = "import host\ndef f(x: int) -> int:\n    try: host.failing(str(x))\n    except Exception: pass\n    return x"
    con.execute("SELECT py_udf_bigint($1, i) FROM range(60) t(i)", [code]).fetchall()
    audit = sandbox.audit()
    assert len(audit) == 60
    assert repr(audit).splitlines()[0] == "10 earlier calls"
    assert len(repr(audit).splitlines()) == 52
    assert text_of(audit._repr_html_()).startswith("10 earlier calls")


def test_marimo_shows_html(con):
    formatting = pytest.importorskip("marimo._output.formatting", reason="marimo is not installed: pip install marimo")
    for name, item in objects(con).items():
        shown = formatting.try_format(item)
        assert shown.mimetype == "text/html", name
        assert "<table" in shown.data or "<pre" in shown.data, name
