"""Requests by the host: against a server on the loopback address that misbehaves, and name servers that lie."""

import asyncio
import contextlib
import gzip
import http.server
import socket
import ssl
import subprocess
import threading
import zlib

import pyarrow as pa
import pytest

from hostfuncs import http as hostfuncs_http
from tests.support.servers import free_port


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, port=0):
        super().__init__(("127.0.0.1", port), _Handler)
        self.origin = f"http://127.0.0.1:{self.server_address[1]}"
        self.requests = []  # method, path, headers and body of each
        self.lock = threading.Lock()
        self.running = self.most_running = 0
        self.ended = threading.Event()

    def handle_error(self, request, client_address):
        """Clients that go away are what is tested."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, body=b"", status=200, **headers):
        self.send_response(status)
        for name, value in {"content_length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def handle_any(self):
        server = self.server
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        path, _, query = self.path.partition("?")
        with server.lock:
            server.requests.append((self.command, self.path, dict(self.headers.items()), body))
            count = sum(asked == self.path for _, asked, *_ in server.requests)
            server.running += 1
            server.most_running = max(server.most_running, server.running)
        try:
            getattr(self, "path_" + path.strip("/").replace("-", "_"), self.path_)(query, body, count)
        finally:
            with server.lock:
                server.running -= 1

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815 - as the base class calls them

    def path_(self, query, body, count):
        self.answer(f"{self.command} {self.path} {body.decode()}".encode())

    def path_text(self, query, body, count):
        self.answer("größe".encode("latin-1"), content_type="text/plain; charset=iso-8859-1")

    def path_punycode(self, query, body, count):
        self.answer(b"x-" * 10, content_type="text/plain; charset=punycode")

    def path_bytes(self, query, body, count):
        self.answer(b"\xff\xfe")

    def path_status(self, query, body, count):
        self.answer(b"status", int(query))

    def path_fails_twice(self, query, body, count):
        self.answer(str(count).encode(), 503 if count < 3 else 200)

    def path_hangs_up_twice(self, query, body, count):
        if count >= 3:
            self.answer(str(count).encode())
        self.close_connection = True

    def path_silent(self, query, body, count):
        self.server.ended.wait(20)

    def path_drips_headers(self, query, body, count):
        with contextlib.suppress(OSError):
            for byte in b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1000:
                self.wfile.write(bytes([byte]))
                if self.server.ended.wait(0.05):
                    break

    def path_drips(self, query, body, count):
        self.send_response(200)
        self.send_header("content-length", "1000")
        self.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(1000):
                self.wfile.write(b"x")
                if self.server.ended.wait(0.05):
                    break

    def path_huge(self, query, body, count):
        self.send_response(200)
        self.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(1000):
                self.wfile.write(b"x" * 2**20)

    def path_truncated(self, query, body, count):
        self.answer(b"only this", content_length="1000")
        self.close_connection = True

    def path_garbage(self, query, body, count):
        self.wfile.write(b"\x00\x01 no http\r\n\r\n")
        self.close_connection = True

    def path_gzip(self, query, body, count):
        self.answer(gzip.compress(b"zipped " * 100), content_encoding="gzip")

    def path_deflate(self, query, body, count):
        self.answer(zlib.compress(b"deflated"), content_encoding="deflate")

    def path_cut_gzip(self, query, body, count):
        self.answer(gzip.compress(b"zipped " * 100)[:-12], content_encoding="gzip")

    def path_bomb(self, query, body, count):
        self.answer(gzip.compress(bytes(2**27)), content_encoding="gzip")

    def path_brotli(self, query, body, count):
        self.answer(b"\x8b\x00\x80x\x03", content_encoding="br")

    def path_redirect(self, query, body, count):
        self.answer(status=302, location=query)

    def path_loop(self, query, body, count):
        self.answer(status=302, location="/loop")

    def path_cookie(self, query, body, count):
        self.answer(self.headers.get("cookie", "none").encode(), set_cookie="a=secret; Path=/")

    def path_slow(self, query, body, count):
        self.server.ended.wait(0.15)
        self.answer(query.encode())


@contextlib.contextmanager
def running(server):
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.ended.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def server():
    with running(_Server()) as started:
        yield started


@pytest.fixture
def get(server):
    """One GET at a path of the server; its answer."""

    def run(path, *, origins=None, **options):
        options = {"retries": 0, **options}
        (answer,) = ask(hostfuncs_http.fetch(origins or [server.origin], **options), [server.origin + path])
        return answer

    return run


def ask(fetch, *columns):
    types = [pa.string(), pa.string(), pa.binary()]
    arrays = [pa.array(column, data_type) for column, data_type in zip(columns, types, strict=False)]
    return fetch(*arrays).to_pylist()


def test_an_answer_has_status_and_body(get):
    assert get("/x?y=1") == {"status": 200, "body": b"GET /x?y=1 ", "error": None}
    assert get("/status?404") == {"status": 404, "body": b"status", "error": None}
    assert get("/gzip")["body"] == b"zipped " * 100
    assert get("/deflate")["body"] == b"deflated"


def test_method_and_body_may_be_left_out_or_null(server):
    fetch = hostfuncs_http.fetch([server.origin], ["POST", "GET", "HEAD"])
    assert [str(one) for one in fetch.parameters] == ["VARCHAR", "VARCHAR", "BLOB"]
    assert fetch.return_type == "STRUCT(status INTEGER, body BLOB, error VARCHAR)"
    urls = [f"{server.origin}/{i}" for i in range(3)]
    answers = ask(fetch, [*urls, None], ["get", None, "HEAD", "GET"], [None, b"sent", None, None])
    assert [answer and answer["body"] for answer in answers] == [b"GET /0 ", b"POST /1 sent", b"", None]
    assert ask(fetch, urls[:1])[0]["body"] == b"POST /0 "


def test_bodies_may_be_text(server):
    fetch = hostfuncs_http.fetch([server.origin], body_type="VARCHAR")
    answers = ask(fetch, [f"{server.origin}/{path}" for path in ("text", "bytes", "punycode")])
    no_text = {"status": None, "body": None, "error": "the body is not text"}
    assert answers == [{"status": 200, "body": "größe", "error": None}, no_text, no_text]
    with pytest.raises(ValueError, match="body_type must be"):
        hostfuncs_http.fetch([server.origin], body_type="JSON")


@pytest.mark.parametrize("size", [0, 1, 100])
def test_a_batch_runs_at_the_same_time_within_its_concurrency(server, size):
    fetch = hostfuncs_http.fetch([server.origin], concurrency=4)
    answers = ask(fetch, [f"{server.origin}/{i}" for i in range(size)])
    assert [answer["body"] for answer in answers] == [f"GET /{i} ".encode() for i in range(size)]
    ask(fetch, [f"{server.origin}/slow?{i}" for i in range(8)])
    assert server.most_running == 4


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://127.0.0.1:1/", "the origin http://127.0.0.1:1 is not allowed"),
        ("http://localhost/", "the origin http://localhost:80 is not allowed"),
        ("https://{host}/", "the origin https://{host} is not allowed"),
        ("http://user:secret@{host}/", "urls with a user or password aren't allowed"),
        ("http://{host}@example.com/", "urls with a user or password aren't allowed"),
        ("http://{host}.example.com/", "the url is malformed"),
        ("http://[::1]/", "the origin http://::1:80 is not allowed"),
        ("http://2130706433/", "the origin http://2130706433:80 is not allowed"),
        ("file:///etc/passwd", "the url is malformed"),
        ("/relative", "the url is malformed"),
        ("", "the url is malformed"),
        ("http://", "the url is malformed"),
        ("http://{host}/" + "x" * 70_000, "the url is malformed"),
        ("http://a\nb/", "the url is malformed"),
    ],
)
def test_other_origins_and_odd_urls_are_not_reached(server, url, error):
    host = server.origin.removeprefix("http://")
    (answer,) = ask(hostfuncs_http.fetch([server.origin], retries=0), [url.replace("{host}", host)])
    assert answer == {"status": None, "body": None, "error": error.replace("{host}", host)}
    assert not server.requests


def test_other_methods_are_not_used(server):
    fetch = hostfuncs_http.fetch([server.origin])
    assert ask(fetch, [server.origin], ["DELETE"])[0]["error"] == "the method DELETE is not allowed"
    assert not server.requests


def test_redirects_are_followed_on_the_list_only(server, get):
    with running(_Server()) as other:
        on_the_list = [server.origin, other.origin]
        assert get(f"/redirect?{other.origin}/there", origins=on_the_list)["body"] == b"GET /there "
        assert get(f"/redirect?{other.origin}/there")["error"] == f"the origin {other.origin} is not allowed"
        assert [path for _, path, *_ in other.requests] == ["/there"]
    assert get("/redirect?file:///etc/passwd")["error"] == "the url is malformed"
    assert get("/redirect?//localhost/x")["error"] == "the origin http://localhost:80 is not allowed"
    assert get("/loop", redirects=3)["error"] == "more than 3 redirects"
    assert get("/redirect?/x", redirects=0)["error"] == "more than 0 redirects"


def test_headers_go_to_their_origin_alone(server, get):
    with running(_Server()) as other:
        origins = {server.origin: {"X-Key": "secret"}, other.origin: {}}
        assert get(f"/redirect?{other.origin}/", origins=origins)["status"] == 200
        assert server.requests[0][2]["X-Key"] == "secret"
        assert "X-Key" not in other.requests[0][2]


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/silent", "no answer within 0.4 s"),
        ("/drips", "no answer within 0.4 s"),
        ("/drips-headers", "no answer within 0.4 s"),
        ("/huge", "the body is larger than 100000 bytes"),
        ("/bomb", "the body is larger than 100000 bytes"),
        ("/truncated", "the answer is malformed or broke off"),
        ("/cut-gzip", "the answer is malformed or broke off"),
        ("/garbage", "the answer is malformed or broke off"),
        ("/brotli", "the body is compressed in a way that wasn't asked for"),
    ],
)
def test_servers_that_misbehave_are_errors(get, path, error):
    seconds = 0.4 if "0.4" in error else 10
    answer = get(path, request_seconds=seconds, response_bytes=100_000)
    assert answer == {"status": None, "body": None, "error": error}


def test_a_server_that_is_not_there_is_an_error():
    origin = f"http://127.0.0.1:{free_port()}"
    assert ask(hostfuncs_http.fetch([origin], retries=0), [origin]) == [
        {"status": None, "body": None, "error": "no connection"}
    ]


def test_the_bodies_of_a_batch_are_limited_together(server):
    fetch = hostfuncs_http.fetch([server.origin], batch_bytes=25, concurrency=1)
    answers = ask(fetch, [f"{server.origin}/{'x' * 8}" for _ in range(4)])
    assert [answer["error"] for answer in answers] == [
        None,
        None,
        *["the bodies of the batch are more than 25 bytes"] * 2,
    ]
    assert len(server.requests) == 2


def test_a_batch_ends_in_time(server):
    fetch = hostfuncs_http.fetch([server.origin], batch_seconds=0.4, concurrency=2)
    answers = ask(fetch, [server.origin, f"{server.origin}/silent", None, f"{server.origin}/silent", server.origin])
    late = {"status": None, "body": None, "error": "the batch took more than 0.4 s"}
    assert answers[0]["status"] == 200
    assert answers[1:] == [late, None, late, late]


def test_what_failed_is_tried_again_where_the_method_allows(server, get):
    fast = {"retries": 2, "backoff_seconds": 0.01}
    assert get("/fails-twice", **fast) == {"status": 200, "body": b"3", "error": None}
    assert get("/hangs-up-twice", **fast) == {"status": 200, "body": b"3", "error": None}
    assert get("/status?503", **fast)["status"] == 503
    post = hostfuncs_http.fetch([server.origin], ["POST"], **fast)
    assert ask(post, [f"{server.origin}/status?502"])[0]["status"] == 502
    paths = [path for _, path, *_ in server.requests]
    assert [paths.count(f"/status?{status}") for status in (503, 502)] == [3, 1]


def test_retries_end_with_the_time_of_the_request(get):
    assert get("/fails-twice", retries=2, backoff_seconds=60, request_seconds=0.3)["error"] == "no answer within 0.3 s"


def test_cookies_are_not_kept(server):
    fetch = hostfuncs_http.fetch([server.origin], concurrency=1)
    answers = ask(fetch, [f"{server.origin}/cookie"] * 2)
    assert [answer["body"] for answer in answers] == [b"none", b"none"]


def test_proxies_and_passwords_of_the_environment_are_not_used(get, server, monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert get("/x")["status"] == 200
    assert "authorization" not in {name.lower() for name in server.requests[0][2]}


@pytest.fixture
def names(monkeypatch):
    """What the name server says, one list of addresses for each time it is asked, the last one for ever; who asked."""
    said, asked = [], []
    real = socket.getaddrinfo

    def resolve(host, port, *args, **options):
        if not str(host).endswith(".test"):
            return real(host, port, *args, **options)
        asked.append(host)
        addresses = said[min(len(asked), len(said)) - 1]
        return [found for address in addresses for found in real(address, port, type=socket.SOCK_STREAM)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return said, asked


PRIVATE = [
    "127.0.0.1",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "255.255.255.255",
    "224.0.0.1",
    "::1",
    "::",
    "fe80::1",
    "fd00::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "2002:7f00:1::",
    "64:ff9b::7f00:1",
    "64:ff9b:1::7f00:1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_names_do_not_lead_to_private_addresses(names, address):
    names[0].append([address])
    fetch = hostfuncs_http.fetch(["http://inside.test"], retries=0, request_seconds=2)
    assert ask(fetch, ["http://inside.test/"])[0]["error"] == "the host has no public address"


def test_networks_on_the_list_are_reached_and_no_others(names, server):
    port = server.server_address[1]
    names[0].append(["10.0.0.1", "127.0.0.1"])
    origin = f"http://inside.test:{port}"
    fetch = hostfuncs_http.fetch([origin], private_networks=["127.0.0.0/8"], retries=0)
    assert ask(fetch, [f"{origin}/x"])[0]["body"] == b"GET /x "
    assert server.requests[0][2]["Host"] == f"inside.test:{port}"


def test_the_address_that_was_checked_is_the_one_connected_to(names, server):
    """DNS rebinding: a second question would be answered with the loopback address."""
    port = server.server_address[1]
    names[0].extend([["127.0.0.1"], ["127.0.0.2"]])
    fetch = hostfuncs_http.fetch([f"http://inside.test:{port}"], private_networks=["127.0.0.1/32"], retries=0)
    assert ask(fetch, [f"http://inside.test:{port}/x"])[0]["status"] == 200
    assert len(names[1]) == 1
    assert ask(fetch, [f"http://inside.test:{port}/x"])[0]["error"] == "the host has no public address"


def test_redirects_are_resolved_and_checked_too(names, server):
    port = server.server_address[1]
    names[0].append(["127.0.0.1"])
    listed = [server.origin, f"http://inside.test:{port}"]
    fetch = hostfuncs_http.fetch(listed, retries=0)
    url = f"{server.origin}/redirect?http://inside.test:{port}/there"
    assert ask(fetch, [url])[0]["error"] == "the host has no public address"
    assert len(server.requests) == 1


def test_a_name_that_is_not_known_is_no_connection(monkeypatch):
    def resolve(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert ask(hostfuncs_http.fetch(["http://no.test"], retries=0), ["http://no.test/"])[0]["error"] == "no connection"


def test_a_silent_name_server_takes_the_time_of_the_request(monkeypatch):
    ended, answered = threading.Event(), []

    def resolve(*_, **__):
        answered.append(ended.wait(20))
        return []

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    fetch = hostfuncs_http.fetch(["http://no.test"], retries=0, request_seconds=0.2)
    assert ask(fetch, ["http://no.test/"])[0]["error"] == "no answer within 0.2 s"
    assert not answered
    ended.set()


def test_certificates_are_checked_against_the_name(names, tmp_path, monkeypatch):
    made = subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-keyout",
            "key",
            "-out",
            "cert",
            "-subj",
            "/CN=good.test",
            "-addext",
            "subjectAltName=DNS:good.test",
        ],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip("openssl, which makes the certificate, is not installed")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert"))
    names[0].append(["127.0.0.1"])
    secure = _Server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    secure.socket = context.wrap_socket(secure.socket, server_side=True)
    with running(secure):
        origins = [f"https://{name}.test:{secure.server_address[1]}" for name in ("good", "bad")]
        fetch = hostfuncs_http.fetch(origins, private_networks=["127.0.0.0/8"], retries=0, concurrency=1)
        answers = ask(fetch, [f"{origin}/x" for origin in origins])
    assert [answer["body"] for answer in answers] == [b"GET /x ", None]
    assert answers[1]["error"] == "no connection"


def test_it_works_under_an_event_loop_and_from_many_threads(server):
    fetch = hostfuncs_http.fetch([server.origin])

    async def inside():
        return ask(fetch, [server.origin])

    assert asyncio.run(inside())[0]["status"] == 200
    answers = []
    threads = [threading.Thread(target=lambda: answers.extend(ask(fetch, [server.origin] * 5))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer["status"] for answer in answers] == [200] * 20


@pytest.mark.parametrize(
    "origin", ["example.com", "ftp://example.com", "http://example.com/path", "http://", "http://a@b"]
)
def test_what_is_no_origin_is_refused(origin):
    with pytest.raises(ValueError, match="an origin is a scheme, a host and a port"):
        hostfuncs_http.fetch([origin])


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="methods: at least one"):
        hostfuncs_http.fetch(["http://a"], [])
    with pytest.raises(ValueError, match=r"10\.0\.0\.1/8"):
        hostfuncs_http.fetch(["http://a"], private_networks=["10.0.0.1/8"])
    with pytest.raises(ValueError, match="have to be positive"):
        hostfuncs_http.fetch(["http://a"], concurrency=0)
