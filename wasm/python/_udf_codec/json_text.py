"""Checks of JSON text that functions return."""

import json

# Numbers stay text: only the form counts, and a long integer would take long.
_decode = json.JSONDecoder(parse_int=str, parse_float=str).decode


def check(text):
    """Raise a ValueError if a str isn't JSON. NaN and Infinity are let through, as DuckDB does."""
    try:
        value = _decode(text)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair is no character
    except UnicodeEncodeError:
        reason = "it has half a surrogate pair"
    except RecursionError:
        reason = "it nests too deep"
    except ValueError as error:
        reason = str(error)
    else:
        return
    raise ValueError(
        f"the function returned {text[:60]!r}{'...' if len(text) > 60 else ''}, which is not JSON ({reason}); return "
        "json.dumps(x), or x itself"
    )
