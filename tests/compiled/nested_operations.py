"""Arguments and results that nest, and what is done with such values, for the table: (source, arguments, result)."""

_HEAD = "from collections import Counter, defaultdict\nfrom datetime import date, datetime, timedelta\n"
_HEAD += "from decimal import Decimal\nBAD = {'a', 'b', 'é'}\nMORE = {'b': 5, 'c': 6}\n"
_HEAD += "def of(a, b=2, *, c=3): return a * 100 + b * 10 + c\n"

# By the types of the arguments: bodies, with the result type where it isn't None.
_BODIES = {
    "i": """
INTS return [a, None, a // 3]
FLOATS return [a, a / 2] if a < 1000 else []
return [a, a / 2, 'x', None]
return (a, 'x'), [a]
ROW return a, str(a)
ROW return {'b': str(a), 'a': a} if a > 5 else {'a': None}
return {'x': a, 'y': {'z': [a]}} if a != 7 else {'x': 1.5}
ROWS return [(k, str(k)) for k in range(a % 4)]
ROWS return [{'a': k, 'b': None} for k in range(a % 4)]
return a if a > 5 else 'few'
return a if a > 5 else None if a > 0 else 2.5
return [timedelta(days=a % 1000), timedelta(microseconds=-a % 7)]
return [date(2024, 2, 28) + timedelta(days=a % 3), None], datetime(2024, 1, 1)
return [Decimal(a % 99) / 8, Decimal('1.5')]
p = [1, 2, 3, 4]; p[a:a + 1] = [a, a]; p[:1] = p; del p[-1:]; return p
p = [a]; p.append(3); p.sort(key=lambda k: -k); return p, p
BIGINT t = (a % 10, 1); return of(*t) + of(*[a % 9], c=4) + of(*t, **{'c': 7}) + of(a % 5, **MORE)
BIGINT return sum({a % 7, 3}) + sum(k % 3 for k in {a % 5, 9}) + max(k * 2 for k in {a % 3, 1})
BOOLEAN return any(10 // k > 3 for k in {a % 3, 2, 1})
BOOLEAN return isinstance([a], list) and not isinstance((a,), list) and isinstance({'x': a}, (int, dict))
return [((a, 1), (2, a))], [[[a]]]""",
    "s": """
STRS return a.split()
STRS return a.split(',') if a else None
return [list(w) for w in a.split()]
COUNTS return {c: a.count(c) for c in a}
return Counter(a.split())
return [(c, i) for i, c in enumerate(a)]
return Counter(a).most_common(2)
return dict(sorted({c: a.count(c) for c in a}.items(), key=lambda p: -p[1])[:2])
STRS return sorted(set(a.lower()))
STRS return list(filter(None, a.split(' '))) + [w for w in filter(lambda w: len(w) > 1, a.split(','))]
VARCHAR return next((w for w in a.split() if len(w) > 1), 'none') + next(filter(str.isupper, a), '-')
VARCHAR return ''.join(filter(lambda c: c.isalnum(), a)) + ''.join(c for c in filter(lambda c: c > 'b', a))
return any(w in a for w in BAD), all(w in a for w in BAD), sum(w in a for w in BAD), [w for w in sorted(BAD) if w in a]
COUNTS d = {'a': 1}; d.update({'b': len(a)}, c=3); e = d | {'a': 5}; e |= MORE; return {**e, 'z': 1, **d}
return dict(MORE, a=len(a)), dict(a=a)
return {'text': a, 'words': a.split(), 'n': len(a)}""",
    "f": """
FLOATS return [a, -a, 1]
DOUBLE return sum([a, 1, 0.1, 2, a])
return sum([3, a, True]), sum([a, 7], 0.5)
return [a, None]
return {'a': a}""",
    "mf": "\n".join(f"BOOLEAN return a {op} b" for op in ("<", "<=", ">", ">=", "==", "!=")),
    "m": """
return [a, a + 1, None]
BOOLEAN return a == 2.5 or a < -0.5 or 99.995 <= a""",
    "I": """
BIGINT return sum(a)
return [min(a), max(a), len(a), sorted(a, reverse=True)] if a else a
INTS a.append(1); a.reverse(); return a
INTS return [k for k in a if k % 2]
INTS p = [None] + a; p.sort(key=lambda k: k or 0); return p
return a""",
    "S": """
VARCHAR return '|'.join(a) + '|'.join(sorted(a))
STRS return [w.upper() for w in a if w]
COUNTS return Counter(a)
return a, {w: len(w) for w in a}
BIGINT return len(set(a) - BAD) if 'a' in a else a.count('b')""",
    "R": """
VARCHAR return a['b']
BIGINT return (a['a'] or 0) + len(a) if 'a' in a and 'x' not in a else -1
return a.get('b', '-'), a.get('x'), a.get('x', 5), list(a), bool(a)
ROW return a
ROW return {**a, 'b': 'x'}
return a
return [f'{k}={v}' for k, v in a.items()], dict(a)
VARCHAR try:;  return a['nothing']; except KeyError:;  return a['b'] + '!'
BIGINT d = dict(a); d['c'] = 3; return len(d)""",
    "L": """
BIGINT return sum(r['a'] for r in a)
STRS return [r['b'] for r in a if r['a'] is not None]
return a
return sorted((r['b'] or '' for r in a), key=len)""",
    "M": """
BIGINT return a.get('a', 0) + sum(a.values()) + len(a)
COUNTS a['new'] = 5; return {k: v + 1 for k, v in a.items()}
STRS return sorted(a)
return a""",
    "iI": """
BOOLEAN return a in b
INTS return [k + a for k in b] if a < 100 else None""",
}
_RESULTS = ("INTS", "FLOATS", "STRS", "COUNTS", "ROW", "ROWS", "BIGINT", "DOUBLE", "BOOLEAN", "VARCHAR")


def nested_operations():
    """Yield all of them."""
    for types, bodies in _BODIES.items():
        for line in bodies.strip().splitlines():
            word, _, rest = line.partition(" ")
            result, body = (word, rest) if word in _RESULTS else (None, line)
            yield f"{_HEAD}def f({', '.join('ab'[: len(types)])}):\n " + "\n ".join(body.split("; ")), types, result
