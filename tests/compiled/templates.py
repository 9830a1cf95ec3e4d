"""The templates that random programs are made of.

$t is an expression of a type, $t0 one without operations, {{a;b;c}} a choice, $v a variable.
"""

HEAD = r"""
import math
import re
from datetime import date, datetime, timedelta
from collections import Counter, defaultdict
from decimal import Decimal, InvalidOperation, ROUND_DOWN, ROUND_HALF_UP
PRICES = {'DE': Decimal('0.19'), 'FR': Decimal('1E+3'), '': Decimal('-0.00')}
PATTERN = re.compile(r'(\w)(-|\d)?')
LETTERS = str.maketrans('aeDF', 'AE--', 'xß')
TABLE = {'DE': 19, 'FR': 20, 'ß': -1, '': 7, 'x@y.com': 9223372036854775807}
RATES = {'DE': 0.19, 'FR': 0.2}
NAMES = {'DE': 'Germany', 'FR': 'Fränce', 'a': ''}
MIXED = {'DE': 1, 'FR': 2.5, 'a': None, 'b': 'x', '': True}
BYINT = {0: 5, 1: -3, 7: 2}
NUMBERS = (3, 1, -4, 9)
PAIRS = [(1, 2), (3, -4), (0, 9223372036854775807)]
WORDS = frozenset({'a', 'DE', 'abc', 'Hello World', 'é'})
DATETIME = datetime(2024, 2, 29, 23, 59, 59, 999999)
def helper(a, b=3):
    if b == 0: return a
    return a % b if a > b else b - a
def first(s):
    m = PATTERN.search(s)
    return m[0] + str(m[2]) if m else s
def either(a, s):
    if a > 3: return s
    return None if a < 0 else a
def push(items, x):
    items.append(x)
    return items
def ends(items):
    if len(items) < 2: raise IndexError
    return items[0], items[-1]
"""
# Expressions by type.
EXPRESSIONS = {
    "int": """
($int {{+;-;*}} $int) ~~ ($int {{+;-;*}} $int) ~~ ($int {{+;-;*}} $int) ~~ ($int {{//;%}} $int)
($int {{&;|;^}} $int)
(-$int) ~~ (~$int) ~~ ($int {{<<;>>}} $int0) ~~ ($int >> {{1;3;62;64}}) ~~ abs($int) ~~ {{min;max}}($int, $int)
{{int;round;math.floor;math.ceil;math.trunc}}($float) ~~ len($str) ~~ $str.{{find;rfind;count;index}}($str)
int($str) ~~ int($decimal) ~~ round($decimal)
int($bool) ~~ ($int + $bool) ~~ ($int ** {{0;1;2;3;5;13}})
$date.{{year;month;day;weekday();isoweekday();toordinal()}}
($date - $date).days ~~ TABLE[$str] ~~ TABLE.get($str, $int) ~~ sum($int1 for k in range({{0;1;5}})) ~~ helper($int)
sum(k * $int0 for k in range($int0 % 7)) ~~ len($str.split({{',';'@';' ';}})) ~~ helper($int, $int) ~~ ord($str)
BYINT.get($int, $int) ~~ NUMBERS[$int] ~~ NUMBERS[$int % 4] ~~ divmod($int, $int)[{{0;1}}] ~~ sum([$int, $int])
$datetime.{{year;month;day;hour;minute;second;microsecond;weekday()}} ~~ ($int * $int + $int)
max([$int, $int, 3])
($int if $bool else $int) ~~ ($int {{or;and}} $int) ~~ len($str.splitlines()) ~~ max(len(w) for w in $str.split())
sum(len(w) for w in $str.split() if w != $str0) ~~ helper(b=$int, a=$int)
$ints[$int0] ~~ $ints[{{0;-1;1}}] ~~ len($ints) ~~ len($strs) ~~ len($counts) ~~ len($words) ~~ sum($ints)
{{min;max}}($ints)
{{min;max}}($ints, {{default=0;key=abs;key=lambda k: k % 4}}) ~~ $ints.{{index;count}}($int0)
$strs.{{index;count}}($str0)
$counts[$str0] ~~ $counts.get($str0, $int0) ~~ sum($counts.values()) ~~ sum(map(abs, $ints)) ~~ ends($ints)[{{0;1}}]
ends($ints)[0] + len(push($ints, $int0)) ~~ max(len(c) for c in $strs)
sum(k * v for k, v in enumerate($ints))""",
    "float": """
($float {{+;-;*}} $float) ~~ ($float {{+;-;*}} $float) ~~ ($int {{+;-;*}} $float) ~~ ($float / $float)
($int / $int)
($float {{//;%}} $float) ~~ ($float % $int) ~~ ($float ** {{2;0.5;3;-1;0}}) ~~ ($float ** $float) ~~ float($int)
float($str) ~~ abs($float) ~~ {{min;max}}($float, $float) ~~ {{min;max}}($int, $float) ~~ (-$float)
RATES.get($str, $float)
round($float, {{0;1;2;3;-1;-2;10}}) ~~ float($decimal)
math.{{sqrt;fabs;sin;cos;tan;exp;log;log2;log10;atan;asin;tanh;log1p;expm1}}($float)
math.{{sqrt;log;radians}}($int) ~~ math.{{hypot;atan2;copysign;fmod;pow}}($float, $float)
math.log($float, {{2;10;3.5}})
($date - $date).total_seconds() ~~ ($float * $float + $float) ~~ sum([$float, $float, 0.1])
($float if $bool else $float)
sum($float0 * k for k in range($int0 % 5)) ~~ ($float {{or;and}} $float)""",
    "bool": """
($int {{<;<=;>;>=;==;!=}} $int) ~~ ($float {{<;<=;>;>=;==;!=}} $float) ~~ ($int {{<;<=;>;>=;==;!=}} $float)
($float {{<;==}} $int) ~~ ($str {{<;<=;>;==;!=}} $str) ~~ ($bool {{and;or}} $bool) ~~ (not $bool) ~~ (not $int)
(not $str) ~~ ($int0 {{in;not in}} $ints) ~~ ($str0 {{in;not in}} {{$strs;$words;$counts}})
($ints {{==;!=}} $ints)
bool($ints) ~~ ($words {{<=;==;<}} $words) ~~ any(k > 0 for k in $ints) ~~ all(w for w in $strs) ~~ (not $counts)
($str {{in;not in}} $str) ~~ $str.{{startswith;endswith}}($str) ~~ ($int {{<;<=}} $int {{<;<=;==}} $int)
$str.{{isdigit;isalpha;isalnum;isspace;isupper;islower;isascii;isnumeric}}() ~~ bool($int) ~~ bool($str)
($str in {{TABLE;WORDS;('a', 'DE', 'x');('ß', '')}}) ~~ ($int in {{{-1, 0, 7, 2};(1, 2, 3);NUMBERS}})
($date {{<;<=;>;==}} $date) ~~ any(c.isdigit() for c in $str) ~~ all(c in $str0 for c in $str0)
(($int0, $str0) {{<;==;>=}} ($int0, $str0)) ~~ ($int in ($int0, $int0))
isinstance($int, {{int;str;(int, float)}}) ~~ ($decimal {{<;<=;>;==;!=}} $decimal) ~~ ($decimal {{<;==}} $int)
bool($decimal) ~~ $decimal.{{is_zero();is_signed()}}""",
    "str": r"""
$str.{{upper;lower;title;capitalize;swapcase;casefold}}() ~~ $str.{{strip;lstrip;rstrip}}({{;' x';'ab-';'ß'}})
$str.replace($str, $str) ~~ $str[{{;0;1;-2;5}}:{{;1;3;-1}}] ~~ $str[$int0:] ~~ $str[:$int0] ~~ $str[{{0;-1;1}}]
$str[$int0]
$str.split({{',';'@';' ';'ab'}})[{{0;1;-1;2}}] ~~ $str.split()[{{0;1;-1}}] ~~ f'{$int0}-{$str0}' ~~ str($int)
str($float)
f'{$int0:{{5d;03d;,;>6;x}}}|' ~~ str($bool) ~~ ($str + $str) ~~ ($str * {{0;1;2;3;-1}}) ~~ NAMES.get($str, $str)
{{'-';'';', '}}.join($str.split({{;','}})) ~~ $str.{{zfill;ljust;rjust;center}}({{0;3;8;12}}) ~~ NAMES[$str]
str($datetime)
str(MIXED.get($str, $int)) ~~ $date.isoformat() ~~ $date.strftime({{'%Y-%m-%d';'%d.%m.%Y %H'}}) ~~ ($str or $str)
$str.{{removeprefix;removesuffix}}($str) ~~ {{'';'-';'ß'}}.join({{c;c.upper();c + 'x'}} for c in $str) ~~ chr($int)
$str.{{partition;rpartition}}({{',';'a'}})[{{0;1;2}}]
''.join(c for c in $str if {{c.isdigit();c != 'a';c > 'b'}})
str(round($float, 2)) ~~ ($str + $str + $str) ~~ f'{$float0:{{.2f;.0f;10.3f;g}}}' ~~ $str[::-1]
{{'-';''}}.join({{$strs;sorted($words);$counts}}) ~~ $strs[{{0;-1;$int0}}] ~~ {{min;max}}($strs) ~~ ends($strs)[1]
max($strs, key=len) ~~ max($counts, key=$counts.get) ~~ Counter($str0).most_common({{1;2}})[0][0]
'|'.join(f'{k}{v}' for k, v in $counts.items()) ~~ '|'.join(map(str, $ints)) ~~ ' '.join(k for k in $counts)
str(either($int, $str)) ~~ str($decimal) ~~ f'{$decimal0:{{.2f;,.1f;>9;e}}}' ~~ str($decimal) + $str
re.sub({{r'\d+';'[^a-z]';r'\s'}}, {{'';'-'}}, $str) ~~ $str.translate(LETTERS) ~~ $str[::{{2;-1;-3}}] ~~ repr($str)
first($str) ~~ '|'.join(re.split('[a, ]', $str)) ~~ f'{$str0:>{$int0 % 9}}'
$str.rsplit({{',';'a'}}, {{1;2}})[{{0;-1}}] ~~ ('%s-%d' % ($str, $int)) ~~ ($str if $bool else $str)
'{}:{}'.format($str, $int)
'|'.join([w.strip() for w in $str.split(',')]) ~~ {{min;max}}($str, $str)""",
    "date": """
($date {{+;-}} timedelta(days=$int1)) ~~ $date.replace({{day;month;year}}={{1;12;31}}) ~~ $date0 ~~ $date0
$date.replace({{day;month}}=$int0) ~~ date($int0, $int0, $int0) ~~ {{min;max}}($date, $date) ~~ $datetime.date()
($date if $bool else $date)""",
    "datetime": "$datetime0",
    "ints": """
[$int, $int] ~~ [$int0, $int0, $int] ~~ sorted($ints{{;, reverse=True;, key=abs;, key=lambda k: (k % 3, -k)}})
[k {{;+ $int0 }}for k in $ints if k {{>;!=}} $int0] ~~ $ints[{{;1;-2}}:{{;3;-1}}]
$ints[{{;1;-1}}:{{;3;0}}:{{2;-1;-2}}]
($ints + $ints) ~~ ($ints * {{0;2}}) ~~ list(range($int0 % 5)) ~~ list($ints) ~~ [len(w) for w in $strs]
list($counts.values())
sorted($counts.values()) ~~ push($ints, $int) ~~ ($ints if $bool else $ints) ~~ $ints.copy()
list(map(len, $strs))
[a * b for a in $ints[:3] for b in $ints[:2]]""",
    "strs": """
$str.split() ~~ $str.split({{',';'a'}}) ~~ [$str, $str]
sorted($strs{{;, key=len;, key=str.lower;, reverse=True}}) ~~ list($str)
[w.upper() for w in $strs] ~~ sorted($words) ~~ list($counts)
sorted($strs, key=lambda w: (len(w), w), reverse=$bool0)
list(dict.fromkeys($strs)) ~~ [str(k) for k in $ints] ~~ ($strs + $strs) ~~ $strs[{{;1}}:{{;-1}}]
[w for w in $strs if w]""",
    "counts": """
{c: len(c) for c in $strs} ~~ {'a': $int, $str0: $int0} ~~ dict.fromkeys($strs, $int0) ~~ Counter($strs)
{c: k for k, c in enumerate($str0)}
dict(zip($strs, $ints)) ~~ dict($counts) ~~ ($counts if $bool else $counts)""",
    "words": """
set($strs) ~~ {$str0, 'a', $str0} ~~ ($words {{|;&;-;^}} $words) ~~ {c for c in $str0}
$words.{{union;difference}}($words)""",
    "decimal": """
($decimal {{+;-;*}} $decimal) ~~ ($decimal {{+;-;*}} $decimal) ~~ ($decimal {{/;//;%}} $decimal)
($int {{+;*}} $decimal)
($decimal {{/;//;%;-}} $int) ~~ (-$decimal) ~~ (+$decimal) ~~ abs($decimal) ~~ {{min;max}}($decimal, $decimal)
round($decimal, {{0;1;2;-1}})
$decimal.quantize(Decimal({{'0.01';'1';'1E-6';'1E+1'}}){{;, ROUND_HALF_UP;, ROUND_DOWN}})
$decimal.normalize() ~~ Decimal($int) ~~ Decimal($str) ~~ Decimal(str($float)) ~~ ($decimal if $bool else $decimal)
PRICES.get($str, $decimal) ~~ PRICES[$str] ~~ ($decimal {{or;and}} $decimal) ~~ $decimal.quantize($decimal)
sum($decimal0 * k for k in range($int0 % 5)) + $decimal ~~ sum([$decimal, $decimal, $int0])
($decimal ** {{0;1;2;3}})""",
}


def _templates(texts):
    return {t: [e for line in text.strip().split("\n") for e in line.split(" ~~ ")] for t, text in texts.items()}


EXPRESSIONS = _templates(EXPRESSIONS)
# Containers, and statements that change them, by type.
CONTAINERS = {
    "ints": ["[3, 1, 2]", "[]", "[-1]", "[7, 7, 0, 7]"],
    "strs": ["['a', 'b', '']", "['x']", "['DE', 'a', 'ß', 'DE']"],
    "counts": ["{}", "{'a': 1, 'DE': 2}", "Counter('abca')", "defaultdict(int)"],
    "words": ["set()", "{'a', 'b'}", "set('abc')"],
}
CHANGES = {
    "ints": """$v.append($int) ~~ $v.insert($int0, $int) ~~ $v.pop({{;0;-1}}) ~~ $v.remove($int0)
$v.reverse() ~~ $v.sort() ~~ $v += $ints
$v[{{0;-1;$int0}}] {{=;+=;*=}} $int ~~ $v.extend($ints) ~~ $v.sort(key=lambda k: -k) ~~ $v.clear() ~~ del $v[0]
push($v, $int)
if len($v) < 9: $v.extend($v)
$v, *_ = $ints, $int""",
    "strs": """$v.append($str) ~~ $v.insert(1, $str) ~~ $v.pop({{;0}}) ~~ $v.reverse()
$v.sort({{;key=len;reverse=True}}) ~~ $v[0] = $str
$v.extend($str0) ~~ $v.remove($str0) ~~ $v[-1] += $str0 ~~ push($v, $str0)""",
    "counts": """$v[$str] = $int ~~ $v[$str0] += $int0 ~~ $v[$str0] = $v.get($str0, 0) + 1
$v.pop($str0{{;, 0}}) ~~ $v.setdefault($str0, $int)
del $v[$str0] ~~ $v.clear() ~~ for c in $str0: $v[c] = $v.get(c, 0) + 1""",
    "words": "$v.add($str) ~~ $v.discard($str0) ~~ $v.remove($str0) ~~ $v |= $words ~~ $v.update($strs)",
}
CHANGES = _templates(CHANGES)

# Results that nest, and loops over patterns and formats: the first line is the loop.
NESTED = {
    "pair": "($int, $str) ~~ ($int, $str if $bool else None) ~~ (len($strs), $str0)",
    "struct": """{'a': $int, 'b': $str} ~~ {'b': $str, 'a': $int if $bool else None} ~~ {'b': $str} ~~ ($int, $str)
{'a': $int, 'c': $str}""",
    "rows": """[($int, $str), ($int, $str)] ~~ [(k, c) for k, c in enumerate($strs)] ~~ list(zip($ints, $strs)) ~~ []
[{'a': k, 'b': c} for c, k in $counts.items()] ~~ [{'a': $int, 'b': $str}]""",
    "any": """[$int, $float] ~~ [$date, None] ~~ [$decimal, $decimal] ~~ [$ints, $ints] ~~ ($strs, $ints) ~~ $words
[$bool, None, $bool] ~~ {'x': $ints, 'y': {'z': $str}} ~~ ($int, ($str, $float)) ~~ [[w] for w in $strs]
$int ~~ $str ~~ $float ~~ [{'n': k} for k in $ints] ~~ [timedelta(days=$int0)] ~~ $decimal ~~ {k: $str0 for k in $ints}
[($int, $date), ($int, $date)] ~~ [None, $str] ~~ [$int, $str] ~~ {'a': $float, 'b': None}""",
}
NESTED = _templates(NESTED)
# Expressions and changes of these programs alone.
MORE = {
    "int": """sum({$int0, 7}) ~~ sum(k {{%;*}} 3 for k in set($ints)) ~~ max((len(w) for w in $words), default=$int0)
next((k for k in $ints if k > $int0), $int) ~~ sum(1 for _ in filter(None, $strs)) ~~ helper(*($int, $int0))
helper(**{'a': $int, 'b': $int0}) ~~ len($words - WORDS)""",
    "float": """sum([$float, $int0, $float]) ~~ sum(RATES.get(w, 0) for w in $strs)
next(filter(None, [$float, $float]), 1.5) ~~ sum([$int0, $float], {{0.5;1}})""",
    "bool": """any(w in $str for w in {{WORDS;$words}}) ~~ all(len(w) > $int0 for w in $words)
($decimal {{<;>=;==}} $float) ~~ isinstance($ints, {{list;(dict, tuple)}})""",
    "ints": """list(filter({{None;lambda k: k > 2}}, $ints)) ~~ sorted(k % 5 for k in set($ints))""",
    "strs": """[w for w in filter({{None;str.isalpha}}, $strs)] ~~ sorted(w.lower() for w in $words)""",
    "counts": """($counts | $counts) ~~ {**$counts, $str0: $int0}
{'z': $int0, **$counts} ~~ dict($counts, q=$int0)""",
}
MORE = _templates(MORE)
MORE_CHANGES = {
    "ints": """$v[{{;1;$int0}}:{{;-1;3}}] = $ints ~~ del $v[{{;1;-2}}:{{;2;-1}}]
$v.sort(key=lambda k: k % 3, reverse=$bool0)""",
    "strs": "$v[{{;1}}:{{;2}}] = $strs ~~ del $v[:1]",
    "counts": "$v.update($counts) ~~ $v |= $counts ~~ $v.update({$str0: $int0}, q=$int0)",
}
MORE_CHANGES = _templates(MORE_CHANGES)
UNROLLED = [
    r"""for $k in (r'[a-z]+', r'\d+', r'[^a]$'):
    $v = ''
    if m := re.search($k, $str): $v = m.group()""",
    r"""for $k in ['%Y-%m-%d', '%d.%m.%y']:
    $v = ''
    try: $v = str(datetime.strptime($str, $k).date())
    except ValueError: pass""",
    r"""for $k in (r'\s+', ','):
    $v = re.sub($k, '', $str)""",
]
