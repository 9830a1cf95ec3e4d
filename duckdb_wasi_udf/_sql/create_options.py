"""The name, code and options that `py_create_function` takes, checked."""

from __future__ import annotations

import json
from typing import Any

from duckdb_wasi_udf._errors import SignatureError
from duckdb_wasi_udf._text import readable

# What `py_create_function` takes as options, with the type of each.
_OPTIONS: dict[str, type] = {
    "kind": str,
    "entry": str,
    "schema": str,
    "parameters": list,
    "return_type": str,
    "null_handling": str,
    "exception_handling": str,
    "side_effects": bool,
    "replace": bool,
    "persist": bool,
}

# Those that functions of each kind have.
_TYPED = {"parameters", "return_type"}

_KINDS = {
    "scalar": _TYPED | {"null_handling", "exception_handling", "side_effects"},
    "aggregate": _TYPED,
    "table": {"schema"},
}

LONGEST_NAME = 200


def check_name_and_code(label: str, name: Any, source: Any) -> None:
    """Refuse what SQL can't create a function with: a name that is taken or unreadable, or no code."""
    if not isinstance(name, str) or not isinstance(source, str):
        msg = f"{label}: the name and the code are VARCHAR, and not NULL"
        raise SignatureError(msg)
    if not name or len(name) > LONGEST_NAME or not name.isprintable() or name.lower().startswith("py_"):
        msg = (
            f"{label}: {readable(name)[:LONGEST_NAME]!r} can't be a name: it has 1 to {LONGEST_NAME} characters, "
            "all printable, and doesn't begin with py_"
        )
        raise SignatureError(msg)


def checked_options(label: str, options: Any) -> dict[str, Any]:
    """Return the options that are not NULL, each of the type it has to have."""
    if options is not None and not isinstance(options, dict):
        msg = f"{label}: options are a STRUCT, such as {{'return_type': 'BIGINT'}}; got {options!r:.200}"
        raise SignatureError(msg)
    given = {name: value for name, value in (options or {}).items() if value is not None}
    for name, value in given.items():
        wanted = _OPTIONS.get(name)
        if wanted is None:
            msg = f"{label}: there is no option {readable(name)!r}; there are: {', '.join(_OPTIONS)}"
            raise SignatureError(msg)
        if not isinstance(value, wanted) or (
            isinstance(value, list) and not all(isinstance(item, str) for item in value)
        ):
            what = {str: "VARCHAR", bool: "BOOLEAN", list: "VARCHAR[]"}[wanted]
            msg = f"{label}: the option {name} is {what}, got {value!r:.200}"
            raise SignatureError(msg)
    kind = given.get("kind", "scalar")
    if kind not in _KINDS:
        msg = f"{label}: kind must be one of {', '.join(map(repr, _KINDS))}; got {kind!r:.200}"
        raise SignatureError(msg)
    surplus = given.keys() - _KINDS[kind] - {"kind", "entry", "replace", "persist"}
    if surplus:
        msg = f"{label}: a function of the kind {kind!r} has no option {', '.join(sorted(surplus))}"
        raise SignatureError(msg)
    return given


def stored_options(text: object) -> dict[str, Any]:
    """Return the options that are stored as the text of a JSON object."""
    try:
        value = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        msg = "its stored options are no JSON object"
        raise SignatureError(msg)
    return value
