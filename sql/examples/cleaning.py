"""Cleaning: names, telephone numbers and dates of birth as people type them, made one form each.

Usage: python sql/examples/cleaning.py

The contacts are made up, and each is written the wrong way afterwards; what comes out has to be what there was before.
"""

from __future__ import annotations

import random
import sys
import unicodedata

import duckdb

import duckdb_wasi_udf as wasi_udf

CONTACTS = 1_000
GIVEN = ("Ada", "Grace", "Zoë", "José", "Jean-Luc", "Łucja", "Søren", "Mary Ann")
FAMILY = ("Lovelace", "Hopper", "Müller", "O'Neill", "van der Berg", "Ångström", "García-Márquez")

CLEAN = r'''
import re
import unicodedata
from datetime import date, datetime
from typing import NamedTuple

SMALL = {"van", "der", "de"}
DATES = ("%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%d %B %Y")


class Contact(NamedTuple):
    name: str
    phone: str | None
    born: date | None


def capitalized(word: str) -> str:
    return word if word in SMALL else re.sub(r"(^|[-'])(\w)", lambda part: part[1] + part[2].upper(), word)


def clean(name: str, phone: str, born: str) -> Contact:
    """One contact: names composed and capitalized, numbers as in E.164, dates as dates; None for what is none."""
    name = unicodedata.normalize("NFC", name).replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").lower()
    digits = re.sub(r"\(0\)|\D", "", phone)
    digits = re.sub(r"^(?:0049|0)(?=[1-9])", "49", digits)
    birth = None
    for form in DATES:
        try:
            birth = datetime.strptime(born.strip(), form).date()
        except ValueError:
            continue
        break
    return Contact(
        " ".join(map(capitalized, name.split())), f"+{digits}" if 11 <= len(digits) <= 13 else None, birth
    )
'''


def make_contacts(con: duckdb.DuckDBPyConnection) -> None:
    """Make the table `typed`, and what it should become: `contacts`."""
    chance = random.Random(20261122)  # noqa: S311 - made-up contacts
    con.execute("CREATE TABLE contacts (id INTEGER, name VARCHAR, phone VARCHAR, born DATE)")
    con.execute("CREATE TABLE typed (id INTEGER, name VARCHAR, phone VARCHAR, born VARCHAR)")
    contacts, typed = [], []
    for i in range(CONTACTS):
        name = f"{chance.choice(GIVEN)} {chance.choice(FAMILY)}"
        area, line = str(chance.randrange(30, 999)), str(chance.randrange(10**5, 10**7)).zfill(7)
        year, month, day = chance.randrange(1930, 2010), chance.randrange(1, 13), chance.randrange(13, 29)
        known = chance.random() < 0.9
        contacts.append((i, name, f"+49{area}{line}" if known else None, f"{year}-{month}-{day}" if known else None))
        written = chance.choice((str.upper, str.lower, str))(name.replace(" ", "   " if i % 3 else " "))
        quote = chance.choice("'\N{RIGHT SINGLE QUOTATION MARK}")
        written = unicodedata.normalize(chance.choice(("NFC", "NFD")), written).replace("'", quote)
        numbers = (f"0{area}/{line}", f"+49 (0) {area}-{line[:3]} {line[3:]}", f"0049{area}{line}", f"49 {area} {line}")
        dates = (f"{year}-{month}-{day}", f" {day:02}.{month:02}.{year}", f"{month:02}/{day}/{year}")
        typed.append(
            (i, f" {written}", chance.choice(numbers), chance.choice(dates)) if known else (i, written, "n/a", "?")
        )
    con.executemany("INSERT INTO contacts VALUES ($1, $2, $3, $4)", contacts)
    con.executemany("INSERT INTO typed VALUES ($1, $2, $3, $4)", typed)


def main() -> int:
    """Run the example; the process's exit status."""
    con = duckdb.connect()
    sandbox = wasi_udf.install(con)
    make_contacts(con)
    sandbox.create_function(con, "clean", CLEAN)
    con.sql("SELECT name, phone, born, clean(name, phone, born) AS cleaned FROM typed ORDER BY id LIMIT 6").show()
    con.execute("CREATE TABLE cleaned AS SELECT id, unnest(clean(name, phone, born)) FROM typed")
    wrong = con.sql("(FROM cleaned EXCEPT FROM contacts) UNION ALL (FROM contacts EXCEPT FROM cleaned)").fetchall()
    print(f"{CONTACTS:,} contacts, {len(wrong) // 2:,} of them not as they were")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
