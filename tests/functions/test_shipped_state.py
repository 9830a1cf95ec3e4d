"""Functions and classes arrive as they are when they are registered, whatever was done to them since they were written.

What is right says this process: each function is run here, after it was shipped, and in the guest.
"""

import abc
import asyncio
import collections
import contextlib
import dataclasses
import datetime as dt
import enum
import functools
import typing
from typing import Generic, NamedTuple, TypedDict, TypeVar

import pyarrow as pa
import pytest

from duckdb_wasi_udf._functions.shipping import ship
from tests.support.guests import start


def same(function, *values):
    """Whether a function of integers returns what it returns here."""

    def shown(*values):
        return repr(function(*values))

    instance = start(ship(shown, "shown", return_null=False), *[pa.int64()] * len(values))
    columns = [pa.array([value], pa.int64()) for value in values]
    found = instance.call(columns, 1)[0].to_pylist()[0]
    expected = shown(*values)
    assert found == expected
    return True


# ---- defaults ----------------------------------------------------------------------------------------------------

rate = 50


def priced(rate):
    return lambda x, rate=rate: x * rate


def scaled(x, factor=rate, /, *, more=(rate, [rate])):
    return x * factor + more[1][0]


rate = 60


class Priced:
    def __init__(self, x, rate=rate):
        self.x, self.rate = x, rate

    def price(self, *, discount=rate // 10):
        return self.x * self.rate - discount


rate = 1


def test_a_default_is_the_value_it_had():
    assert same(priced(7), 10)
    assert same(scaled, 2)
    assert same(lambda x: scaled(x) + priced(3)(x), 2)
    assert same(lambda x: Priced(x).price(), 2)


def test_functions_made_in_a_loop_differ_by_their_defaults():
    made = [lambda x, n=n: x + n for n in range(3)]
    assert all(same(each, 1) for each in made)
    assert same(lambda x: [each(x) for each in made], 1)


def test_a_mutable_default_lasts_from_row_to_row():
    def gather(x, seen=[]):  # noqa: B006 - what is tested
        seen.append(x)
        return len(seen)

    gather(0)
    instance = start(ship(gather, "gather", return_null=False), pa.int64())
    assert instance.call([pa.array([1, 2, 3])], 3)[0].to_pylist() == [2, 3, 4]


def test_a_default_that_was_changed():
    def shifted(x, by=1, *, and_by=2):
        return x + by + and_by

    shifted.__defaults__ = (10,)
    shifted.__kwdefaults__ = {"and_by": 100}
    assert same(shifted, 1)


# ---- closures and attributes of functions ------------------------------------------------------------------------


def test_closures_share_their_variables():
    def counter():
        count = 0

        def add():
            nonlocal count
            count += 1
            return count

        return add, lambda: count

    add, current = counter()
    add()
    expected = [1, 2, 2]

    def both():
        return [current(), add(), current()]

    instance = start(ship(both, "both", return_null=False))
    assert instance.call([], 1)[0].to_pylist() == [expected]


calls = 5


def call():
    global calls  # noqa: PLW0603 - what is tested
    calls += 1
    return calls


def test_functions_of_a_module_share_its_globals():
    def count():
        return [calls, call(), calls]

    instance = start(ship(count, "count", return_null=False))
    assert instance.call([], 1)[0].to_pylist() == [[5, 6, 6]]


def test_functions_that_call_each_other_through_closures():
    def even(n):
        return n == 0 or odd(n - 1)

    def odd(n):
        return n != 0 and even(n - 1)

    assert same(even, 10)
    assert same(odd, 10)


def test_attributes_of_functions():
    def weighed(x):
        return x * weighed.weight

    weighed.weight = 3
    assert same(weighed, 2)
    weighed.weight = 4
    assert same(weighed, 2)


def loud(times=2):
    def decorate(function):
        @functools.wraps(function)
        def wrapper(*args, **keywords):
            return f"{function(*args, **keywords)}{'!' * times}"

        return wrapper

    return decorate


@loud(times=3)
def greet(x: int) -> str:
    """Docstring."""
    return f"hello {x}"


@functools.singledispatch
def kind_of(value):
    return "something"


@kind_of.register
def _(value: int):
    return f"the number {value}"


@kind_of.register(list)
def _(value):
    return [kind_of(item) for item in value]


@contextlib.contextmanager
def doubled(x):
    yield x * 2


@functools.cache
def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


fibonacci.of = "rabbits"


def test_decorated_functions():
    assert same(greet, 1)
    assert same(lambda: (greet.__name__, greet.__doc__, greet.__wrapped__(2)))
    assert same(lambda x: kind_of([x, [x], "x"]), 1)
    assert same(lambda x: (fibonacci(x), fibonacci.of, fibonacci.__name__), 50)
    assert same(functools.partial(greet, 5))

    def within(x):
        with doubled(x) as y:
            return y

    assert same(within, 4)
    definition = ship(greet, "greet", return_null=False)
    assert start(definition, pa.int64()).description["returns"]["sql"] == "VARCHAR"


def test_texts_over_several_lines_stay_as_they_are():
    class Query:
        def text(self):
            return """
                SELECT
              x
        """

    def text():
        return """
        a
b"""

    assert same(text)
    assert same(lambda: Query().text())


# ---- classes -----------------------------------------------------------------------------------------------------


class Config:
    RATE = 1
    names: typing.ClassVar = ["a"]

    def rate(self):
        return self.RATE


Config.RATE = 5
Config.names.append("b")
Config.added = lambda self: self.rate() + 1


class Base:
    def __init__(self, x=1):
        self.x = x

    def name(self):
        return "base"


class Derived(Base):
    def __init__(self, x=2):
        super().__init__(x + 1)

    def name(self):
        return super().name() + " derived" + self.__secret()

    def __secret(self):
        return " secret"

    @property
    def twice(self):
        return self.x * 2

    @twice.setter
    def twice(self, value):
        self.x = value // 2

    @staticmethod
    def added(x):
        return x + 1

    @classmethod
    def make(cls, x):
        return cls(x)

    @functools.cached_property
    def cached(self):
        return [self.x]

    @functools.lru_cache  # noqa: B019 - what is tested
    def remembered(self, y):
        return y


def replaced(self):
    return f"replaced {self.x}"


Base.name = replaced


def test_attributes_of_classes_are_those_of_now():
    assert same(lambda x: (x * Config.RATE, Config().rate(), Config.names, Config().added()), 10)


def test_methods_that_were_replaced():
    assert same(lambda: (Derived().name(), Base(7).name()))


def test_methods_of_every_kind():
    def uses():
        made = Derived.make(3)
        made.twice = 10
        return made.twice, made.added(1), made.cached, made.remembered(4), type(made).__mro__[1].__name__

    assert same(uses)


def test_a_class_with_variables_of_a_function():
    offset = 40

    class Local:
        start = offset

        def add(self, x):
            return x + offset + Local.start

    offset = 2
    assert same(lambda x: Local().add(x), 2)


registered = []


def register(kind):
    registered.append(kind)
    kind.number = len(registered)
    return kind


class Plugin:
    found: typing.ClassVar = []

    def __init_subclass__(cls, *, tag=None):
        Plugin.found.append(cls.__name__)
        cls.tag = tag


@register
class First(Plugin, tag="first"):
    pass


@register
class Second(Plugin, tag="second"):
    pass


class Meta(type):
    def __new__(cls, name, bases, namespace):
        made = super().__new__(cls, name, bases, namespace)
        made.extra = name * 2
        return made

    def hello(cls):
        return f"hello {cls.extra}"


class WithMeta(metaclass=Meta):
    pass


def test_a_class_statement_is_not_run_again():
    assert same(lambda: ([kind.__name__ for kind in registered], First.number, Second.number, registered[0] is First))
    assert same(lambda: (Plugin.found, First.tag, Second.tag))
    assert same(lambda: (WithMeta.hello(), WithMeta.extra))

    def makes_one():
        class Third(Plugin, tag="third"):
            pass

        return Third.tag

    assert start(ship(makes_one, "f", return_null=False)).call([], 1)[0].to_pylist() == ["third"]


T = TypeVar("T")


class Box(Generic[T]):
    def __init__(self, item: T) -> None:
        self.item = item


class Shape(abc.ABC):
    @property
    @abc.abstractmethod
    def area(self): ...


class Square(Shape):
    def __init__(self, side):
        self.side = side

    @property
    def area(self):
        return self.side**2


Shape.register(range)


@typing.runtime_checkable
class Sized(typing.Protocol):
    def __len__(self): ...


class Positive:
    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, instance, owner=None):
        return self if instance is None else instance.__dict__[self.name]

    def __set__(self, instance, value):
        instance.__dict__[self.name] = abs(value)


class Measured:
    size = Positive()


@functools.total_ordering
class Version:  # noqa: PLW1641 - has no hash
    def __init__(self, number):
        self.number = number

    def __eq__(self, other):
        return self.number == other.number

    def __lt__(self, other):
        return self.number < other.number


def test_classes_with_machinery_of_the_standard_library():
    def refused():
        try:
            Shape()
        except TypeError:
            return True
        return False

    assert same(lambda: (Box(1).item, Box[int](2).item))
    assert same(lambda: (Square(3).area, isinstance(range(1), Shape), isinstance(1, Shape), refused()))
    assert same(lambda: (isinstance([], Sized), isinstance(1, Sized)))
    assert same(lambda: (Version(1) <= Version(2), max(Version(3), Version(2)).number))

    def measured():
        made = Measured()
        made.size = -5
        return made.size

    assert same(measured)


# ---- what decorators and metaclasses generate --------------------------------------------------------------------

surcharge = 7


@dataclasses.dataclass
class Order:
    net: float
    surcharge: int = surcharge
    items: list = dataclasses.field(default_factory=list, repr=False)
    scale: dataclasses.InitVar[int] = 2
    LIMIT: typing.ClassVar[int] = surcharge

    def __post_init__(self, scale):
        self.gross = self.net * scale + self.surcharge


surcharge = 1000
Order.LIMIT += 1
Order.total = lambda self: self.gross * 2


@dataclasses.dataclass
class Express(Order):
    _: dataclasses.KW_ONLY
    days: int = 1


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Point:
    x: int
    y: int = 3

    def moved(self):
        return Point(self.x + 1, self.y)


@dataclasses.dataclass(frozen=True)
class Unit:
    name: str

    def factor(self):
        return FACTORS[self]


FACTORS = {Unit("kg"): 1, Unit("t"): 1000}
Unit.BASE = Unit("kg")


@dataclasses.dataclass
class Tree:
    value: int
    children: "list[Tree]" = dataclasses.field(default_factory=lambda: [])  # noqa: PIE807 - a lambda
    parent: "Tree | None" = dataclasses.field(default=None, compare=False)

    def total(self):
        return self.value + sum(child.total() for child in self.children)


Quick = dataclasses.make_dataclass("Quick", [("a", int), ("b", str, "z")])


def test_dataclasses():
    assert same(lambda x: (Order(x), Order(x).total(), Order(x) == Order(x), Order(x).items, Order.LIMIT), 3)
    assert same(lambda x: (Express(x, days=4), [field.name for field in dataclasses.fields(Express)]), 3)
    assert same(lambda x: (Point(x).moved(), Point(x) < Point(x + 1), dataclasses.replace(Point(x), y=0)), 3)
    assert same(lambda x: (hash(Point(x)) == hash(Point(x)), Point(x).__match_args__, Point.__slots__), 3)
    assert same(lambda: (Unit("t").factor(), Unit.BASE, FACTORS[Unit.BASE]))
    assert same(lambda: Tree(1, [Tree(2), Tree(3, [Tree(4)])]).total())
    assert same(lambda: (Quick(1), dataclasses.asdict(Quick(2, "y"))))

    def frozen():
        try:
            Unit("g").name = "t"
        except dataclasses.FrozenInstanceError:
            return True
        return False

    assert same(frozen)


class Color(enum.Enum):
    RED = 1
    BLUE = surcharge
    CRIMSON = 1  # noqa: PIE796 - another name

    @property
    def low(self):
        return self.name.lower()

    @classmethod
    def _missing_(cls, value):
        return cls.RED

    def price(self):
        return PRICES[self]


PRICES = {Color.RED: 3, Color.BLUE: 4}


class Planet(enum.Enum):
    EARTH = (5.97, 6.3)
    MARS = (0.64, 3.3)

    def __init__(self, mass, radius):
        self.density = mass / radius


class Coordinate(bytes, enum.Enum):
    PX = (0, "P.X")
    PY = (1, "P.Y")

    def __new__(cls, value, label):
        made = bytes.__new__(cls, [value])
        made._value_ = value
        made.label = label
        return made


class Day(dt.date, enum.Enum):
    FIRST = 2020, 1, 1
    LAST = 2021, 2, 2


class Access(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()
    BOTH = READ | WRITE


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2

    def __str__(self):
        return f"level {self.value}"


class Suit(enum.StrEnum):
    HEARTS = enum.auto()


class Country(str, enum.Enum):  # noqa: UP042 - what is tested
    DE = "de"

    __str__ = str.__str__


Functional = enum.Enum("Functional", "A B")


def test_enumerations():
    assert same(lambda: (list(Color), Color(99), Color["BLUE"].low, Color.CRIMSON is Color.RED, Color.RED.price()))
    assert same(lambda: (Planet.EARTH.density, Planet((0.64, 3.3))))
    assert same(lambda: (Coordinate.PY.label, Coordinate(1).name, bytes(Coordinate.PY)))
    assert same(lambda: (Day.FIRST.year, Day.LAST.value, Day.FIRST < Day.LAST))
    assert same(
        lambda: (Access(3), Access.READ | Access.WRITE is Access.BOTH, Access.WRITE in Access.BOTH, ~Access.READ)
    )
    assert same(lambda: (Level.LOW + 1, str(Level.HIGH), Level(2), sorted(Level, reverse=True)))
    assert same(lambda: (Suit.HEARTS == "hearts", str(Suit("hearts")), str(Country.DE), f"{Country.DE}"))
    assert same(lambda: (Functional.A, len(Functional)))


class Pair(NamedTuple):
    left: int
    right: int = surcharge

    def total(self):
        return self.left + self.right


class Keyed(NamedTuple, Generic[T]):
    key: T
    value: int = 0


Plain = collections.namedtuple("Plain", "a class", rename=True, defaults=[9])  # noqa: PYI024 - what is tested


class Longer(collections.namedtuple("Shorter", "u v")):  # noqa: PYI024 - what is tested
    __slots__ = ()

    def total(self):
        return self.u + self.v


class Row(TypedDict, total=False):
    a: int


class Wider(Row):
    b: str


def test_named_tuples_and_typed_dicts():
    assert same(lambda: (Pair(1), Pair(1).total(), Pair(1)._replace(right=2)._asdict(), Pair._make([1, 2])))
    assert same(lambda: (Pair._fields, Pair._field_defaults, Keyed("a"), Keyed[str]("b", 1)))
    assert same(lambda: (Plain(1), Plain._fields, Longer(1, 2).total(), Longer(1, 2)))
    assert same(lambda: (Wider(b="x"), sorted(Wider.__required_keys__), sorted(Wider.__optional_keys__)))


def test_types_of_classes_are_those_of_their_annotations():
    class Local(NamedTuple):
        price: float
        day: dt.date

    def rows(x: int) -> Local:
        return Local(x, dt.date(2020, 1, 1))

    definition = ship(rows, "rows", return_null=False)
    described = start(definition, pa.int64()).description["returns"]
    assert described["sql"] == 'STRUCT("price" DOUBLE, "day" DATE)'


def test_asynchronous_functions():
    async def later(x):
        return x + rate

    expected = asyncio.run(later(1))
    instance = start(ship(later, "later", return_null=False), pa.int64())
    assert instance.call([pa.array([1])], 1)[0].to_pylist() == [expected]


@pytest.mark.parametrize("isolated", [False, True])
def test_another_instance_of_the_same_function_has_the_same(isolated):
    """The second one is made of what the first one compiled."""
    base = rate

    class Adds:
        def __call__(self, x):
            return x + base

    definition = ship(Adds(), "adds", return_null=False)
    first = start(definition, pa.int64())
    again = definition if isolated else first.compiled(definition)
    assert isolated or again.units[-2].code
    assert start(again, pa.int64()).call([pa.array([1])], 1)[0].to_pylist() == [1 + base]
