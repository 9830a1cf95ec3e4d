"""Language models behind an endpoint on the loopback address that misbehaves."""

import contextlib
import datetime as dt
import email.utils
import gc
import gzip
import http.server
import json
import logging
import threading

import duckdb
import httpx
import pytest

import duckdb_wasi_udf as wasi_udf
import hostfuncs
from hostfuncs import llm
from hostfuncs.scaling import _retried
from tests.support.servers import free_port

KEY = "sk-very-secret-0123456789"


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/v1"
        self.requests = []
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self.entered = threading.Event()
        self.running = self.most_running = 0

    def handle_error(self, request, client_address):
        """Clients that go away are what is tested."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def answer(self, body, status=200, **headers):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"content_length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self):
        server = self.server
        sent = json.loads(self.rfile.read(int(self.headers["content-length"])))
        text = sent["messages"][-1]["content"] if "messages" in sent else " ".join(sent["input"])
        kind, _, rest = text.partition(":")
        with server.lock:
            server.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}, sent))
            count = sum(json.dumps(sent) == json.dumps(other) for *_, other in server.requests)
            server.running += 1
            server.most_running = max(server.most_running, server.running)
        try:
            getattr(self, f"do_{kind.replace(' ', '_')}", self.do_echo)(sent, rest, count)
        finally:
            with server.lock:
                server.running -= 1

    def chosen(self, content, *, tokens=7, **choice):
        message = {"role": "assistant", "content": content}
        self.answer({"choices": [{"message": message, **choice}], "usage": {"total_tokens": tokens}})

    def do_echo(self, sent, rest, count):
        if self.path.endswith("/embeddings"):
            items = [{"index": i, "embedding": vector(one)} for i, one in enumerate(sent["input"])]
            self.answer({"data": items[::-1], "usage": {"total_tokens": 3}})
        else:
            self.chosen(f"echo {sent['messages'][-1]['content']}")

    def do_say(self, sent, rest, count):
        self.chosen(rest)

    def do_status(self, sent, rest, count):
        code, _, times = rest.partition(",")
        if count > int(times or 10**6):
            return self.chosen("at last")
        return self.answer({"error": {"message": f"Incorrect API key: {KEY}"}}, int(code))

    def do_later(self, sent, rest, count):
        if count == 1:
            return self.answer(b"", 429, retry_after=rest)
        return self.chosen("at last")

    def do_sequence(self, sent, rest, count):
        self.chosen(rest.split("|")[count - 1])

    def do_garbage(self, sent, rest, count):
        self.answer(b"\xff<html>")

    def do_raw(self, sent, rest, count):
        self.answer(rest.encode())

    def do_half(self, sent, rest, count):
        self.answer(b'{"choices"', content_length="1000")
        self.close_connection = True

    def do_hang_up(self, sent, rest, count):
        self.close_connection = True
        self.connection.close()

    def do_slow(self, sent, rest, count):
        self.server.entered.set()
        self.server.ended.wait(60)
        self.close_connection = True

    def do_drip(self, sent, rest, count):
        self.send_response(200)
        self.send_header("content-length", "100000")
        self.end_headers()
        with contextlib.suppress(OSError):
            while not self.server.ended.wait(0.02):
                self.wfile.write(b" ")
        self.close_connection = True

    def do_large(self, sent, rest, count):
        self.answer(b" " * 2_000_000)

    def do_bomb(self, sent, rest, count):
        self.answer(gzip.compress(b" " * 50_000_000), content_encoding="gzip")

    def do_redirect(self, sent, rest, count):
        self.answer(b"", 307, location=f"http://127.0.0.1:{self.server.server_address[1]}/v1/elsewhere")

    def do_long(self, sent, rest, count):
        self.chosen("cut", finish_reason="length")

    def do_refuse(self, sent, rest, count):
        message = {"content": None, "refusal": "I can't"}
        self.answer({"choices": [{"message": message}], "usage": {"total_tokens": 2}})


def vector(text):
    return [len(text), text.count("a"), 0.5]


@pytest.fixture
def server():
    with _Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.ended.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def pauses(monkeypatch):
    seconds = []
    monkeypatch.setattr(_retried, "pause", seconds.append)
    return seconds


@pytest.fixture
def ask(server, pauses):
    """Asks one question; the answer."""

    def run(prompt, **options):
        (answer,) = llm.chat("m", KEY, base_url=server.url, **{"attempts": 3, **options})([prompt]).to_pylist()
        return answer

    return run


def test_answers_come_in_the_order_of_the_prompts(server):
    prompts = [None if i % 5 == 0 else f"question {i} ü🦆" for i in range(50)]
    function = llm.chat("small", KEY, base_url=server.url, at_once=16)
    expected = [
        None if prompt is None else {"answer": f"echo {prompt}", "tokens": 7, "error": None} for prompt in prompts
    ]
    assert function(prompts).to_pylist() == expected
    assert function([]).to_pylist() == []
    assert len(server.requests) == 40


def test_requests_have_the_form_of_the_api(server, ask):
    ask("x", system="be short", answer_tokens=9, body={"temperature": 0, "n": None}, headers={"x-team": "a"})
    ((path, headers, sent),) = server.requests
    assert path == "/v1/chat/completions"
    assert headers["authorization"] == f"Bearer {KEY}"
    assert (headers["x-team"], headers["content-type"]) == ("a", "application/json")
    messages = [{"role": "system", "content": "be short"}, {"role": "user", "content": "x"}]
    assert sent == {"model": "m", "messages": messages, "max_tokens": 9, "temperature": 0}


def test_the_key_may_come_from_a_function_or_not_at_all(server):
    keys = iter(["one-1234567", "two-1234567"])
    function = llm.chat("m", lambda: next(keys), base_url=server.url, at_once=1)
    function(["a", "b"])
    llm.chat("m", base_url=server.url)(["c"])
    sent = [headers.get("authorization") for _, headers, _ in server.requests]
    assert sent == ["Bearer one-1234567", "Bearer two-1234567", None]


@pytest.mark.parametrize(
    ("prompt", "error", "requests"),
    [
        ("status:500", "the service answered with status 500", 3),
        ("status:503", "the service answered with status 503", 3),
        ("status:429", "the service answered with status 429", 3),
        ("status:529", "the service answered with status 529", 3),
        ("status:400", "the service answered with status 400", 1),
        ("status:401", "the service answered with status 401", 1),
        ("status:404", "the service answered with status 404", 1),
        ("redirect:", "the service answered with status 307", 1),
        ("garbage:", "the answer of the service is not JSON", 3),
        ("raw:[1]", "the answer of the service is no object", 3),
        ("raw:" + "[" * 100_000, "the answer of the service is not JSON", 3),
        ("raw:{}", "the service answered without a choice", 3),
        ('raw:{"choices": []}', "the service answered without a choice", 3),
        ('raw:{"choices": [5]}', "the service answered without a choice", 3),
        ('raw:{"choices": [{"message": {"content": [1]}}]}', "the service answered without text", 3),
        ("half:", "the answer of the service broke off", 3),
        ("hang up:", "the answer of the service broke off", 3),
        ("large:", "the answer of the service is larger than 1048576 bytes", 1),
        ("bomb:", "the answer of the service is larger than 1048576 bytes", 1),
        ("refuse:", "the model refused to answer", 1),
    ],
)
def test_what_goes_wrong_is_the_error_of_its_row(server, ask, prompt, error, requests):
    found = ask(prompt, prompt_characters=10**6, budget=10**9)
    assert found == {"answer": None, "tokens": None, "error": error}
    assert len(server.requests) == requests


@pytest.mark.parametrize("prompt", ["slow:", "drip:"])
def test_a_slow_answer_has_a_timeout(server, ask, prompt):
    found = ask(prompt, request_seconds=0.2, attempts=2)
    assert found["error"] == "the service gave no answer within 0.2 s"
    assert len(server.requests) == 2


def test_a_server_that_is_not_there_is_an_error_of_each_row(pauses):
    function = llm.chat("m", base_url=f"http://127.0.0.1:{free_port()}", attempts=2, budget=10_000)
    assert [row["error"] for row in function(["a", "b"]).to_pylist()] == ["no connection to the service"] * 2


def test_a_busy_service_is_asked_again(server, ask, pauses):
    assert ask("status:503,2")["answer"] == "at last"
    assert len(pauses) == 2
    assert ask("later:17")["answer"] == "at last"
    assert pauses[-1] == 17
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    assert ask(f"later:{email.utils.format_datetime(soon, usegmt=True)}", request_seconds=3600)["answer"] == "at last"
    assert 2 < pauses[-1] <= 3600
    for nothing in (
        "Wed, 21 Oct 2015 07:28:00 GMT",
        "Wed, 21 Oct 2015 07:28:00 -0000",
        "soon",
        "nan",
        "-3",
        "1e999",
        "",
    ):
        assert ask(f"later:{nothing}")["answer"] == "at last"
        assert pauses[-1] < 2


def test_neither_key_nor_words_of_the_service_reach_the_guest(server, con, caplog, pauses):
    with wasi_udf.Sandbox(host_functions=[llm.chat("m", KEY, base_url=server.url)]).install(con) as sandbox:
        code = "import host\nasync def f(p): return f'{await host.chat(p)} {dir(host.chat)} {host.chat.__doc__}'"
        with caplog.at_level(logging.WARNING):
            ((text,),) = con.execute(
                "SELECT py_udf_varchar($1, p) FROM (VALUES ('status:401')) t(p)", [code]
            ).fetchall()
        assert "status 401" in text
        assert KEY not in text
        assert "Incorrect" not in text
        assert sandbox.audit()[0].outcome == "ok"
    assert "Incorrect API key: ***" in caplog.text
    assert KEY not in caplog.text


# ---- structured output -----------------------------------------------------------------------------------------------

STRUCT = "STRUCT(topic VARCHAR, score DOUBLE, tags VARCHAR[], day DATE)"
GOOD = {"topic": "ü", "score": 1, "tags": ["a", None], "day": "2024-02-29"}


@pytest.mark.parametrize("around", ["{}", "```json\n{}\n```", "  {}\n"])
def test_structured_answers_become_values(server, con, ask, around):
    text = around.replace("{}", json.dumps(GOOD))
    found = ask(f"say:{text}", answer_type=STRUCT)
    ((expected,),) = con.execute(f"SELECT $1::JSON::{STRUCT}", [json.dumps(GOOD)]).fetchall()
    assert found == {"answer": expected, "tokens": 7, "error": None}
    schema = server.requests[0][2]["response_format"]["json_schema"]["schema"]
    assert schema["required"] == ["topic", "score", "tags", "day"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["score"] == {"type": ["number", "null"]}


@pytest.mark.parametrize(
    ("answer_type", "text", "expected"),
    [
        ("BIGINT", '{"answer": 5}', 5),
        ("BOOLEAN", '{"answer": true}', True),
        ("VARCHAR[]", '{"answer": ["a", "b"]}', ["a", "b"]),
        ("DECIMAL(5,2)", '{"answer": 1.25}', __import__("decimal").Decimal("1.25")),
        ("JSON", '{"a": [1, null]}', '{"a": [1, null]}'),
        ("VARCHAR", '{"a": 1}', '{"a": 1}'),
    ],
)
def test_other_types_are_asked_for_in_an_object(ask, answer_type, text, expected):
    assert ask(f"say:{text}", answer_type=answer_type)["answer"] == expected


@pytest.mark.parametrize(
    "text",
    [
        "no JSON",
        "[]",
        "{}",
        '{"topic": "x"}',
        json.dumps(GOOD | {"score": "high"}),
        json.dumps(GOOD | {"score": float("nan")}),
        json.dumps(GOOD | {"tags": "a"}),
        json.dumps(GOOD | {"day": "yesterday"}),
        "[" * 10_000,
    ],
)
def test_an_answer_of_another_form_is_asked_for_again(server, ask, text):
    found = ask(f"say:{text}", answer_type=STRUCT)
    assert found["error"].startswith("the answer is no")
    assert len(server.requests) == 3
    server.requests.clear()
    found = ask(f"sequence:{text}|{json.dumps(GOOD)}", answer_type=STRUCT)
    assert (found["answer"]["topic"], found["error"]) == ("ü", None)


CHOICES = "STRUCT(topic ENUM('spam', 'it''s ham'), tags ENUM('a', 'b')[], inside STRUCT(mood ENUM('ü'))[])"


def test_answers_have_the_labels_of_an_enum(server, ask):
    good = {"topic": "it's ham", "tags": ["b", None], "inside": [{"mood": "ü"}, None]}
    assert ask(f"say:{json.dumps(good)}", answer_type=CHOICES) == {"answer": good, "tokens": 7, "error": None}
    schema = server.requests[0][2]["response_format"]["json_schema"]["schema"]["properties"]
    assert schema["topic"] == {"type": ["string", "null"], "enum": ["spam", "it's ham", None]}
    assert schema["tags"]["items"]["enum"] == ["a", "b", None]
    assert schema["inside"]["items"]["properties"]["mood"]["enum"] == ["ü", None]
    assert ask('say:{"answer": "x"}', answer_type="ENUM('x', 'y')")["answer"] == "x"
    wrapped = server.requests[-1][2]["response_format"]["json_schema"]["schema"]["properties"]
    assert wrapped == {"answer": {"type": "string", "enum": ["x", "y"]}}
    for change, label in (({"topic": "eggs"}, "eggs"), ({"tags": ["a", "c"]}, "c"), ({"inside": [{"mood": "o"}]}, "o")):
        found = ask(f"say:{json.dumps(good | change)}", answer_type=CHOICES)
        assert found["answer"] is None
        assert f"{label!r} is none of " in found["error"]
    assert "is no string" in ask(f"say:{json.dumps(good | {'topic': 5})}", answer_type=CHOICES)["error"]


def test_an_answer_that_was_cut_off_says_so(ask):
    assert ask("long:") == {"answer": "cut", "tokens": 7, "error": "the answer was cut off at its most tokens"}
    assert ask("long:", answer_type="BIGINT")["answer"] is None


# ---- limits ----------------------------------------------------------------------------------------------------------


def test_a_budget_ends_what_is_asked(server):
    budget = llm.Budget(100)
    function = llm.chat("m", base_url=server.url, budget=budget, answer_tokens=40, at_once=1)
    found = function([f"q{i}" for i in range(20)]).to_pylist()
    made = [row["answer"] for row in found if row["answer"]]
    assert len(made) == len(server.requests) == 7  # of 7 tokens each, as long as 52 could be set aside
    assert {row["error"] for row in found if not row["answer"]} == {"the budget of 100 tokens is spent"}
    assert budget.spent == 49
    other = llm.chat("m", base_url=server.url, budget=budget, answer_tokens=5)
    assert other(["short"]).to_pylist()[0]["error"] is None
    assert budget.spent == 56


def test_failures_that_cost_nothing_are_not_charged(server, pauses):
    budget = llm.Budget(1000)
    llm.chat("m", base_url=server.url, budget=budget)(["status:500", "status:400"])
    assert budget.spent == 0
    llm.chat("m", base_url=server.url, budget=budget, attempts=1, answer_tokens=40)(["garbage:"])
    assert budget.spent > 40


def test_long_prompts_are_not_sent(server, ask):
    assert ask("x" * 101, prompt_characters=100)["error"] == "the prompt has more than 100 characters"
    assert server.requests == []


def test_no_more_requests_run_at_once_than_allowed(server):
    llm.chat("m", base_url=server.url, at_once=3)([f"q{i}" for i in range(60)])
    assert 1 <= server.most_running <= 3


def test_calls_and_tokens_a_minute_are_limited(server):
    limit = hostfuncs.RateLimit(1000, 60, period_seconds=0.2)
    function = llm.chat("m", base_url=server.url, limit=limit, answer_tokens=10)
    assert [row["error"] for row in function(["a", "b", "c", "d"]).to_pylist()] == [None] * 4


def test_requests_end_when_the_query_is_stopped(server, con):
    with wasi_udf.Sandbox(host_functions=[llm.chat("m", base_url=server.url)]).install(con) as sandbox:
        stopper = threading.Thread(target=lambda: server.entered.wait(30) and sandbox.cancel())
        stopper.start()
        code = "import host\nasync def f(p): return (await host.chat(p))['answer']"
        with pytest.raises(duckdb.Error):
            con.execute("SELECT py_udf_varchar($1, 'slow:' || i) FROM range(3) t(i)", [code]).fetchall()
        stopper.join()
        assert isinstance(sandbox.last_error, wasi_udf.Cancelled)
        assert [record.outcome for record in sandbox.audit()] == ["cancelled"]
        assert con.execute("SELECT py_udf_varchar($1, p) FROM (VALUES ('x')) t(p)", [code]).fetchall() == [("echo x",)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base_url": "ftp://x"}, "base_url"),
        ({"base_url": "api.openai.com"}, "base_url"),
        ({"base_url": "https://user:pass@x"}, "base_url"),
        ({"budget": 0}, "tokens must be"),
        ({"answer_tokens": 0}, "answer_tokens must be"),
        ({"at_once": 0}, "at_once must be"),
        ({"request_seconds": -1}, "request_seconds must be"),
        ({"answer_type": "MAP(VARCHAR, BIGINT)"}, "answers can't have the type"),
        ({"answer_type": "NOTHING"}, "not a type DuckDB knows"),
    ],
)
def test_settings_that_mean_nothing_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        llm.chat("m", **options)


def test_a_client_of_ones_own_is_used_and_closed(server):
    clients = []

    def make():
        clients.append(httpx.AsyncClient(headers={"user-agent": "mine"}))
        return clients[0]

    function = llm.chat("m", base_url=server.url, client=make)
    function(["a"])
    function(["b"])
    assert [headers["user-agent"] for _, headers, _ in server.requests] == ["mine"] * 2
    assert len(clients) == 1
    del function
    gc.collect()
    closed = threading.Event()
    for _ in range(500):
        if clients[0].is_closed:
            closed.set()
            break
        closed.wait(0.01)
    assert closed.is_set()


# ---- embeddings ------------------------------------------------------------------------------------------------------


def test_vectors_come_in_the_order_of_the_texts(server, con):
    function = llm.embed("m", KEY, base_url=server.url, rows=10)
    texts = [None if i % 4 == 0 else "a" * (i % 7 + 1) for i in range(45)]
    expected = [None if text is None else vector(text) for text in texts]
    assert function(texts).to_pylist() == expected
    assert len(server.requests) == 5
    assert function([None]).to_pylist() == [None]
    with wasi_udf.Sandbox(host_functions=[llm.embed("m", base_url=server.url, dimensions=3)]).install(con):
        code = "import host\nasync def f(t): return sum(await host.embed(t))"
        assert con.execute("SELECT py_udf_double($1, t) FROM (VALUES ('aab')) x(t)", [code]).fetchall() == [(5.5,)]
    assert server.requests[-1][2]["dimensions"] == 3


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        '{"data": []}',
        '{"data": [{"index": 1, "embedding": [1]}]}',
        '{"data": [{"index": 0, "embedding": ["x"]}]}',
        '{"data": [{"index": 0, "embedding": []}]}',
        '{"data": [{"index": 0, "embedding": 5}]}',
    ],
)
def test_answers_without_the_vectors_fail_or_are_null(server, pauses, body):
    with pytest.raises(Exception, match="the service answered with"):
        llm.embed("m", base_url=server.url, attempts=2)([f"raw:{body}"])
    assert len(server.requests) == 2
    assert llm.embed("m", base_url=server.url, attempts=2, errors="null")([f"raw:{body}"]).to_pylist() == [None]


def test_vectors_of_another_length_are_refused(server, pauses):
    with pytest.raises(Exception, match="another length"):
        llm.embed("m", base_url=server.url, dimensions=4)(["a"])
