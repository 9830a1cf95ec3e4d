"""Row functions as people write them, for benchmarks/compiled.py."""

from __future__ import annotations

import math
import re
from datetime import date, datetime, timedelta
from math import asin, cos, radians, sin, sqrt

BRACKETS = [(10000, 0.0), (40000, 0.2), (100000, 0.35)]
VAT = {"DE": 0.19, "FR": 0.2}
COUNTRIES = {"DE": "Germany", "FR": "France", "IT": "Italy", "ES": "Spain"}
EU = frozenset({"DE", "FR", "IT", "ES", "NL"})


def increment(i: int) -> int:
    return i + 1


def branch(i: int) -> int:
    return i * 3 - 1 if i % 2 else i // 2


def loop(i: int) -> int:
    s = 0
    for k in range(10):
        s += i * k
    return s


def gcd(a: int, b: int) -> int:
    while b:
        a, b = b, a % b
    return a


def hash_bucket(x: int) -> int:
    x = (x ^ (x >> 16)) * 0x45D9F3B & 0xFFFFFFFF
    return (x ^ (x >> 16)) % 64


def polynomial(x: float) -> float:
    return ((2.0 * x - 3.5) * x + 1.25) * x - 7


def sigmoid(a: float, b: float) -> float:
    z = 0.003 * a - 0.2 * b + 0.5
    return 1 / (1 + math.exp(-z))


def haversine(a: float, b: float) -> float:
    lat1, lon1, lat2, lon2 = map(radians, [a % 90, b % 180, 48.1, 11.6])
    h = sin((lat2 - lat1) / 2) ** 2 + cos(lat1) * cos(lat2) * sin((lon2 - lon1) / 2) ** 2
    return 6371 * 2 * asin(sqrt(h))


def clamp(x: float) -> float:
    return max(0.0, min(1.0, x / 500))


def discount(price: float, quantity: int) -> float:
    d = 0.1 if quantity >= 100 else 0.05 if quantity >= 10 else 0
    return price * quantity * (1 - d)


def tax(income: float) -> float:
    total, before = 0.0, 0
    for limit, rate in BRACKETS:
        if income > before:
            total += (min(income, limit) - before) * rate
        before = limit
    return total


def gross(net: float, country: str) -> float:
    return round(net * (1 + VAT.get(country, 0.25)), 2)


def grade(points: int) -> str:
    if points > 90000:
        return "A"
    if points > 70000:
        return "B"
    if points > 50000:
        return "C"
    return "D"


def level(points: int) -> str:
    match points // 20000:
        case 0:
            return "low"
        case 1 | 2:
            return "mid"
        case _:
            return "high"


def upper(s: str) -> str:
    return s.upper()


def domain(mail: str) -> str | None:
    if "@" not in mail:
        return None
    return mail.split("@")[1].lower()


def clean_name(s: str) -> str:
    return " ".join(s.strip().split()).title()


def initials(s: str) -> str:
    return "".join(w[0].upper() for w in s.split())


def slug(s: str) -> str:
    return s.strip().lower().replace(" ", "-")


def mask(s: str) -> str:
    return "*" * (len(s) - 4) + s[-4:]


def vowels(s: str) -> int:
    return sum(1 for c in s.lower() if c in "aeiou")


def palindrome(s: str) -> bool:
    return s == s[::-1]


def label(i: int, c: str) -> str:
    return f"{c}-{i:06d}"


def amount(x: float, c: str) -> str:
    return f"{x:.2f} {c}"


def parse_int(s: str) -> int | None:
    try:
        return int(s.strip())
    except ValueError:
        return None


def parse_money(s: str) -> float:
    return float(s.replace("$", "").replace(",", "").strip())


def utm_source(line: str) -> str | None:
    for part in line.split(";"):
        if part.startswith("utm_source="):
            return part[len("utm_source=") :]
    return None


def country(c: str) -> str:
    return COUNTRIES.get(c, "unknown")


def in_eu(c: str) -> bool:
    return c in EU


def luhn(s: str) -> bool:
    total = 0
    for i, c in enumerate(reversed(s)):
        if not c.isdigit():
            return False
        d = int(c)
        if i % 2:
            d *= 2
            if d > 9:
                d -= 9
        total += d
    return total % 10 == 0


def weekend(d: date) -> bool:
    return d.weekday() >= 5


def quarter(d: date) -> str:
    return f"{d.year}-Q{(d.month - 1) // 3 + 1}"


def yyyymmdd(d: date) -> int:
    return d.year * 10000 + d.month * 100 + d.day


def business_hours(t: datetime) -> bool:
    return t.weekday() < 5 and 9 <= t.hour < 17


def add_days(d: date, n: int) -> date:
    return d + timedelta(days=n)


def minute(t: datetime) -> str:
    return t.strftime("%Y-%m-%d %H:%M")


def extract(s: str) -> str | None:
    found = re.search(r"(\d+)@", s)
    return found[1] if found else None


def levenshtein(a: str, b: str) -> int:
    last = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        row = [i]
        for j, y in enumerate(b, 1):
            row.append(min(last[j] + 1, row[-1] + 1, last[j - 1] + (x != y)))
        last = row
    return last[-1]
