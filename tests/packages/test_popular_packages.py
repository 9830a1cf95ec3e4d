"""Popular packages in pure Python do the same in a query as on the host."""

import datetime as dt

import duckdb
import pytest

import duckdb_wasi_udf as wasi_udf

REQUIREMENTS = [
    "fastjsonschema",
    "jinja2>=3",
    "phonenumbers",
    "pyparsing",
    "python-dateutil",
    "python-slugify",
    "sqlglot",
    "textdistance",
    "tzdata",
    "unidecode",
    "webcolors",
]

# What each does, and what it is asked to; exceptions are results too.
JOBS = {
    "fastjsonschema": (
        """
        import fastjsonschema, json
        check = fastjsonschema.compile({
            "type": "object",
            "properties": {"age": {"type": "integer", "minimum": 0}, "mail": {"type": "string", "format": "email"}},
            "required": ["age"],
        })
        def job(text):
            return json.dumps(check(json.loads(text)))
        """,
        [
            '{"age": 3}',
            '{"age": -1}',
            '{"age": "x"}',
            "{}",
            '{"age": 1, "mail": "a@b.example"}',
            '{"age": 1, "mail": 2}',
        ],
    ),
    "jinja2": (
        """
        import jinja2
        environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
        def job(text):
            template = environment.from_string(text)
            return template.render(name="<Ada & Ünï>", items=[{"n": i, "even": i % 2 == 0} for i in range(5)])
        """,
        [
            "Hello {{ name }}!",
            "{% for i in items if i.even %}{{ loop.index }}:{{ i.n }}{% if not loop.last %}, {% endif %}{% endfor %}",
            "{{ items|map(attribute='n')|sum }} {{ name|upper }} {{ '%05.2f'|format(3.14159) }}",
            "{% macro m(x) %}[{{ x }}]{% endmacro %}{{ m(name) }}",
            "{{ missing }}",
            "{% nonsense %}",
        ],
    ),
    "phonenumbers": (
        """
        import phonenumbers
        def job(text):
            number = phonenumbers.parse(text, "DE")
            formats = [phonenumbers.format_number(number, form) for form in (0, 1, 2, 3)]
            return f"{phonenumbers.is_valid_number(number)} {phonenumbers.number_type(number)} {formats}"
        """,
        ["030 123456", "+1 650-253-0000", "+33 1 09 75 83 51", "0170 1234567", "not a number", "", "+999 1234"],
    ),
    "pyparsing": (
        """
        import pyparsing as pp
        number = pp.common.number()
        sign = [(pp.one_of("* /"), 2, pp.OpAssoc.LEFT), (pp.one_of("+ -"), 2, pp.OpAssoc.LEFT)]
        expression = pp.infix_notation(number, sign)
        def job(text):
            return repr(expression.parse_string(text, parse_all=True).as_list())
        """,
        ["1 + 2 * 3", "(1 + 2) * 3.5", "1 - 2 - 3", "1 +", "x"],
    ),
    "dateutil": (
        """
        from datetime import datetime
        from dateutil import parser, relativedelta, rrule
        def job(text):
            start = parser.parse(text, default=datetime(2024, 1, 31))
            later = start + relativedelta.relativedelta(months=1, weekday=relativedelta.FR(-1))
            days = [day.isoformat() for day in rrule.rrule(rrule.MONTHLY, count=3, dtstart=start, bymonthday=-1)]
            return f"{start.isoformat()} {later.isoformat()} {days}"
        """,
        ["Thu Sep 25 10:36:28 2003", "2024-01-31", "10:30 pm", "3rd of May 2001", "20240229T101112", "no date"],
    ),
    "slugify": (
        """
        from slugify import slugify
        def job(text):
            return slugify(text) + "|" + slugify(text, separator="_", max_length=12, word_boundary=True)
        """,
        ["Ünïcode Straße & more ☃", "  Hello,   World!  ", "影師嗎", "", "10 | 20 %", "x" * 100],
    ),
    "sqlglot": (
        """
        import sqlglot
        from sqlglot.optimizer import optimize
        def job(text):
            statement = sqlglot.parse_one(text, read="duckdb")
            tables = sorted(table.name for table in statement.find_all(sqlglot.exp.Table))
            return f"{statement.sql(dialect='postgres')} {optimize(statement).sql()} {tables}"
        """,
        [
            "SELECT a, epoch_ms(b) FROM t WHERE list_contains(c, 2)",
            "SELECT a FROM (SELECT a FROM t) u WHERE a > 1 + 2 AND a > 1 + 2",
            "FROM t",
            "SELECT FROM WHERE",
        ],
    ),
    "textdistance": (
        """
        import textdistance
        measures = ["hamming", "levenshtein", "damerau_levenshtein", "jaro_winkler", "jaccard", "cosine", "lcsseq"]
        def job(text):
            return repr([getattr(textdistance, name)(text, "banana") for name in measures])
        """,
        ["banana", "bananas", "abanan", "", "ünïcode"],
    ),
    "tzdata": (
        """
        from datetime import datetime, timezone
        from zoneinfo import ZoneInfo
        def job(text):
            return datetime(2024, 7, 1, 12, tzinfo=timezone.utc).astimezone(ZoneInfo(text)).strftime("%c %z %Z")
        """,
        ["Europe/Berlin", "America/New_York", "Asia/Kathmandu", "UTC", "Atlantis/Capital"],
    ),
    "unidecode": (
        """
        from unidecode import unidecode
        def job(text):
            return unidecode(text)
        """,
        ["北京", "Ünïcode Straße", "Привет", "", "\\U0001d4d0 ☃"],
    ),
    "webcolors": (
        """
        import webcolors
        def job(text):
            return f"{webcolors.hex_to_rgb(text)} {webcolors.hex_to_name(text)}"
        """,
        ["#ff0000", "#DAA520", "#f00", "#123456", "red"],
    ),
}

OUTCOME = """
def outcome(text: str) -> str:
    try:
        return job(text)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
"""


@pytest.fixture(scope="module")
def con():
    with duckdb.connect() as con, wasi_udf.Sandbox(packages=REQUIREMENTS).install(con):
        yield con


@pytest.mark.parametrize("name", JOBS)
def test_a_package_does_in_a_query_what_it_does_on_the_host(con, name):
    source, inputs = JOBS[name]
    source = "\n".join(line.removeprefix("        ") for line in source.splitlines()) + OUTCOME
    namespace = {}
    exec(source, namespace)
    expected = [(text, namespace["outcome"](text)) for text in inputs]
    con.execute("CREATE OR REPLACE TABLE inputs AS SELECT unnest($1) AS text", [inputs])
    rows = con.execute("SELECT text, py_udf_varchar($1, text) FROM inputs", [source]).fetchall()
    assert rows == expected
    assert con.execute("SELECT py_udf_varchar($1, NULL)", [source]).fetchall() == [(None,)]


def test_a_callable_that_uses_packages_imports_them_in_the_guest(con):
    from dateutil.relativedelta import relativedelta  # noqa: PLC0415
    from slugify import slugify  # noqa: PLC0415

    sandbox = wasi_udf.Sandbox(packages=["python-slugify", "python-dateutil"])

    @sandbox.function(con)
    def titled(text: str, day: dt.date) -> str:
        return f"{slugify(text)}-{day + relativedelta(months=1)}"

    query = "SELECT titled(text, day::DATE) FROM VALUES ('Ä b', '2024-01-31'), ('C', NULL) AS t(text, day)"
    assert con.sql(query).fetchall() == [("a-b-2024-02-29",), (None,)]
    with pytest.raises(wasi_udf.GuestError, match="No module named 'slugify'"):
        wasi_udf.Sandbox().create_function(con, "nothing", "import slugify\nlambda x: x", ["INTEGER"], "INTEGER")


@pytest.mark.parametrize("isolation", ["function", "batch"])
def test_packages_are_there_for_every_kind_of_function(isolation):
    with duckdb.connect() as con:
        sandbox = wasi_udf.Sandbox(packages=["unidecode"], isolation=isolation).install(con)
        code = "from unidecode import unidecode\ndef f(text: str) -> Iterator[str]: yield from unidecode(text).split()"
        assert con.execute("FROM py_table($1, args := {'text': 'é ü'})", [code]).fetchall() == [("e",), ("u",)]
        code = "from unidecode import unidecode\nlambda texts: unidecode(''.join(texts))"
        assert con.execute("SELECT py_agg($1, list(t)) FROM VALUES ('é'), ('ü') v(t)", [code]).fetchall() == [("eu",)]
        sandbox.create_function(
            con, "plain", "from unidecode import unidecode\nlambda t: unidecode(t)", ["VARCHAR"], "VARCHAR"
        )
        query = "SELECT count(*), count(DISTINCT p) FROM (SELECT plain('é' || i % 7) AS p FROM range(5000) t(i))"
        assert con.sql(query).fetchall() == [(5000, 7)]


def test_a_deterministic_sandbox_has_packages_too():
    with duckdb.connect() as con, wasi_udf.Sandbox(packages=["webcolors"], deterministic=True).install(con):
        code = "import webcolors\nlambda name: webcolors.name_to_hex(name)"
        assert con.execute("SELECT py_udf_varchar($1, 'red')", [code]).fetchall() == [("#ff0000",)]
