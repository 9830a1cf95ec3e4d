"""The modules of CPython's tests that are run: those for what people's functions rely on."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from wasm.build import config, fetch

if TYPE_CHECKING:
    from pathlib import Path

# The hash over Lib/test, as `files_sha256` in wasm/config.toml.
TESTS_SHA256 = "4dbc99cd54b7a72771808403a6680fe8fce3fc641a5319bd860d91d0f6249896"

# A package's tests are run as the package loads them.
MODULES = (
    # formats
    *(
        "test_json",
        "test_tomllib",
        "test_csv",
        "test_configparser",
        "test_xml_etree",
        "test_xml_etree_c",
        "test_pyexpat",
    ),
    *("test_minidom", "test_sax", "test_pulldom", "test_plistlib", "test_html", "test_htmlparser", "test_email"),
    *("test_mimetypes", "test_urlparse", "test_ipaddress", "test_http_cookies", "test_http_cookiejar", "test_netrc"),
    *("test_robotparser", "test_base64", "test_binascii", "test_quopri", "test_uuid", "test_xml_dom_minicompat"),
    *("test_xml_dom_xmlbuilder", "test_wave"),
    # text
    *("test_re", "test_string", "test_textwrap", "test_difflib", "test_shlex", "test_fnmatch", "test_pprint"),
    *("test_reprlib", "test_stringprep", "test_str", "test_bytes", "test_format", "test_fstring"),
    *("test_string_literals", "test_userstring", "test_unicodedata", "test_ucn", "test_unicode_identifiers"),
    *("test_codecs", "test_codeccallbacks", "test_charmapcodec", "test_multibytecodec", "test_codecencodings_cn"),
    *("test_codecencodings_hk", "test_codecencodings_iso2022", "test_codecencodings_jp", "test_codecencodings_kr"),
    *("test_codecencodings_tw", "test_gettext"),
    # dates and times
    *("test_datetime", "test_zoneinfo", "test_calendar", "test_time", "test_strptime", "test_strftime", "test_locale"),
    *("test__locale", "test_sched"),
    # numbers
    *(
        "test_decimal",
        "test_fractions",
        "test_statistics",
        "test_math",
        "test_math_property",
        "test_cmath",
        "test_float",
    ),
    *("test_int", "test_long", "test_int_literal", "test_complex", "test_bool", "test_numeric_tower"),
    *("test_abstract_numbers", "test_pow", "test_strtod", "test_hash", "test_random", "test_secrets", "test_colorsys"),
    # bytes
    *(
        "test_hashlib",
        "test_hmac",
        "test_zlib",
        "test_gzip",
        "test_zipfile",
        "test_tarfile",
        "test_struct",
        "test_array",
    ),
    *("test_memoryview", "test_buffer", "test_marshal", "test_pickle", "test_picklebuffer", "test_pickletools"),
    *("test_copy", "test_copyreg", "test_io", "test_memoryio", "test_univnewlines"),
    # collections
    *("test_list", "test_dict", "test_dictviews", "test_dictcomps", "test_ordered_dict", "test_defaultdict"),
    *("test_userdict", "test_userlist", "test_set", "test_setcomps", "test_tuple", "test_structseq", "test_deque"),
    *(
        "test_collections",
        "test_sort",
        "test_heapq",
        "test_bisect",
        "test_graphlib",
        "test_itertools",
        "test_functools",
    ),
    *("test_operator", "test_enum", "test_dataclasses", "test_typing", "test_types", "test_genericalias"),
    *("test_type_params", "test_type_annotations", "test_type_aliases", "test_abc", "test_weakref", "test_weakset"),
    *("test_gc", "test_generators", "test_genexps", "test_listcomps", "test_iter", "test_iterlen", "test_enumerate"),
    *("test_slice", "test_range", "test_yield_from", "test_generator_stop", "test_contextlib", "test_contextlib_async"),
    *("test_context", "test_asyncgen", "test_coroutines"),
    # asyncio
    *("test_asyncio.test_base_events", "test_asyncio.test_context", "test_asyncio.test_eager_task_factory"),
    *("test_asyncio.test_futures", "test_asyncio.test_futures2", "test_asyncio.test_locks"),
    *(
        "test_asyncio.test_pep492",
        "test_asyncio.test_protocols",
        "test_asyncio.test_queues",
        "test_asyncio.test_runners",
    ),
    *("test_asyncio.test_staggered", "test_asyncio.test_streams", "test_asyncio.test_taskgroups"),
    *("test_asyncio.test_tasks", "test_asyncio.test_timeouts", "test_asyncio.test_transports"),
    "test_asyncio.test_waitfor",
    # the language
    *("test_exceptions", "test_exception_group", "test_except_star", "test_baseexception", "test_exception_hierarchy"),
    *("test_exception_variations", "test_raise", "test_with", "test_traceback", "test_warnings", "test_patma"),
    *("test_descr", "test_class", "test_genericclass", "test_super", "test_scope", "test_subclassinit"),
    *(
        "test_metaclass",
        "test_property",
        "test_decorators",
        "test_dynamicclassattribute",
        "test_isinstance",
        "test_call",
    ),
    *("test_extcall", "test_keywordonlyarg", "test_positional_only_arg", "test_funcattrs", "test_unpack"),
    *("test_unpack_ex", "test_augassign", "test_binop", "test_compare", "test_richcmp", "test_contains", "test_index"),
    *("test_unary", "test_named_expressions", "test_dynamic", "test_finalization", "test_frame", "test_grammar"),
    *("test_syntax", "test_flufl", "test_eof", "test_longexp", "test_keyword", "test_global", "test_future_stmt"),
    *("test_pep646_syntax", "test_utf8source", "test_source_encoding", "test_type_comments", "test_type_cache"),
    *("test_typechecks", "test_builtin", "test_print"),
    # tools
    *("test_ast", "test_compile", "test_tokenize", "test_unparse", "test_symtable", "test_opcodes", "test_peepholer"),
    *("test_dis", "test_code", "test_codeop", "test_code_module", "test_inspect", "test_linecache", "test_pkgutil"),
    *("test_pydoc", "test_timeit", "test_trace", "test_tracemalloc", "test_profile", "test_cprofile", "test_sys"),
    *("test_sys_settrace", "test_sys_setprofile", "test_monitoring", "test_errno", "test_stat", "test_logging"),
    *("test_argparse", "test_optparse", "test_getopt", "test_cmd", "test_doctest", "test_unittest", "test_rlcompleter"),
    *("test_posixpath", "test_ntpath", "test_pathlib", "test_platform", "test_atexit"),
)

# Those that are run with the project's other tests: the C library's functions first, and what costs little.
FAST = (
    *("test_json", "test_csv", "test_re", "test_base64", "test_struct", "test_datetime", "test_time", "test_strptime"),
    *("test_strftime", "test_locale", "test__locale", "test_calendar", "test_math", "test_cmath", "test_float"),
    *("test_complex", "test_strtod", "test_string_literals", "test_dataclasses", "test_functools", "test_contextlib"),
    *("test_list", "test_dict", "test_hashlib", "test_tokenize", "test_str", "test_bytes", "test_collections"),
)


def fetch_tests() -> Path:
    """Return the directory of CPython's tests, from the archive that the guest's build uses.

    Raises:
        StepError: No place has the archive, or it can't be kept.
    """
    source = dataclasses.replace(
        config.load().sources["python"], files=("Lib/test",), without=(), files_sha256=TESTS_SHA256
    )
    return fetch.fetch(source, config.workspace() / "sources") / "Lib" / "test"
