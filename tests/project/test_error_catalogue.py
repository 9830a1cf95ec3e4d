"""docs/reference/errors.md lists every message of the sources, and no other."""

import re

import duckdb_wasi_udf as wasi_udf
from duckdb_wasi_udf._guests.recent_errors import CLOSED
from tests.support.messages import GAP, matches, of_the_guest, of_the_host
from tests.support.repository import ROOT, assert_none, code_spans, tables

PAGE = (ROOT / "docs" / "reference" / "errors.md").read_text()
CATALOGUED = [
    span for table in tables(PAGE) if "message" in table[0] for row in table for span in code_spans(row["message"])
]

# Programming errors of the package itself: no user's mistake leads to them.
INTERNAL = {"KeyError", "RuntimeError"}

# Why a function isn't compiled (docs/guide/compiled-functions.md), and what compiled code leaves to the interpreter.
NO_ERRORS = {"NotCompiledError", "NotImplementedError"}

# Of a C call that chooses between them.
PARTS = {"declare a wider type, or return another value", "declare the result type BIGNUM, or return a float or str"}

OURS = {name for name in wasi_udf.__all__ if isinstance(getattr(wasi_udf, name), type)}
HOST = sorted(
    {
        message
        for error, message in of_the_host()
        if (error in OURS or error.endswith(("Error", "Exception"))) and error not in INTERNAL
    }
    - {f"the module's export {GAP} is of another kind"}
    | {CLOSED}
)
# A few literals are parts of a message; the message itself is longer.
GUEST = sorted(
    {message for error, message in of_the_guest() if message.count(" ") >= 2 and error not in NO_ERRORS} - PARTS
)


def test_every_message_is_catalogued():
    unlisted = [message for message in HOST + GUEST if not any(matches(form, message) for form in CATALOGUED)]
    assert_none(unlisted)


def test_every_catalogued_message_is_in_the_sources():
    """A form with too little text would be recognised in other messages."""
    assert_none(form for form in CATALOGUED if len(re.sub(rf"[{GAP}\W]", "", form)) < 8)
    assert_none(form for form in CATALOGUED if not any(matches(form, message) for message in HOST + GUEST))


def test_every_error_class_has_a_section():
    sections = set(re.findall(r"^## (\w+)$", PAGE, re.MULTILINE))
    errors = {name for name in OURS if issubclass(getattr(wasi_udf, name), Exception)}
    assert errors <= sections


def test_messages_are_found_in_sources():
    assert len(HOST) > 100
    assert len(GUEST) > 50
    assert f"{GAP}: stopped by {GAP}" in HOST
    assert "the arguments are gone" in GUEST
    assert matches(f"a {GAP} c", "x: a b c")
    assert not matches(f"a {GAP} c", "c b a")
