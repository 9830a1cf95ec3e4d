"""From the lines of a web server's log to its visits: parsing and sessionising, both in the sandbox.

Usage: python sql/examples/access_log.py

The log is made up: 20,000 requests of 300 visitors over a day, some lines of it damaged. The same visits are computed
in plain SQL, and the two have to agree.
"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path

import duckdb

import duckdb_wasi_udf as wasi_udf

REQUESTS = 20_000
VISITORS = 300
PATHS = ("/", "/search?q=duck", "/item/17", "/item/4711", "/basket", "/static/logo.svg")

PARSE = r'''
import re
from datetime import datetime, timedelta
from typing import Iterator, NamedTuple

LINE = re.compile(r'(\S+) \S+ \S+ \[([^]]+)\] "([A-Z]+) (\S+) HTTP/[0-9.]+" (\d{3}) (\d+|-)$')


class Request(NamedTuple):
    host: str
    at: datetime
    method: str
    path: str
    status: int
    bytes: int


def parse(line: str) -> Iterator[Request]:
    """A request of the combined log format without referrer and agent; nothing for a damaged line."""
    found = LINE.match(line)
    if found:
        host, at, method, path, status, size = found.groups()
        at = datetime.strptime(at, "%d/%b/%Y:%H:%M:%S %z")
        utc = at.replace(tzinfo=None) - at.utcoffset()
        yield Request(host, utc, method, path.partition("?")[0], int(status), 0 if size == "-" else int(size))
'''

VISITS = """
from datetime import datetime, timedelta
from typing import Iterator, NamedTuple

PAUSE = timedelta(minutes=30)


class Visit(NamedTuple):
    host: str
    begun: datetime
    requests: int
    bytes: int
    last_path: str


class Visits:
    '''Requests of one host, sorted by time, as long as no pause is over half an hour.'''

    def __init__(self):
        self.visit, self.at = None, None

    def process(self, host: str, at: datetime, path: str, size: int) -> Iterator[Visit]:
        if self.visit is None or host != self.visit.host or at - self.at > PAUSE:
            yield from self.finish()
            self.visit = Visit(host, at, 0, 0, path)
        self.at = at
        self.visit = self.visit._replace(
            requests=self.visit.requests + 1, bytes=self.visit.bytes + size, last_path=path
        )

    def finish(self) -> Iterator[Visit]:
        if self.visit is not None:
            yield self.visit
"""

VISITS_IN_SQL = """
WITH marked AS (
    SELECT *, coalesce(date_diff('second', lag("at") OVER visitor, "at") > 1800, true) AS begins
    FROM requests WINDOW visitor AS (PARTITION BY host ORDER BY "at", "path", "bytes")
), numbered AS (
    SELECT *, count(*) FILTER (begins) OVER (PARTITION BY host ORDER BY "at", "path", "bytes") AS visit FROM marked
)
SELECT host, min("at") AS begun, count(*) AS requests, sum("bytes")::BIGINT AS "bytes",
    last("path" ORDER BY "at", "path", "bytes") AS last_path
FROM numbered GROUP BY host, visit ORDER BY host, begun
"""


def write_log(path: Path) -> None:
    """Return a log of one day, the same in every run."""
    chance = random.Random(20261122)  # noqa: S311 - a made-up log
    lines = []
    for second in sorted(chance.choices(range(86_400), k=REQUESTS)):
        visitor = int(chance.paretovariate(0.6)) % VISITORS
        clock = f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
        status, size = (200, chance.randrange(100, 50_000)) if chance.random() < 0.95 else (304, "-")
        line = f"10.1.{visitor // 256}.{visitor % 256} - - [22/Nov/2026:{clock} +0100] "
        line += f'"GET {chance.choice(PATHS)} HTTP/1.1" {status} {size}'
        lines.append(line if chance.random() < 0.99 else line[: chance.randrange(len(line))])
    path.write_text("\n".join(lines) + "\n")


def main() -> int:
    """Run the example; the process's exit status."""
    con = duckdb.connect()
    sandbox = wasi_udf.install(con)
    with tempfile.TemporaryDirectory() as temporary:
        log = Path(temporary, "access.log")
        write_log(log)
        con.execute(
            "CREATE TABLE lines AS SELECT unnest(string_split(trim(content, $2), $2)) AS line FROM read_text($1)",
            [str(log), "\n"],
        )
    sandbox.map_batches(con.sql("FROM lines"), PARSE).create("requests")
    (read, parsed) = con.execute("SELECT (SELECT count(*) FROM lines), (SELECT count(*) FROM requests)").fetchall()[0]
    print(f"{read:,} lines, {read - parsed:,} of them damaged")

    ordered = con.sql('SELECT host, "at", "path", "bytes" FROM requests ORDER BY host, "at", "path", "bytes"')
    visits = sandbox.map_batches(ordered, VISITS)
    found, expected = visits.fetchall(), con.sql(VISITS_IN_SQL).fetchall()
    visits.aggregate("last_path, count(*) AS visits, round(avg(requests), 1) AS requests").order("visits DESC").show()
    print(f"{len(found):,} visits, {'as' if found == expected else 'NOT as'} in plain SQL")
    return 0 if found == expected else 1


if __name__ == "__main__":
    sys.exit(main())
