"""Programs that use numpy to get out of their memory, or to bring the guest down."""

from tests.evil.attack import (
    ANYTHING,
    TIMEOUT,
    Attack,
    End,
    GuestError,
    LimitExceeded,
    Moment,
    raises,
    returns,
)

_NO_MODULE = raises("ModuleNotFoundError")
_TOO_BIG = End((GuestError, LimitExceeded))  # for numpy, which then raises an error of its own, or for the limit


def _attack(name, end, code, **options):
    return Attack(name, end, f"import numpy as np\n{code}", **options)


ATTACKS = [
    _attack("an array of 8 TB", _TOO_BIG, "attack = lambda x: np.empty(10**12).size"),
    _attack("an array of a gigabyte", _TOO_BIG, "attack = lambda x: np.zeros(2**27).size"),
    _attack("a product of a gigabyte", _TOO_BIG, "attack = lambda x: np.outer(np.ones(2**14), np.ones(2**14)).size"),
    _attack("a negative shape", raises("ValueError"), "attack = lambda x: np.empty(-1).size"),
    _attack("a shape whose product overflows", raises("ValueError"), "attack = lambda x: np.empty((2**20,) * 4).size"),
    _attack(
        "a shape that wraps around to nothing", raises("ValueError"), "attack = lambda x: np.empty((2**16, 2**16)).size"
    ),
    _attack("many dimensions", raises("ValueError"), "attack = lambda x: np.empty((1,) * 65).ndim"),
    _attack("repeats of a billion", _TOO_BIG, "attack = lambda x: np.repeat(np.ones(4), 10**8).size"),
    _attack("a tile of a billion", _TOO_BIG, "attack = lambda x: np.tile(np.ones(4), 10**8).size"),
    _attack("a range of a billion", _TOO_BIG, "attack = lambda x: np.arange(10**9).size"),
    _attack(
        "an array that doubles", _TOO_BIG, "def attack(x):\n a = np.ones(8)\n while True: a = np.concatenate([a, a])"
    ),
    _attack(
        "a text that is repeated",
        _TOO_BIG,
        "attack = lambda x: np.strings.multiply(np.array(['ab' * 999]), 10**6).size",
    ),
    _attack(
        "strides out of bounds, read",
        ANYTHING,
        "attack = lambda x: int(np.lib.stride_tricks.as_strided(np.ones(1), (2**20,), (2**11 - 1,)).sum())",
    ),
    _attack(
        "strides below memory, read",
        ANYTHING,
        "attack = lambda x: int(np.lib.stride_tricks.as_strided(np.ones(1), (2**15,), (-4096,)).sum())",
    ),
    _attack(
        "strides out of bounds, written",
        ANYTHING,
        "def attack(x):\n np.lib.stride_tricks.as_strided(np.ones(1), (2**20,), (64,))[:] = 1e300\n return 1",
    ),
    _attack(
        "all of memory overwritten",
        ANYTHING,
        "def attack(x):\n"
        " a = np.ones(1, np.uint8)\n"
        " np.lib.stride_tricks.as_strided(a, (2**31 - 1,), (1,))[:] = 255\n return 1",
    ),
    _attack(
        "a foreign address by __array_interface__",
        ANYTHING,
        "class A: __array_interface__ = {'shape': (2**20,), 'typestr': '<f8', 'data': (64, False), 'version': 3}\n"
        "def attack(x):\n np.asarray(A())[:] = 1.5\n return 1",
    ),
    _attack(
        "an address beyond memory by __array_interface__",
        ANYTHING,
        "class A: __array_interface__ = {'shape': (8,), 'typestr': '<f8', 'data': (2**32 - 64, False), 'version': 3}\n"
        "attack = lambda x: float(np.asarray(A()).sum())",
    ),
    _attack(
        "an array of forged objects",
        ANYTHING,
        "attack = lambda x: repr(np.frombuffer(bytes(range(1, 65)), np.uint32).view(np.uint8).tolist())",
    ),
    _attack(
        "a view as objects",
        raises("TypeError"),
        "attack = lambda x: np.ones(8, np.uint32).view(object).size",
    ),
    _attack(
        "an offset beyond a buffer",
        raises("ValueError"),
        "attack = lambda x: np.frombuffer(b'12345678', offset=64).size",
    ),
    _attack(
        "a count beyond a buffer", raises("ValueError"), "attack = lambda x: np.frombuffer(b'12345678', count=9).size"
    ),
    _attack("an index out of bounds", raises("IndexError"), "attack = lambda x: np.ones(4)[2**31 - 1]"),
    _attack(
        "an index that would wrap around", raises("IndexError"), "attack = lambda x: np.ones(4)[np.array([2**32])].size"
    ),
    _attack(
        "a take that would wrap around", raises("OverflowError"), "attack = lambda x: np.ones(4).take([2**32 + 1]).size"
    ),
    _attack("a count of a huge number", _TOO_BIG, "attack = lambda x: np.bincount([2**30]).size"),
    _attack("integers that are no index", raises("IndexError"), "attack = lambda x: np.bincount([2**40]).size"),
    _attack(
        "an array in the state of a pickle",
        ANYTHING,
        "import pickle\n"
        "class R:\n"
        " def __reduce__(self): return np.ndarray, ((2**20,), np.dtype('f8'), b'short')\n"
        "attack = lambda x: pickle.loads(pickle.dumps(R())).size",
    ),
    _attack("f2py", _NO_MODULE, "def attack(x):\n import numpy.f2py"),
    _attack("distutils", _NO_MODULE, "def attack(x):\n import numpy.distutils"),
    _attack("ctypes of an array", End((GuestError,)), "attack = lambda x: np.ones(1).ctypes.data_as(int)"),
    _attack("a file of numbers", End((GuestError,)), "attack = lambda x: np.fromfile('/etc/passwd', np.uint8).size"),
    _attack("a file that is mapped", End((GuestError,)), "attack = lambda x: np.memmap('/etc/passwd').size"),
    _attack("a file that is loaded", End((GuestError,)), "attack = lambda x: np.load('/etc/passwd').size"),
    _attack(
        "an array as a result of a number", raises("declared"), "attack = lambda x: np.ones((2,2))", result="BIGINT"
    ),
    _attack(
        "an array that contains itself",
        raises("recursion"),
        "def attack(x):\n a = np.empty(1, object)\n a[0] = a\n return a",
    ),
    _attack("a ufunc over and over", TIMEOUT, "def attack(x):\n a = np.ones(64)\n while True: a = np.sin(a)"),
    _attack(
        "one call that takes long", TIMEOUT, "attack = lambda x: np.linalg.matrix_power(np.ones((600, 600)), 999).size"
    ),
    _attack("numbers by chance for ever", TIMEOUT, "def attack(x):\n while True: np.random.rand(1000)"),
    _attack(
        "an import hook of numpy's",
        returns(3),
        "import sys\nsys.modules['_udf_numpy'].seed = None\nattack = lambda x: int(np.array([1, 2]).sum())",
        moment=Moment.CALL,
    ),
    _attack(
        "the converter of results is replaced",
        ANYTHING,
        "import _udf_numpy.results as r\nr.plain = lambda v: v\nattack = lambda x: np.float64(1.5)",
    ),
]
