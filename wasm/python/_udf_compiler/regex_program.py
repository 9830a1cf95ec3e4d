"""Regular expressions to programs of the matcher in the guest's C (wasm/c/compiled/regex.c).

A pattern is read by CPython's own parser. What the matcher wouldn't do exactly as CPython does is refused.
"""

import re
import warnings
from re import _compiler, _parser
from re import _constants as c

from _udf_compiler.errors import NotCompiledError
from _udf_compiler.regex_sets import CHARACTERS, bits, has_others, mask_of, set_of

_FLAGS = re.ASCII | re.IGNORECASE | re.MULTILINE | re.DOTALL | re.VERBOSE | re.UNICODE
_MOST_WORDS = 4_000
_MOST_CHOICES = 256

# Instructions, and places, in the order of regex.c.
_MATCH, _BYTE, _SET, _RUN, _NEXT, _LATER, _JUMP, _SAVE, _AT, _FAIL = range(10)
_PLACES = {c.AT_BEGINNING: 0, c.AT_BEGINNING_STRING: 0, c.AT_END: 2, c.AT_END_STRING: 4}
_PLACES |= {c.AT_BOUNDARY: 5, c.AT_NON_BOUNDARY: 6}
_OF_LINES = {c.AT_BEGINNING: 1, c.AT_END: 3}
_EDGES = (c.AT_BOUNDARY, c.AT_NON_BOUNDARY)
_WANTS_ASCII, _IS_ANCHORED = 1, 2
_HEAD_WORDS = 9
_TYPES = int(re.ASCII | re.LOCALE | re.UNICODE)

_SURROGATES = range(0xD800, 0xE000)

# What may come next, as bits: an ASCII character each, any other character, and ways to go on without a look at it.
_OTHER, _ACCEPT, _ANYWHERE, _AT_END = (1 << 128 + n for n in range(4))
_NEWLINE = 1 << ord("\n")
_BLIND = _ACCEPT | _ANYWHERE | _AT_END

# Of CPython, as they are before any code of a user's runs.
_parse, _parse_template, _compile = _parser.parse, _parser.parse_template, _compiler.compile

_REPEATS = (c.MAX_REPEAT, c.MIN_REPEAT)


class Pattern:
    """A pattern that the matcher can do.

    Attributes:
        groups: The number of its groups.
        names: The numbers of those that have names.
        sure: The numbers of those that are part of each match.
        exact: The numbers of those whose text is known to be the one that CPython has.
    """

    def __init__(self, source, flags):
        """Read a pattern.

        Raises:
            NotCompiledError: The matcher can't do it, or it is none.
        """
        if flags & ~int(_FLAGS):
            raise NotCompiledError("flags of a regular expression other than A, I, M, S and X")
        try:
            with warnings.catch_warnings(action="error"):  # they are the interpreter's to show
                self._tree = _parse(source, flags)
                self._for_templates = _compile(source, flags)
        except (re.error, ValueError, RecursionError, OverflowError, Warning):
            raise NotCompiledError("a pattern that is no regular expression, or one that Python warns of") from None
        self._flags = self._tree.state.flags
        self.groups = self._tree.state.groups - 1
        self.names = dict(self._tree.state.groupdict)
        self.sure, self.exact = set(), set()
        self._words = {}
        self.words(keep_groups=True)

    def words(self, *, keep_groups):
        """Return the program, with or without the places of groups."""
        if keep_groups not in self._words:
            self._words[keep_groups] = _Builder(self, keep_groups).build(self._tree, self._flags)
        return self._words[keep_groups]

    def template(self, replacement):
        """Return the parts of a replacement: texts, and numbers of groups."""
        try:
            return _parse_template(replacement, self._for_templates)
        except (re.error, IndexError):
            raise NotCompiledError("a replacement that doesn't fit its pattern") from None


class _Builder:
    """Makes one program."""

    def __init__(self, pattern, keep_groups):
        self._pattern, self._keep_groups = pattern, keep_groups
        self._words = [0] * _HEAD_WORDS
        self._sets = {}  # by contents: the words that refer to them
        self._choices = 0
        self._wants_ascii = False

    def build(self, tree, flags):
        """Return all words."""
        first = self._first(tree, flags, _ACCEPT)
        self._sequence(tree, flags, _ACCEPT, sure=True, repeated=False)
        self._emit(_MATCH)
        for words, places in self._sets.items():
            for place in places:
                self._words[place] = len(self._words)
            self._words += words
        if len(self._words) > _MOST_WORDS or self._choices > _MOST_CHOICES:
            raise NotCompiledError("a regular expression that is so large")
        slots = 2 * (self._pattern.groups + 1 if self._keep_groups else 1)
        anchored = bool(tree) and tree[0] in ((c.AT, c.AT_BEGINNING), (c.AT, c.AT_BEGINNING_STRING))
        anchored = anchored and not (flags & re.MULTILINE and tree[0][1] is c.AT_BEGINNING)
        self._words[0] = _WANTS_ASCII * self._wants_ascii | _IS_ANCHORED * anchored
        self._words[1:4] = slots, (self._choices + 7) // 8, int(not first & _BLIND)
        self._words[4:9] = *bits(first), int(bool(first & _OTHER))
        return self._words

    # ---- what may come next

    def _first(self, items, flags, follow):
        """Return what some items may begin with, if `follow` is what may come behind them."""
        for op, av in reversed(list(items)):
            follow = self._first_of(op, av, flags, follow)
        return follow

    def _first_of(self, op, av, flags, follow):
        if op in CHARACTERS:
            return self._mask(op, av, flags)
        if op is c.BRANCH:
            made = 0
            for alternative in av[1]:
                made |= self._first(alternative, flags, follow)
            return made
        if op is c.SUBPATTERN:
            return self._first(av[3], _scoped(flags, av), follow)
        if op in _REPEATS:
            least, most, body = av
            if most == 0:
                return follow
            inside = self._first(body, flags, _ACCEPT)
            made = inside & ~_ACCEPT
            return made | follow if least == 0 or inside & _BLIND else made
        if op is c.AT:
            return self._first_at(av, follow)
        return 0 if op is c.FAILURE else follow

    def _first_at(self, av, follow):
        if not follow & _BLIND:
            return follow
        kept = follow & ~_BLIND
        if av is c.AT_END_STRING:
            return kept | _AT_END
        return kept | _AT_END | _NEWLINE if av is c.AT_END else kept | _ANYWHERE

    def _mask(self, op, av, flags):
        words = self._set(op, av, flags)
        return mask_of(words) | (_OTHER if has_others(words) else 0)

    def _set(self, op, av, flags):
        self._wants_ascii |= bool(flags & re.IGNORECASE)
        return set_of(op, av, flags)

    # ---- instructions

    def _emit(self, *words):
        if len(self._words) > _MOST_WORDS:
            raise NotCompiledError("a regular expression that is so large")
        self._words += words
        return len(self._words) - 1

    def _sequence(self, items, flags, follow, *, sure, repeated):
        """Emit items one after the other. `sure`: each match has them; `repeated`: maybe more than once."""
        items = list(items)
        behind = [follow]
        for op, av in reversed(items):
            behind.append(self._first_of(op, av, flags, behind[-1]))
        behind.reverse()
        for number, (op, av) in enumerate(items):
            self._item(op, av, flags, behind[number + 1], sure, repeated)

    def _item(self, op, av, flags, follow, sure, repeated):
        if op in CHARACTERS:
            self._character(op, av, flags)
        elif op is c.BRANCH:
            self._branch(av[1], flags, follow, repeated)
        elif op is c.SUBPATTERN:
            self._group(av, _scoped(flags, av), follow, sure, repeated)
        elif op in _REPEATS:
            self._repeat(op, av, flags, follow, sure, repeated)
        elif op is c.AT:
            self._place(av, flags)
        elif op is c.FAILURE:
            self._emit(_FAIL)
        else:
            raise NotCompiledError(f"a regular expression with {str(op).lower().replace('_', ' ')}")

    def _character(self, op, av, flags):
        if op is c.LITERAL and not flags & re.IGNORECASE:
            if av in _SURROGATES:
                raise NotCompiledError("a regular expression with a lone surrogate")
            for byte in chr(av).encode():
                self._emit(_BYTE, byte)
            return
        self._sets.setdefault(self._set(op, av, flags), []).append(self._emit(_SET, 0))

    def _place(self, av, flags):
        place = _PLACES[av]
        if flags & re.MULTILINE:
            place = _OF_LINES.get(av, place)
        if flags & re.ASCII and av in _EDGES:
            place += 2
        self._emit(_AT, place)

    def _choice(self, kind):
        """Emit a choice; return where to write the place to go to."""
        self._choices += 1
        return self._emit(kind, self._choices - 1, 0)

    def _branch(self, alternatives, flags, follow, repeated):
        ends = []
        for number, alternative in enumerate(alternatives):
            last = number == len(alternatives) - 1
            other = None if last else self._choice(_NEXT)
            self._sequence(alternative, flags, follow, sure=False, repeated=repeated)
            if not last:
                ends.append(self._emit(_JUMP, 0))
                self._words[other] = len(self._words)
        for end in ends:
            self._words[end] = len(self._words)

    def _group(self, av, flags, follow, sure, repeated):
        group, _, _, body = av
        kept = group is not None and self._keep_groups and not repeated
        if group is not None and not repeated:
            self._pattern.exact.add(group)
            self._pattern.sure |= {group} if sure else set()
        if kept:
            self._emit(_SAVE, 2 * group)
        self._sequence(body, flags, follow, sure=sure, repeated=repeated)
        if kept:
            self._emit(_SAVE, 2 * group + 1)

    def _repeat(self, op, av, flags, follow, sure, repeated):
        least, most, body = av
        if most == 0:
            return
        if most == 1:
            body_of_one = lambda again: self._sequence(body, flags, again, sure=sure and least == 1, repeated=repeated)  # noqa: E731
        else:
            if self._first(body, flags, _ACCEPT) & _BLIND:
                raise NotCompiledError("a regular expression that repeats what may be empty")
            body_of_one = lambda again: self._sequence(body, flags, again, sure=sure and least > 0, repeated=True)  # noqa: E731
        again = self._first(body, flags, 0) | follow
        for _ in range(least):
            body_of_one(again)
        kind = _NEXT if op is c.MAX_REPEAT else _LATER
        if most is c.MAXREPEAT:
            self._loop(body, flags, follow, kind, lambda: body_of_one(again))
            return
        ends = [self._optional(kind, lambda: body_of_one(again)) for _ in range(most - least)]
        for end in ends:
            self._words[end] = len(self._words)

    def _optional(self, kind, body):
        """Emit what may be left out; return where to write the place to go to if it is."""
        end = self._choice(kind)
        body()
        return end

    def _loop(self, body, flags, follow, kind, emit_body):
        if kind == _NEXT and len(body) == 1 and body[0][0] in CHARACTERS:
            op, av = body[0]
            # Giving characters back can only help where what follows can begin with one of them.
            if not follow & _ANYWHERE and not follow & self._mask(op, av, flags):
                self._sets.setdefault(self._set(op, av, flags), []).append(self._emit(_RUN, 0))
                return
        top = len(self._words)
        end = self._optional(kind, emit_body)
        self._emit(_JUMP, top)
        self._words[end] = len(self._words)


def _scoped(flags, av):
    """Return the flags inside a group."""
    _, added, removed, _ = av
    if added & _TYPES:
        flags &= ~_TYPES
    return (flags | added) & ~removed
