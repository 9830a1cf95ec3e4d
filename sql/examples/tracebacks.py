"""Parsing logs: the log of an application, in which errors go on over many lines, made a table of its records.

Usage: python sql/examples/tracebacks.py

The log is written by Python's own `logging`, of made-up events, which the records found have to match.
"""

from __future__ import annotations

import io
import json
import logging
import random
import sys

import duckdb

import duckdb_wasi_udf as wasi_udf

EVENTS = 8_000
PRICES = {"book": 12}

RECORDS = r'''
import re
from typing import Iterator, NamedTuple

HEAD = re.compile(r"(DEBUG|INFO|WARNING|ERROR) (\S+) \[order (\d+)\] (.*)")


class Record(NamedTuple):
    level: str
    logger: str
    order: int
    message: str
    exception: str | None
    depth: int


class Records:
    """A record begins with its level; a traceback may follow, whose last line names the exception."""

    def __init__(self):
        self.record = None

    def process(self, line: str) -> Iterator[Record]:
        head = HEAD.fullmatch(line)
        if head:
            yield from self.finish()
            self.record = Record(head[1], head[2], int(head[3]), head[4], None, 0)
        elif line.startswith('  File "'):
            self.record = self.record._replace(depth=self.record.depth + 1)
        elif line and not line.startswith((" ", "Traceback ")):
            self.record = self.record._replace(exception=line.partition(":")[0])

    def finish(self) -> Iterator[Record]:
        if self.record is not None:
            yield self.record
'''


def write_log() -> tuple[str, list[tuple[str, str, int, str, str | None, int]]]:
    """Return the log's text, and the records in it."""
    chance = random.Random(20261122)  # noqa: S311 - a made-up log
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    loggers = [logging.getLogger(f"shop.{part}") for part in ("basket", "payment", "mail")]
    for logger in loggers:
        logger.handlers, logger.level, logger.propagate = [handler], logging.DEBUG, False
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s [order %(order)d] %(message)s"))
    records: list[tuple[str, str, int, str, str | None, int]] = []

    def fail(depth: int) -> object:
        if depth > 1:
            return fail(depth - 1)
        return chance.choice((lambda: PRICES["lamp"], lambda: json.loads("{"), lambda: 1 // 0))()

    for order in range(EVENTS):
        logger = loggers[chance.randrange(3)]
        name, depth, told = None, 0, {"order": order}
        if chance.random() < 0.1:
            level, message = "ERROR", "could not: stop"
            try:
                fail(chance.randrange(1, 4))
            except Exception as error:
                name = type(error).__name__
                name = f"json.decoder.{name}" if name == "JSONDecodeError" else name
                frame = error.__traceback__
                while frame is not None:
                    depth, frame = depth + 1, frame.tb_next
                logger.exception(message, extra=told)
        else:
            level = chance.choice(("INFO", "WARNING", "DEBUG"))
            message = f"item {chance.randrange(99)} \N{EURO SIGN}{chance.randrange(999)}"
            logger.log(getattr(logging, level), message, extra=told)
        records.append((level, logger.name, order, message, name, depth))
    return text.getvalue(), records


def main() -> int:
    """Run the example; the process's exit status."""
    con = duckdb.connect()
    wasi_udf.install(con)
    text, expected = write_log()
    con.execute("CREATE TABLE lines AS SELECT unnest(string_split($1, chr(10))) AS line", [text])
    con.execute("CREATE TABLE records AS FROM py_map_batches($1, 'FROM lines')", [RECORDS])
    con.sql(
        "SELECT logger, exception, count(*) AS errors, max(depth) AS deepest FROM records WHERE level = 'ERROR' "
        "GROUP BY ALL ORDER BY errors DESC LIMIT 6"
    ).show()
    found = con.execute('FROM records ORDER BY "order"').fetchall()
    lines = text.count("\n")
    print(f"{lines:,} lines, {len(found):,} records, {'as' if found == expected else 'NOT as'} they were logged")
    return 0 if found == expected else 1


if __name__ == "__main__":
    sys.exit(main())
