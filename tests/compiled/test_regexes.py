"""Regular expressions, compiled against interpreted. `python -m tests.compiled.test_regexes SEED SECONDS` runs more."""

import collections
import random
import re
import sys
import time

import pyarrow as pa
import pytest

from duckdb_wasi_udf import LimitExceeded
from tests.compiled.comparing import Comparison, difference
from tests.compiled.values import TEXTS

PARTS, PATTERNS = 4, 30
ROWS = 60

# What people write.
WRITTEN = [
    r"\d+",
    r"[^0-9]",
    r"\s+",
    r"\W+",
    r"^\s+|\s+$",
    r"[^A-Za-z0-9 ]+",
    r"(\w+)@(\w+)\.com",
    r"^(\d{4})-(\d{2})-(\d{2})$",
    r"(?P<key>\w+)=(?P<value>[^;]*)",
    r"https?://([^/]+)/?(.*)",
    r"\b[A-Z]{2,3}\b",
    r"(\d+)(?:-(\d+))?",
    r"<[^>]+>",
    r"<.*?>",
    r"[,;|]\s*",
    r"(a|ab)(c|bcd)?(d*)",
    r"^$",
    r"",
    r"x*",
    r"(?i)straße|DE",
    r"(?m)^.*$",
    r"(?s)a.*b",
    r"\bthe\b",
    r"é|ß|日",
    r"[é-ü]+",
    r"\S+?(?=)" if False else r"\S+?\b",
    r"[^\W\d_]+",
    r"(?a:\w+)|\w",
    r"\$?(\d{1,3}(?:,\d{3})*|\d+)(\.\d\d)?",
    r"(?:[A-Z][a-z]*\s?){2,}",
    r"a??b|a+?",
    r"\Aab|ab\Z",
    r"\B\w",
    r"(?!)|a",
]
_ATOMS = [
    "a",
    "b",
    "1",
    "-",
    ".",
    r"\d",
    r"\w",
    r"\s",
    r"\S",
    r"\W",
    r"\D",
    "[ab]",
    "[^a]",
    "[a-c1-3]",
    r"[\w-]",
    "é",
    "ß",
]
_ATOMS += ["[é-ý]", r"[^\s,]", "@", " ", "x", "ab", r"\.", "A", r"[^\W_]", "😀"]
_PLACES = ["^", "$", r"\b", r"\B", r"\A", r"\Z"]
_REPEATS = ["*", "+", "?", "*?", "+?", "??", "{2}", "{1,3}", "{,2}", "{2,}?", "{0,2}?"]
_PIECES = [
    "a",
    "b",
    "ab",
    "1",
    "12",
    "-",
    " ",
    "\n",
    "é",
    "ß",
    "x",
    "@",
    ".",
    ",",
    "A",
    "É",
    "_",
    "😀",
    "\u2003",
    "٣",
    "c",
]


def pattern(chance, depth=0):
    """A random pattern."""
    parts = []
    for _ in range(chance.randint(1, 3 if depth else 4)):
        kind = chance.random()
        if kind < 0.1:
            parts.append(chance.choice(_PLACES))
            continue
        if kind < 0.35 and depth < 3:
            body = pattern(chance, depth + 1)
            if chance.random() < 0.4:
                body += "|" + pattern(chance, depth + 1)
            made = f"{chance.choice(['(', '(', '(?:', '(?i:'])}{body})"
        else:
            made = chance.choice(_ATOMS)
        parts.append(made + (chance.choice(_REPEATS) if chance.random() < 0.4 else ""))
    made = "".join(parts)
    return made + "|" + pattern(chance, 3) if depth == 0 and chance.random() < 0.2 else made


def source(expression, flags, groups):
    """A function that does everything with a pattern."""
    lines = ["import re", f"P = re.compile({expression!r}, {flags})", "def f(s):", " out = ''"]
    numbers = range(groups + 1)
    shown = "".join(f"{{m.group({number})}}:{{m.span({number})[0]}}-{{m.end({number})}};" for number in numbers)
    for method in ("search", "match", "fullmatch"):
        lines += [f" m = P.{method}(s)", f" if m: out += f'{method} {shown}'"]
    lines += [" for m in P.finditer(s):", f"  out += f'{shown},'"]
    if groups < 2:
        lines += [" out += '|'.join(P.findall(s)) + str(len(P.findall(s)))"]
    if groups == 0:
        lines += [" out += '/'.join(P.split(s)) + '/'.join(P.split(s, maxsplit=1))"]
    template = "<" + "".join(rf"\{number}." for number in numbers[1:]) + r"\g<0>>"
    lines += [f" out += P.sub({template!r}, s) + re.sub({expression!r}, '', s, count=2, flags={flags})", " return out"]
    return "\n".join(lines)


def texts(chance, count):
    """Random texts, of few characters so that patterns match."""
    made = ["".join(chance.choices(_PIECES, k=chance.randint(0, 9))) for _ in range(count)]
    return pa.array([*made, *chance.sample(TEXTS, 8)], pa.string())


def check(comparison, expression, flags, column):
    """Compare one pattern; what came of it, and the rows that bailed."""
    try:
        groups = re.compile(expression, flags).groups
    except re.error:
        return "no pattern", 0
    compared = comparison.run(source(expression, flags, groups), [column], pa.string())
    if compared.why is not None:
        return compared.why, 0
    assert compared.found == compared.wanted, (expression, flags, difference(compared, [column]))
    return "same", compared.bailed


def random_case(seed):
    """A pattern, flags and texts."""
    chance = random.Random(seed)
    flags = chance.choice(
        [
            0,
            0,
            0,
            0,
            re.IGNORECASE,
            re.MULTILINE,
            re.DOTALL,
            re.ASCII,
            re.IGNORECASE | re.ASCII,
            re.MULTILINE | re.DOTALL,
        ]
    )
    return pattern(chance), int(flags), texts(chance, ROWS)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("part", range(PARTS))
def test_random_patterns_match_alike(part):
    comparison = Comparison()
    cases = map(random_case, range(part * PATTERNS, (part + 1) * PATTERNS))
    outcomes = collections.Counter(check(comparison, *case)[0] for case in cases)
    assert outcomes["same"] > PATTERNS * 0.6, outcomes


def test_patterns_that_people_write_run_compiled():
    comparison = Comparison()
    column = texts(random.Random(1), 200)
    for expression in WRITTEN:
        for flags in (0, re.IGNORECASE, re.ASCII | re.DOTALL):
            outcome, bailed = check(comparison, expression, int(flags), column)
            assert outcome == "same", (expression, outcome)
            assert bailed == 0 or flags & re.IGNORECASE or "(?i)" in expression, (expression, bailed)


BY_FUNCTION = [
    "def g(m): return f'<{m.group()}{m.start()}>'\ndef f(s): return re.sub(r'\\w+', g, s)",
    "P = re.compile('(a)|b')\ndef f(s): return P.sub(lambda m: m[0].upper() + (m[1] or '?'), s)",
    "def f(s):\n k = len(s)\n return re.sub(r'\\d', lambda m: str(int(m.group(0)) + k), s)",
    (
        "def g(m):\n if m.start() > 3: raise ValueError\n return ''\ndef f(s):\n try: return re.sub('a|', g, s)\n"
        " except ValueError: return 'late'"
    ),
    "def f(s):\n t, n = re.subn('[ab]', '-', s)\n return f'{t}{n}'",
    "def f(s):\n P = re.compile('b')\n t, n = P.subn(lambda m: '', s)\n return t * n",
    "sub = re.compile('a').sub\ndef f(s): return sub('b', s) + re.compile('b').sub('a', s)",
    (
        "def f(s):\n m = re.search('(?P<x>a)(b)?', s)\n try: return m['x'] + m.group('x') + str(m.groups()[1])"
        " + m['y']\n except IndexError: return 'no such group'\n except TypeError: return 'no match'"
    ),
    "def f(s):\n m = re.search('a', s) or re.search('b', s)\n return '-' if m is None else m.group() + str(m.end())",
    "def f(s):\n out = ''\n for a in re.findall('[ab]', s): out += a + ','\n return out",
    "def f(s): return ''.join(m[0] + m[0] for m in re.finditer(r'\\w', s) if m.start() % 2)",
    "from re import sub, IGNORECASE as I\ndef f(s): return sub('A', '', s, flags=I | re.ASCII)",
    "def f(s):\n import re as r\n return r.sub('a' + 'b', '', s, count=1)",
    "R = [(re.compile('a'), 'x'), (re.compile('b+'), '')]\ndef f(s):\n for p, r in R: s = p.sub(r, s)\n return s",
    "K = {'a': re.compile('a'), 1: re.compile('1')}\ndef f(s): return str(bool(K['a'].search(s))) + K[1].sub('', s)",
    "def f(s): return str(all(re.search(p, s) for p in ('a', '[b-c]')))",
    "def f(s): return str(sum(len(re.findall(p, s)) for p in ('a', 'b') if re.search(p, s)))",
    "def f(s):\n for p in ('a', 'b'):\n  if re.search(p, s): break\n else: p = 'none'\n return p",
    ("P = re.compile('a'), re.compile('b')\ndef f(s):\n for p in P:\n  if p.match(s): continue\n  s += '!'\n return s"),
    (
        "def f(s):\n out = ''\n for i, p in enumerate(('a', 'b')): out += str(i)\n for p in ('a', 'b'):\n"
        "  for m in re.finditer(p, s): out += m[0] + p\n return out + p"
    ),
    "def f(s): return ';'.join(b + a for a, b in re.findall('([a-c])(.)?', s))",
    "def f(s):\n out = ''\n for pair in re.findall(r'(\\w)(-)?', s): out += pair[0] + '/' + pair[1]\n return out",
    "def f(s): return str(re.search('a', s if len(s) > 3 else None) is None)",
]


@pytest.mark.parametrize("body", BY_FUNCTION)
def test_uses_of_matches_and_patterns(body):
    column = texts(random.Random(7), 150)
    compared = Comparison().run(f"import re\n{body}", [column], pa.string())
    assert compared.why is None
    assert not compared.left
    assert compared.found == compared.wanted, difference(compared, [column])
    assert compared.bailed < 80


@pytest.mark.parametrize(
    "expression", [r"(?=a)", r"(?<!a)b", r"(a)\1", "(?>a+)b", "a++b", "(a)?(?(1)b|c)", "(a*)*", "(a|b*)+"]
)
def test_what_the_matcher_cannot_do_is_interpreted(expression):
    body = f"import re\nP = re.compile({expression!r})\ndef f(s): return P.sub('-', s)"
    compared = Comparison().run(body, [texts(random.Random(3), 5)], pa.string())
    assert "regular expression" in compared.why


def test_matching_takes_time_in_proportion_to_the_text():
    """What makes CPython's matcher try all ways, as many as 2 to the power of the length, is recognised at once."""
    comparison = Comparison(timeout_seconds=2.0)
    column = pa.array(["a" * length + "!" for length in (10, 100, 1_000, 5_000)], pa.string())
    instance = comparison.start("import re\ndef f(s): return re.match('(a|a)*(a|a)*$', s) is None", [pa.string()], None)
    assert comparison.compile(instance).why is None
    assert instance.call([column], 4)[0].to_pylist() == [True] * 4
    assert instance.counts.bailed == 0
    instance.close()


def main(seed, seconds):
    """Run patterns from a seed on, for a time."""
    comparison, end = Comparison(), time.monotonic() + seconds
    outcomes, bailed = collections.Counter(), 0
    while time.monotonic() < end:
        try:
            outcome, count = check(comparison, *random_case(seed))
        except LimitExceeded:  # CPython's matcher may take for ever
            outcome, count = "limit", 0
        except Exception as error:
            outcome, count = "WRONG", 0
            print(f"seed {seed}: {type(error).__name__}: {str(error)[:1500]}\n")
        outcomes[outcome] += 1
        bailed += count
        seed += 1
    rows = outcomes["same"] * (ROWS + 8)
    print(f"{outcomes.total()} patterns, {rows} pairs compared, next seed {seed}, {bailed} rows bailed")
    print(outcomes.most_common(20))


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
