import itertools
import random
import sys

import pytest

from tests.native import fuzz


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    if sys.platform == "win32":
        pytest.skip("the fuzzer needs mmap")
    return fuzz.build(tmp_path_factory.mktemp("fuzz"), address_sanitizer=False)


def test_tampered_results_are_taken_only_where_they_are_good(program):
    """A fixed-seed part of the long run (`python -m tests.native.fuzz`), under UBSan and between guard pages."""
    said = fuzz.run(program, 150_000)
    results, taken = (int(word) for word in said.split() if word.isdecimal())
    assert results == 150_000
    assert 20_000 < taken < 120_000


def test_inputs_of_the_guided_fuzzer_are_read_as_they_should(program):
    """Those that together reach what it has reached: see docs/contributing/fuzzing.md."""
    assert fuzz.replay(program) == len(fuzz.CORPUS.read_text(encoding="ascii").split()) > 300


# What may be wrong, or looks as if it were: the first and last of each kind, cut characters, bytes that begin none.
SEQUENCES = [
    *("\x7f", "\x80", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\uffff", "\U00010000", "\U0010ffff", "ää", "日本"),
    *(b"\x80", b"\xbf", b"\xc0\x80", b"\xc1\xbf", b"\xc2", b"\xc2\x7f", b"\xc2\xc0", b"\xdf\xbf\xbf"),
    *(b"\xe0\x9f\xbf", b"\xe0\xa0", b"\xe1\x80", b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xef\xbf\xc0"),
    b"\xe1\x80\x80\x80",
    *(b"\xf0\x8f\xbf\xbf", b"\xf0\x90\x80", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xf7\xbf\xbf\xbf"),
    *(b"\xf8", b"\xff"),
]


def is_utf8(text):
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_texts_are_taken_if_pythons_decoder_takes_them(program, tmp_path):
    """Each sequence at each place of texts of each length to 70 and of some more, amid ASCII and longer characters."""
    sequences = [each if isinstance(each, bytes) else each.encode() for each in SEQUENCES]
    cases = []
    for size, each, fill in itertools.product((*range(71), 80, 81, 147), sequences, (b"a", "é".encode(), "€".encode())):
        for place in range(0, size - len(each) + 1, len(fill)):
            rest = fill * (size // len(fill))
            text = rest[:place] + each + rest[place : size - len(each)]
            cases.append((text, len(cases) % (len(text) + 1)))
    source = random.Random(1)
    for size in range(300):
        text = bytearray(("aä€😀" * 300).encode()[:size])
        cases.append((bytes(text), size))
        if text:
            text[source.randrange(size)] = source.randrange(256)
            cases.append((bytes(text), size))
    taken = fuzz.read_texts(program, cases, tmp_path)
    expected = [is_utf8(text[:cut]) and is_utf8(text[cut:]) for text, cut in cases]
    assert taken == expected
    assert 10_000 < sum(expected) < len(cases) - 10_000
