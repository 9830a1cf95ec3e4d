"""Sets of characters of regular expressions, as the matcher in the guest's C has them (wasm/c/compiled/regex.c)."""

import functools
import re
from re import _compiler
from re import _constants as c

from _udf_compiler.errors import NotCompiledError

# What of a parsed pattern takes one character.
CHARACTERS = (c.LITERAL, c.NOT_LITERAL, c.ANY, c.IN)

# The mode of a set for characters beyond ASCII, and the items of those that are looked at.
_NEVER, _ALWAYS, _LOOK = range(3)
_RANGE, _WORD, _DIGIT, _SPACE, _NO_WORD, _NO_DIGIT, _NO_SPACE = range(7)
_CATEGORIES = {
    c.CATEGORY_WORD: (_WORD, r"\w"),
    c.CATEGORY_DIGIT: (_DIGIT, r"\d"),
    c.CATEGORY_SPACE: (_SPACE, r"\s"),
    c.CATEGORY_NOT_WORD: (_NO_WORD, r"\W"),
    c.CATEGORY_NOT_DIGIT: (_NO_DIGIT, r"\D"),
    c.CATEGORY_NOT_SPACE: (_NO_SPACE, r"\S"),
}
_OPPOSITES = (_NO_WORD, _NO_DIGIT, _NO_SPACE)
_LAST_ASCII, _LAST = 0x7F, 0x10FFFF
_compile = _compiler.compile  # as it is before any code of a user's runs


def set_of(op, av, flags):
    """Return the words of a set of characters: of one of CHARACTERS."""
    return _set_of(op, tuple(av) if op is c.IN else av, flags & (re.ASCII | re.IGNORECASE | re.DOTALL))


@functools.cache
def _set_of(op, av, flags):
    items = _items(op, av, flags)
    negated = items[:1] == [None]
    items = items[negated:]
    mask = _ascii_mask(_source(op, av), flags)
    if flags & re.ASCII:
        items = [_of_ascii(item) for item in items]
    beyond = [item for item in items if item[0] != _RANGE or item[2] > _LAST_ASCII]
    everything = any(item[0] == _RANGE and item[1] <= _LAST_ASCII + 1 and item[2] == _LAST for item in beyond)
    if everything or not beyond:
        return (*bits(mask), _NEVER if everything == negated else _ALWAYS, 0, 0)
    return (*bits(mask), _LOOK, int(negated), len(beyond), *[word for item in beyond for word in item])


def bits(mask):
    """Return the words of a set of ASCII characters."""
    return [mask >> 32 * number & 0xFFFFFFFF for number in range(4)]


def mask_of(words):
    """Return the ASCII characters of a set as the bits of a number."""
    return sum(word << 32 * number for number, word in enumerate(words[:4]))


def has_others(words):
    """Return whether a set may have characters beyond ASCII."""
    return words[4] != _NEVER


def _items(op, av, flags):
    """Return the items of a set as (kind, first, last), after None if it has all characters but these."""
    if op is c.ANY:
        return [None] if flags & re.DOTALL else [None, (_RANGE, 10, 10)]
    if op is not c.IN:
        return [*([None] if op is c.NOT_LITERAL else []), (_RANGE, av, av)]
    made = []
    for kind, value in av:
        if kind is c.NEGATE:
            made.append(None)
        elif kind is c.CATEGORY and value in _CATEGORIES:
            made.append((_CATEGORIES[value][0], 0, 0))
        elif kind in (c.LITERAL, c.RANGE):
            made.append((_RANGE, value, value) if kind is c.LITERAL else (_RANGE, *value))
        else:
            raise NotCompiledError("a regular expression with such a set")
    return made


def _of_ascii(item):
    """Return what an item has beyond ASCII if categories are those of ASCII."""
    if item[0] == _RANGE:
        return item
    return (_RANGE, _LAST_ASCII + 1, _LAST) if item[0] in _OPPOSITES else (_RANGE, 0, 0)


@functools.cache
def _ascii_mask(source, flags):
    """Return the ASCII characters that match a set. The answer is CPython's."""
    match = _compile(source, flags).match
    return sum(1 << point for point in range(128) if match(chr(point)))


def _source(op, av):
    """Return a set as a pattern."""
    if op is c.ANY:
        return "."
    if op is c.LITERAL:
        return f"[{_escaped(av)}]"
    if op is c.NOT_LITERAL:
        return f"[^{_escaped(av)}]"
    return f"[{''.join([_item_source(kind, value) for kind, value in av])}]"


def _item_source(kind, value):
    if kind is c.NEGATE:
        return "^"
    if kind is c.CATEGORY:
        return _CATEGORIES[value][1]
    return _escaped(value) if kind is c.LITERAL else f"{_escaped(value[0])}-{_escaped(value[1])}"


def _escaped(point):
    return f"\\U{point:08x}"
