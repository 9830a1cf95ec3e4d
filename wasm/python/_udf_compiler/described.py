"""What values hold that nest, as C reads it: wasm/c/compiled/described.h."""

from _udf_compiler.shapes import MIXED, kind_of
from _udf_compiler.values import TAGS

_CONTAINERS = ("list", "dict", "record", "struct")  # in the order of the numbers there
_FIELD_WORDS = 2 + len(_CONTAINERS)
_HEAD_WORDS = 6


def describe(code, t):
    """Return the address of the description of a value of some types, as instructions."""
    described = _Words(code)
    described.words += [0] * _FIELD_WORDS
    described.field(0, 0, t, MIXED)
    offset = code.program.constants.half_words(described.words)
    base = [("local.get", code.constants), ("i64.const", 32), "i64.shr_u", "i32.wrap_i64"]
    return [*base, ("i32.const", offset), "i32.add"]


class _Words:
    """A description under construction.

    Attributes:
        words: It so far.
    """

    def __init__(self, code):
        self.words = []
        self._code, self._numbers = code, {}

    def field(self, at, offset, t, type_number):
        """Write a field of some types; the containers that it may hold are written behind all there is."""
        shapes = {kind_of(name): self._code.program.shapes.of(name) for name in t if kind_of(name) is not None}
        numbers = [self._container(shapes[kind]) if kind in shapes else 0 for kind in _CONTAINERS]
        self.words[at : at + _FIELD_WORDS] = [offset, type_number, *numbers]

    def _container(self, shape):
        if shape.name in self._numbers:
            return self._numbers[shape.name]
        at = self._numbers[shape.name] = len(self.words)
        keys, values = shape.key_fields(), shape.value_fields()
        constants = self._code.program.constants
        names = [number for name in shape.names for number in constants.text(name)]
        tuples = int(shape.keys.is_tuple), int(shape.values.is_tuple)
        head = [shape.stride, len(keys), tuples[0], len(values), tuples[1], constants.half_words(shape.described())]
        self.words += [*head, *[0] * (_FIELD_WORDS * len(keys + values)), *names]
        for number, (offset, t) in enumerate(keys + values):
            type_number = TAGS[next(iter(t))] if len(t) == 1 else MIXED
            self.field(at + _HEAD_WORDS + _FIELD_WORDS * number, offset, t, type_number)
        return at
