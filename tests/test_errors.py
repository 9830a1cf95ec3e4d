import inspect
import typing

from duckdb_wasi_udf import _errors
from duckdb_wasi_udf._errors import GuestError, LimitExceeded, WasiUdfError


def test_every_error_is_in_one_tree_and_in_the_docstring():
    errors = [value for _, value in inspect.getmembers(_errors, inspect.isclass)]
    for error in errors:
        if error is typing.Any:
            continue
        assert issubclass(error, WasiUdfError)
        assert error.__name__ in _errors.__doc__


def test_a_limit_error_says_limit_allowed_and_requested():
    error = LimitExceeded("too much", limit="result_bytes", allowed=10, requested=20)
    assert (str(error), error.limit, error.allowed, error.requested) == ("too much", "result_bytes", 10, 20)


def test_a_guest_error_carries_where_it_happened():
    error = GuestError("text", type_name="ValueError", guest_traceback="...", row=3, arguments=("1",))
    assert (error.type_name, error.guest_traceback, error.row, error.arguments) == ("ValueError", "...", 3, ("1",))
