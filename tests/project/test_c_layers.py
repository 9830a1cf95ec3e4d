"""The layers of the guest's C: an #include points down only."""

import re
from pathlib import Path

from tests.support.repository import assert_none

ROOT = Path(__file__).parents[2]
C = ROOT / "wasm" / "c"

# From the top down. A module is a .c file and its header, if it has both.
LAYERS = [
    "start",
    "cursors",
    "translation",
    "exports",
    "failures",
    "host/host_function",
    "host/awaiting",
    "host/call_round",
    "host/pending_call",
    "host/host_call",
    "calls/yielded_columns",
    "calls/argument_rows",
    "calls/append_many",
    "numpy/column_arrays",
    "calls/batch_column",
    "compiled/row_loop",
    "compiled/guards",
    "compiled/decimal_context",
    "compiled/decimal_conversions",
    "compiled/decimal_kernels",
    "compiled/decimal",
    "compiled/result_values",
    "compiled/argument_values",
    "compiled/described",
    "compiled/list_kernels",
    "compiled/table_kernels",
    "compiled/container_order",
    "compiled/containers",
    "compiled/number_kernels",
    "compiled/date_kernels",
    "compiled/text_search",
    "compiled/text_change",
    "compiled/text_split",
    "compiled/text_numbers",
    "compiled/regex_calls",
    "compiled/regex",
    "compiled/text",
    "compiled/context",
    "numpy/array_values",
    "codec/encode",
    "codec/encode_times",
    "codec/encode_scalars",
    "codec/infer",
    "numpy/scalars",
    "numpy/extension_modules",
    "numpy/api",
    "codec/builder",
    "codec/decode",
    "codec/decode_variant",
    "codec/decode_scalars",
    "codec/calendar",
    "codec/types",
    "scrypt",
    "closed_wasi",
    "libc/wcsftime",
    "libc/setlocale",
    "libc/time",
    "libc/libm",
    "libc/strings",
    "abi",
]
FILES = sorted(C.rglob("*.[ch]"))


def module_of(path):
    return path.relative_to(C).with_suffix("").as_posix()


def included_modules(path):
    for name in re.findall(r'^#include "([^"]+)\.h"', path.read_text(), re.MULTILINE):
        if (C / f"{name}.h").exists():  # not a header of nanoarrow's or CPython's
            yield name


def test_every_c_module_has_a_layer():
    assert {module_of(path) for path in FILES} == set(LAYERS)


def test_includes_point_down():
    upwards = [
        f"{module_of(path)} includes {included}"
        for path in FILES
        for included in included_modules(path)
        if included != module_of(path) and LAYERS.index(included) < LAYERS.index(module_of(path))
    ]
    assert_none(upwards)


def test_includes_name_the_folder():
    """The path from wasm/c."""
    found = [
        (path, name) for path in FILES for name in re.findall(r'^#include "([^"]+)"', path.read_text(), re.MULTILINE)
    ]
    assert_none((path, name) for path, name in found if path.parent != C and (path.parent / name).exists())


def test_c_files_have_names_of_their_own():
    """The linker's step puts all objects into one folder."""
    stems = [path.stem for path in C.rglob("*.c")]
    assert len(set(stems)) == len(stems)


def test_c_files_stay_readable():
    assert_none(path for path in FILES if len(path.read_text().splitlines()) > 400)
