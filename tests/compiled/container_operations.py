"""Operations of lists, sets and dicts that a function makes, for the table: (source, types of arguments, result)."""

_HEAD = "from collections import Counter, defaultdict\nfrom functools import partial\n"

# Bodies of functions of a text, or of two.
_OF_TEXTS = """
p = a.split(','); p.append('z'); p.reverse(); return '|'.join(p)
p = a.split(); p.sort(); return '|'.join(p)
return ''.join(sorted(a)) + ''.join(sorted(a, reverse=True))
return ' '.join(sorted(a.split(), key=len))
return ' '.join(sorted(a.split(), key=lambda w: (-len(w), w.lower())))
return ' '.join(sorted(a.split(','), key=str.lower, reverse=len(a) > 5))
return ''.join(dict.fromkeys(a))
return '-'.join(a)
return '|'.join(f'{k}{v}' for k, v in Counter(a).most_common(3))
return '|'.join(f'{k}{v}' for k, v in Counter(a.split()).most_common())
return '|'.join(sorted(set(a.split(','))))
return ','.join(map(str, [len(w) for w in a.split()]))
return max(a.split(), key=len, default='none') + min(a.split(), key=lambda w: w[::-1], default='')
return '|'.join(x + y for x in a[:3] for y in a[:2])
p = [w[::-1] for w in a.split()]; p.extend(['x', 'y']); p.extend(p); p += p[:1]; return ' '.join(p)
first, *rest = a.split(','); return first + '#' + '|'.join(rest)
*rest, last = a.split(','); return last + '#' + '|'.join(rest)
x, *y, z = list(a + 'ab'); return z + x + ''.join(y)
p = list(a + '.'); p[0], p[-1] = p[-1], p[0]; return ''.join(p)
p = list(a); q = p; r = p[:]; q.append('!'); r.insert(1, '?'); return ''.join(p) + ''.join(r)
return ''.join(list(a)[::2]) + ''.join(list(a)[::-1]) + ''.join(list(a)[-2:0:-3])
d = {}; d['k'] = a; d['j'] = a[:1]; d['k'] += '!'; del d['j']; return '|'.join(k + v for k, v in d.items())
m = {c: c.upper() for c in a if c.isalpha()}; return ''.join(m.get(c, '_') for c in a)
"""
_TO_INTS = """
return len(set(a)) * 100 + len({c.lower() for c in a if c.isalpha()})
return len(set(a.split()) & {'a', 'b', 'ab'}) + len(set(a) | {'a'}) * 10 + len(set(a) - {'a'}) * 100
return len(set(a) ^ {'a', 'b'}) + ({'a'} <= set(a)) * 100 + (set(a) == set('abc')) * 1000 + (set(a) < set('abcd'))
return sum(map(len, a.split()))
return list(a).count('a') + (len(list(a)) if a else -1)
return list(a).index('b') * 100 + a.split(',').index('c')
return a.split()[0] == a and (a in [a, 'x']) + ('x' in list(a))
d = {c: i for i, c in enumerate(a)}; return sum(d.values()) + len(d) + d.get('a', -100) + d.pop('b', 0) + len(d)
d = dict(zip(a, range(len(a)))); e = dict(d); e['a'] = 5; return sum(d.values()) * 100 + sum(e.values())
return sum(1 for x in a for y in a if x == y)
return {'DE': 1, 'FR': 2, a: 3}['DE'] * 10 + {'x': 1, a: 4}[a]
return {a: 1}['a']
p = [(c, i) for i, c in enumerate(a)]; p.sort(reverse=True); return p[0][1] * 100 + len(p)
"""
_STATEMENTS = {
    "d = Counter(a)\n try:\n  del d['?']\n except KeyError: return -1\n d['b'] += 2\n return d['a'] + len(d)": (
        "s",
        "BIGINT",
    ),
    "d = {}\n for c in a:\n  d[c] = d.get(c, 0) + 1\n return '|'.join(f'{k}{v}' for k, v in d.items())": (
        "s",
        "VARCHAR",
    ),
    "d = {}\n for c in a:\n  if c in d: d[c] += 1\n  else: d[c] = 1\n return max(d.values()) if d else 0": (
        "s",
        "BIGINT",
    ),
    "d = defaultdict(int)\n for c in a: d[c] += 1\n return max(d, key=d.get) if d else None": ("s", "VARCHAR"),
    "d = defaultdict(list)\n for w in a.split(): d[len(w)].append(w)\n"
    " return '|'.join(str(k) + ','.join(v) for k, v in d.items())": ("s", "VARCHAR"),
    "d = {}\n for w in a.split(): d.setdefault(len(w), []).append(w)\n"
    " return '|'.join(f'{k}:{len(v)}' for k, v in sorted(d.items()))": ("s", "VARCHAR"),
    "seen = set()\n out = []\n for c in a:\n  if c not in seen: out.append(c)\n  seen.add(c)\n return ''.join(out)": (
        "s",
        "VARCHAR",
    ),
    "stack = []\n for c in a:\n  if c.isalpha(): stack.append(c)\n  elif stack: stack.pop()\n return ''.join(stack)": (
        "s",
        "VARCHAR",
    ),
    "old = list(range(len(b) + 1))\n for i, x in enumerate(a, 1):\n  new = [i]\n  for j, y in enumerate(b, 1):\n"
    "   new.append(min(old[j] + 1, new[j - 1] + 1, old[j - 1] + (x != y)))\n  old = new\n return old[-1]": (
        "ss",
        "BIGINT",
    ),
    "p = [True] * (a % 50 + 2)\n p[0] = p[1] = False\n for i in range(2, len(p)):\n  if p[i]:\n"
    "   for j in range(i * i, len(p), i): p[j] = False\n return sum(p)": ("i", "BIGINT"),
    "m = [[0] * 3 for _ in range(3)]\n m[1][2] = a\n m[0][0] += 7\n return sum(sum(r) for r in m)": ("i", "BIGINT"),
    "p = []\n for i in range(a % 5): p.append(i * i)\n return sum(p) + len(p)": ("i", "BIGINT"),
    "p = []\n if a > 2: p.append(1)\n else: p.append(2.5)\n return p[0]": ("i", "DOUBLE"),
    "p = [1, None, a]\n return len([v for v in p if v is not None]) + sum(v or 0 for v in p[:2])": ("i", "BIGINT"),
    "p = [3, 1, 2]\n q = p\n q.insert(a, 9)\n return p[0] * 1000 + p[1] * 100 + p[2] * 10 + p.pop(0)": ("i", "BIGINT"),
    "p = [3, 1, 2, 1]\n try: p.remove(a)\n except ValueError: p.append(7)\n return p.count(1) * 100 + p[-1]": (
        "i",
        "BIGINT",
    ),
    "p = [5, 6, 7]\n try: return p.pop(a)\n except IndexError: return len(p)": ("i", "BIGINT"),
    "p = [5, 6, 7, 8]\n try: del p[a]\n except IndexError: p.clear()\n return sum(p) + (8 in p)": ("i", "BIGINT"),
    "p = [1, 2, 3]\n p[a % 3] *= 5\n for v in p:\n  if len(p) < 7: p.append(v + 1)\n return sum(p)": ("i", "BIGINT"),
    "d = {1: 2, 3: 4}\n try: return d[a]\n except KeyError: return -1": ("i", "BIGINT"),
    "d = {1: 2, 3: 4}\n try:\n  del d[a]\n except KeyError: d[a] = 9\n return sum(d.values()) + len(d)": (
        "i",
        "BIGINT",
    ),
    "d = {1.0: 'x', a * 0 + 2.5: 'y'}\n return d.get(a, 'no') + d.get(1, '-') + d.get(True, '-')": ("f", "VARCHAR"),
    "d = {(0, 'a'): 1, (1, b): 2}\n return d.get((a, b), -1)": ("is", "BIGINT"),
    "s = {1, 2, 3}\n s.add(a)\n s.discard(2)\n s |= {5, a}\n return len(s) * 10 + (a in s) + min(s - {a})": (
        "i",
        "BIGINT",
    ),
    "s = set()\n s.update([a, b, 1])\n try: s.remove(7)\n except KeyError: s.add(9)\n return len(s)": ("ii", "BIGINT"),
    "p = sorted([a, b, 1.0])\n return p[0] + p[-1] if abs(p[1]) < 9 else p[1]": ("ff", "DOUBLE"),
    "p = sorted([a, b, 3], reverse=a < b)\n return p[0] if p[0] == max(a, b, 3) else p[1]": ("ii", "BIGINT"),
    "p = sorted([(b, 1), (a, 2), (b, 3)], key=lambda t: t[0])\n return p[0][1] * 100 + p[1][1] * 10 + p[2][1]": (
        "ii",
        "BIGINT",
    ),
    "return str([a, b] == [b, a]) + str([a] != [a]) + str([a, b][a < b])": ("ii", "VARCHAR"),
    "return bool([a, b, 1, 2])": ("ii", "BOOLEAN"),
    "p = []\n for v in p: return v\n return a + len(p) + sum(p)": ("i", "BIGINT"),
    "p = [0, 1]\n q = p * (a % 4) + p\n q[0] = 8\n return sum(q) * 10 + sum(p)": ("i", "BIGINT"),
    "p = [a]\n def_ = p\n p = p + [b]\n def_.append(1)\n return len(p) * 10 + len(def_)": ("ii", "BIGINT"),
    "p = [a, b]\n r = []\n while p: r.append(p.pop())\n return len(r) if r[0] == b else 0": ("dd", "BIGINT"),
    "d = {1: 2}\n for k in d: d[a] = k\n return len(d)": ("i", "BIGINT"),
    "p = [a, b]\n p.sort()\n return p[0]": ("tt", "TIMESTAMP"),
    "p = [a, b, a]\n p.sort(key=lambda m: -m)\n return str(p[0]) + str(sum(p)) + str(max(p, key=abs))": (
        "mm",
        "VARCHAR",
    ),
}
# Functions that others call with containers, and that return tuples.
_HELPERS = """
def ends(p):
    return min(p), max(p)
def push(p, x, times=1):
    for _ in range(times):
        p.append(x)
    return p
def pair(x):
    if x > 3:
        return x, 'many'
    return 0, 'few'
"""
_OF_HELPERS = {
    "low, high = ends([a, b, 2])\n return low if high == 2 else high": ("ii", "BIGINT"),
    "p = [1]\n q = push(push(p, a), b, times=2)\n return len(p) * 10 + len(q) + (q[1] == a)": ("ii", "BIGINT"),
    "n, name = pair(a)\n return f'{n}{name}{pair(2)[1]}'": ("i", "VARCHAR"),
    "return sum(len(x) for x in [push([], w) for w in b.split()]) + a": ("is", "BIGINT"),
}


def container_operations():
    """Yield all of them."""
    for body in _OF_TEXTS.strip().splitlines():
        yield f"{_HEAD}def f(a):\n " + "\n ".join(body.split("; ")), "s", "VARCHAR"
    for body in _TO_INTS.strip().splitlines():
        yield f"{_HEAD}def f(a):\n " + "\n ".join(body.split("; ")), "s", "BIGINT"
    for bodies, head in ((_STATEMENTS, _HEAD), (_OF_HELPERS, _HEAD + _HELPERS)):
        for body, (types, result) in bodies.items():
            yield f"{head}def f({', '.join('ab'[: len(types)])}):\n {body}", types, result
