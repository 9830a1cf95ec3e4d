"""What the guest adds to hashlib and socket, beside the host's."""

import hashlib
import json

import duckdb
import pytest

import duckdb_wasi_udf as wasi_udf

DERIVED = [
    *(
        f"hashlib.pbkdf2_hmac({name!r}, b'password', b'salt', {rounds}, {length})"
        for name in ("sha1", "sha256", "sha512", "md5", "sha3_256")
        for rounds, length in ((1, None), (1000, 20), (3, 200))
    ),
    "hashlib.pbkdf2_hmac('sha256', b'p' * 300, b'', 2)",
    "hashlib.pbkdf2_hmac('sha256', bytearray(b'a'), memoryview(b's'), 2)",
    "hashlib.pbkdf2_hmac(hash_name='SHA256', password=b'', salt=b's', iterations=5, dklen=1)",
    # RFC 7914, section 12
    "hashlib.scrypt(b'', salt=b'', n=16, r=1, p=1)",
    "hashlib.scrypt(b'password', salt=b'NaCl', n=1024, r=8, p=16, dklen=64)",
    "hashlib.scrypt(b'pleaseletmein', salt=b'SodiumChloride', n=16384, r=8, p=1, maxmem=2**26)",
    "hashlib.scrypt(b'x', salt=b'y', n=2, r=3, p=5, dklen=7)",
]


@pytest.fixture(scope="module")
def con():
    with duckdb.connect() as connection:
        yield connection


@pytest.fixture(scope="module")
def sandbox(con):
    """One for all tests of this module, which leave nothing behind."""
    limits = wasi_udf.ResourceLimits(timeout_seconds=30.0)
    with wasi_udf.Sandbox(limits=limits).install(con) as installed:
        yield installed


@pytest.mark.parametrize("code", DERIVED)
def test_keys_are_those_of_openssl(con, sandbox, code):
    found = con.execute("SELECT py_udf_varchar($1, 1)", [f"import hashlib\nlambda x: ({code}).hex()"]).fetchall()
    assert found == [(eval(code).hex(),)]


@pytest.mark.parametrize(
    "code",
    [
        "hashlib.pbkdf2_hmac('sha256', b'a', b's', 0)",
        "hashlib.pbkdf2_hmac('sha256', b'a', b's', -1)",
        "hashlib.pbkdf2_hmac('sha256', b'a', b's', 1, 0)",
        "hashlib.pbkdf2_hmac('none', b'a', b's', 1)",
        "hashlib.pbkdf2_hmac('sha256', 'text', b's', 1)",
        "hashlib.pbkdf2_hmac(5, b'a', b's', 1)",
        "hashlib.pbkdf2_hmac('sha256', b'a', b's', 1.5)",
        "hashlib.scrypt(b'a')",
        "hashlib.scrypt(b'a', salt=b's', n=3, r=1, p=1)",
        "hashlib.scrypt(b'a', salt=b's', n=1, r=1, p=1)",
        "hashlib.scrypt(b'a', salt=b's', n=16, r=0, p=1)",
        "hashlib.scrypt(b'a', salt=b's', n=2**20, r=8, p=1)",
        "hashlib.scrypt(b'a', salt=b's', n=16, r=1, p=1, dklen=0)",
        "hashlib.scrypt('a', salt=b's', n=16, r=1, p=1)",
    ],
)
def test_what_openssl_refuses_is_refused(failing, code):
    with pytest.raises((ValueError, TypeError)) as raised:
        eval(code)
    error = failing("SELECT py_udf($1, 1)", [f"import hashlib\nlambda x: {code}"])
    assert error.type_name in {"ValueError", "TypeError"}
    assert error.type_name == type(raised.value).__name__ or "none" in code


def test_scrypt_with_more_memory_than_there_is_ends_in_an_error(failing):
    code = "import hashlib\nlambda x: hashlib.scrypt(b'a', salt=b's', n=2**22, r=8, p=1, maxmem=2**31 - 1)"
    with pytest.raises(ValueError):  # noqa: PT011 - OpenSSL's words; more than maxmem
        hashlib.scrypt(b"a", salt=b"s", n=2**22, r=8, p=1, maxmem=2**31 - 1)
    assert failing("SELECT py_udf($1, 1)", [code]).type_name == "ValueError"


def test_the_host_has_a_name(con, sandbox):
    code = "import email.utils, json, socket\n"
    code += "lambda x: json.dumps([socket.gethostname(), socket.getfqdn(), email.utils.make_msgid()])"
    name, full, message_id = json.loads(con.execute("SELECT py_udf_varchar($1, 1)", [code]).fetchall()[0][0])
    assert (name, full) == ("localhost", "localhost")
    assert message_id.endswith("@localhost>")


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("socket.socket()", "OSError"),
        ("socket.socketpair()", "OSError"),
        ("socket.create_connection(('example.org', 80))", "gaierror"),
        ("socket.getaddrinfo('localhost', 80)", "gaierror"),
        ("socket.gethostbyname('localhost')", "gaierror"),
        ("urllib.request.urlopen('http://example.org')", "URLError"),
        ("http.client.HTTPConnection('example.org').connect()", "gaierror"),
    ],
)
def test_every_way_out_says_that_there_is_no_network(failing, call, error):
    raised = failing("SELECT py_udf($1, 1)", [f"import http.client, socket, urllib.request\nlambda x: {call}"])
    assert raised.type_name == error
    assert "the sandbox has no network" in str(raised)
