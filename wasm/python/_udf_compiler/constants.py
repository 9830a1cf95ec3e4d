"""The constants of a compiled function, in one piece of memory: texts, tables of keys, and arrays of values."""

import struct

from _udf_compiler.errors import NotCompiledError

_PADDING = bytes(16)  # text is read 8 bytes at a time


class Constants:
    """Texts and tables by their offsets."""

    def __init__(self):
        self._blob = bytearray(_PADDING)
        self._texts = {}
        self._tables = {}

    def __bytes__(self):
        return bytes(self._blob)

    def text(self, text):
        """Return a text's (offset, number of bytes)."""
        if text not in self._texts:
            try:
                data = text.encode()
            except UnicodeEncodeError:
                raise NotCompiledError("a constant with a lone surrogate") from None
            self._texts[text] = len(self._blob), len(data)
            self._blob += data + _PADDING
        return self._texts[text]

    def words(self, values):
        """Return the offset of an array of 64-bit integers."""
        data = b"".join([(value & 2**64 - 1).to_bytes(8, "little") for value in values])
        return self._place(("words", data), data)

    def half_words(self, values):
        """Return the offset of an array of unsigned integers of 32 bits."""
        data = struct.pack(f"<{len(values)}I", *values)
        return self._place(("words", data), data)

    def numbers(self, values):
        """Return the offset of an array of floats."""
        data = struct.pack(f"<{len(values)}d", *values)
        return self._place(("words", data), data)

    def decimal(self, value):
        """Return the offset of a finite Decimal: struct decimal of wasm/c/compiled/decimal_kernels.c."""
        sign, digits, exponent = value.as_tuple()
        number = int("".join(map(str, digits)))
        data = struct.pack("<QQiI", number & 2**64 - 1, number >> 64, exponent, sign)
        return self._place(("decimal", data), data)

    def decimals(self, values):
        """Return the offset of an array of Decimals, each relative to the constants."""
        return self.words([self.decimal(value) << 32 for value in values])

    def texts(self, values):
        """Return the offset of an array of texts, each relative to the constants."""
        return self.words([offset << 32 | length for offset, length in map(self.text, values)])

    def keys(self, keys):
        """Return the offset of a hash table of texts, which `k_dict` reads (wasm/c/compiled/text_search.c)."""
        size = 4
        while size < 2 * len(keys):
            size *= 2
        slots = [(0, 0, 0, 0)] * size
        for number, key in enumerate(keys):
            offset, length = self.text(key)
            hashed = _hash(key.encode())
            i = hashed & (size - 1)
            while slots[i][3]:
                i = (i + 1) & (size - 1)
            slots[i] = (hashed, offset, length, number + 1)
        words = [size - 1, *[word for slot in slots for word in slot]]
        return self._place(("keys", tuple(keys)), struct.pack(f"<{len(words)}I", *words))

    def _place(self, key, data):
        if key not in self._tables:
            self._blob += bytes(-len(self._blob) % 8)
            self._tables[key] = len(self._blob)
            self._blob += data
        return self._tables[key]


def _hash(data):
    hashed = len(data) * 0x9E3779B1 & 0xFFFFFFFF
    for byte in data:
        hashed = (hashed ^ byte) * 0x01000193 & 0xFFFFFFFF
    return hashed ^ hashed >> 15
