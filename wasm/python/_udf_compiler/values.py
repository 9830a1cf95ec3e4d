"""Values of a row while it is translated: which types they may have, and where they are."""

MIN, MAX = -(2**63), 2**63 - 1
MOST_DIGITS = 38  # of a decimal


class _Tags(dict):
    """The number of a type in a value's tag. Those of containers are named with their shape: "list 3"."""

    def __missing__(self, name):
        return self[name.partition(" ")[0]]

    def __contains__(self, name):
        return super().__contains__(name) or super().__contains__(name.partition(" ")[0])


TAGS = _Tags(
    {
        "none": 0,
        "bool": 1,
        "int": 2,
        "float": 3,
        "str": 4,
        "date": 5,
        "datetime": 6,
        "timedelta": 7,
        "list": 8,
        "set": 9,
        "dict": 10,
        "decimal": 11,
        "record": 12,
        "struct": 13,
    }
)
# Matches of regular expressions, by the number of the pattern in the program.
TAGS |= {f"match {number}": 100 + number for number in range(16)}
NUMBERS = frozenset({"int", "bool", "float"})

MIN_DAY, MAX_DAY, DAY_US = -719162, 2932896, 86_400_000_000
MIN_US, MAX_US = MIN_DAY * DAY_US, (MAX_DAY + 1) * DAY_US - 1


class Value:
    """A value that the code being made computes.

    Attributes:
        t: The names of the types it may have. None: this point isn't reached.
        i: The operand of 64 bits that holds it unless it is a float. Text has its address in the high
            half and its length in the low one, decimals and containers have their address alone. Dates are days,
            datetimes and timedeltas microseconds.
        f: The operand that holds it if it is a float.
        tag: The operand with the number of its type; None if there is one type only.
        lo: The least integer it can be.
        hi: The greatest.
        k: What it is, if that is known; None: it may not be.
        c: The operand of 32 bits that is 1 if it is true, of a bool.
        items: Its items, of a tuple, which exists only while it is translated.
    """

    __slots__ = ("c", "f", "hi", "i", "items", "k", "lo", "t", "tag")

    def __init__(self, t, i=None, f=None, tag=None, lo=MIN, hi=MAX, k=None, c=None, items=None):
        self.t, self.i, self.f, self.tag, self.lo, self.hi, self.k, self.c, self.items = (
            t,
            i,
            f,
            tag,
            lo,
            hi,
            k,
            c,
            items,
        )

    @property
    def only(self):
        """Its type, None if it may have several or none."""
        return next(iter(self.t)) if len(self.t) == 1 else None

    def member(self, name):
        """Return the value where it is of one of its types."""
        if name == "int":
            return Value(types(name), self.i, self.f, None, self.lo, self.hi)
        return Value(types(name), self.i, self.f)

    def of(self, t):
        """Return the value where it is of some of its types."""
        return Value(t, self.i, self.f, self.tag if len(t) > 1 else None, self.lo, self.hi, self.k, self.c, self.items)


def types(*names):
    """Return a set of types."""
    return frozenset(names)


NEVER = Value(types())
NONE, BOOL, INT, FLOAT, STR = types("none"), types("bool"), types("int"), types("float"), types("str")
DATE, DATETIME, TIMEDELTA = types("date"), types("datetime"), types("timedelta")
DECIMAL = types("decimal")


def tuple_of(items):
    """Return a tuple."""
    return Value(types(f"tuple of {len(items)}"), items=list(items))
