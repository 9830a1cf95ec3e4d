"""The standard library inside the guest."""

import json
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "standard-library.md"

IMPORT_EVERYTHING = """
import importlib, json, sys, warnings
warnings.simplefilter("ignore")

def f(x):
    failed = []
    for name in sorted(sys.stdlib_module_names):
        if name.startswith("_") or name in ("antigravity", "this"):
            continue
        try:
            importlib.import_module(name)
        except ImportError:
            failed.append(name)
    return json.dumps(failed)
"""


def documented():
    """The names in the first column of the page's table."""
    section = PAGE.read_text().partition("\n## Missing modules\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return {name.strip(" `") for row in rows for name in row.split(",")}


def test_every_module_imports_but_the_documented_ones(con, sandbox):
    failed = json.loads(con.execute("SELECT py_udf($1, 1)", [IMPORT_EVERYTHING]).fetchall()[0][0])
    assert set(failed) == documented()


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import base64\nlambda x: base64.b64encode(b'abc').decode()", "YWJj"),
        ("import csv, io\nlambda x: next(csv.reader(io.StringIO('a,\"b,c\"')))[1]", "b,c"),
        ("from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\ndef f(x): return repr(P(x))", "P(x=1)"),
        ("from datetime import datetime\nlambda x: datetime.strptime('2013-01-05', '%Y-%m-%d').strftime('%a')", "Sat"),
        ("from decimal import Decimal\nlambda x: str(Decimal('0.1') + Decimal('0.2'))", "0.3"),
        ("import gzip\nlambda x: gzip.decompress(gzip.compress(b'abc' * 100)).decode()[:4]", "abca"),
        ("import hashlib\nlambda x: hashlib.sha256(b'').hexdigest()[:8]", "e3b0c442"),
        ("import json\nlambda x: json.dumps({'a': [1, None]})", '{"a": [1, null]}'),
        ("import re\nlambda x: re.sub(r'(\\d)', r'<\\1>', 'a1')", "a<1>"),
        ("import unicodedata\nlambda x: unicodedata.normalize('NFD', 'é')[0]", "e"),
        ("import xml.etree.ElementTree as ET\nlambda x: ET.fromstring('<a><b>t</b></a>').findtext('b')", "t"),
        ("import zlib\nlambda x: str(zlib.crc32(b'abc'))", "891568578"),
        ("lambda x: 'ä'.encode('cp1252').hex() + 'あ'.encode('shift_jis').hex()", "e482a0"),
        ("from zoneinfo import ZoneInfo\nlambda x: str(ZoneInfo)", "<class 'zoneinfo.ZoneInfo'>"),
    ],
)
def test_modules_do_their_work(con, sandbox, code, expected):
    assert con.execute("SELECT py_udf($1, 1)::VARCHAR", [code]).fetchall() == [(expected,)]
