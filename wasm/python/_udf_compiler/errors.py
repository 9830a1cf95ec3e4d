"""What ends a translation, and the exceptions that compiled code raises and catches by itself."""

import decimal


class NotCompiledError(Exception):
    """The interpreter has to run the function.

    Attributes:
        construct: What stands in the way.
        line: The line of the source where it is; None if it isn't in one.
    """

    def __init__(self, construct, line=None):
        super().__init__(construct)
        self.construct = construct
        self.line = line


# How a row ends other than with a result: left to the interpreter, or by an exception that a handler of the function's
# may catch; uncaught, it is the interpreter that raises it. The first three are those of wasm/c/compiled/context.h.
BAIL = 1
VALUE_ERROR = 2
INDEX_ERROR = 3
KEY_ERROR = 4
ZERO_DIVISION = 5
TYPE_ERROR = 6
ATTRIBUTE_ERROR = 7
OVERFLOW_ERROR = 8
INVALID_OPERATION = 9
DECIMAL_DIVISION_BY_ZERO = 10
RAISED = {
    VALUE_ERROR: ValueError,
    INDEX_ERROR: IndexError,
    KEY_ERROR: KeyError,
    ZERO_DIVISION: ZeroDivisionError,
    TYPE_ERROR: TypeError,
    ATTRIBUTE_ERROR: AttributeError,
    OVERFLOW_ERROR: OverflowError,
    INVALID_OPERATION: decimal.InvalidOperation,
    DECIMAL_DIVISION_BY_ZERO: decimal.DivisionByZero,
}
# Exceptions that a handler may name. Of others it isn't known whether they are raised.
CATCHABLE = (*RAISED.values(), LookupError, ArithmeticError, decimal.DecimalException, Exception)


def kinds_caught(classes):
    """Return the numbers of the exceptions that `except classes` catches."""
    return {kind for kind, raised in RAISED.items() if issubclass(raised, tuple(classes))}
