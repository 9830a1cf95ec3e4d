"""Programs that never end, or end too late: in Python, in C, and where an error is described."""

from tests.evil.attack import TIMEOUT, TOO_DEEP, Attack, Moment, raises, returns, traps

ATTACKS = [
    Attack(
        "an endless loop",
        TIMEOUT,
        """
            def attack(x):
                while True: pass
        """,
    ),
    Attack(
        "an endless comprehension",
        TIMEOUT,
        """
            import itertools
            attack = lambda x: sum(1 for _ in itertools.count())
        """,
    ),
    Attack(
        "an endless loop in C",
        TIMEOUT,
        """
            import collections, itertools
            attack = lambda x: collections.deque(itertools.repeat(1), 0)
        """,
    ),
    Attack(
        "a search for what isn't there",
        TIMEOUT,
        """
            import itertools
            attack = lambda x: -1 in itertools.repeat(0)
        """,
    ),
    Attack(
        "sleeping",
        TIMEOUT,
        """
            import time
            attack = lambda x: time.sleep(1e6)
        """,
    ),
    Attack("waiting for input", raises("EOFError"), "attack = lambda x: input()"),
    Attack(
        "waiting for a lock held by itself",
        traps("crashed"),
        """
            import threading
            def attack(x):
                lock = threading.Lock()
                lock.acquire()
                lock.acquire()
        """,
    ),
    Attack(
        "backtracking in re",
        TIMEOUT,
        """
            import re
            attack = lambda x: re.match('(a+)+$', 'a' * 60 + 'b')
        """,
    ),
    Attack(
        "backtracking over alternatives in re",
        TIMEOUT,
        """
            import re
            attack = lambda x: re.match('(a|a|aa)*$', 'a' * 100 + 'b')
        """,
    ),
    Attack(
        "compiling huge regular expressions",
        TIMEOUT,
        """
            import re
            def attack(x):
                while True: re.compile('|'.join(f'({i})' for i in range(10**4)))
        """,
    ),
    Attack("a power of big integers", TIMEOUT, "attack = lambda x: 7 ** 10**7"),
    Attack("a power modulo a big integer", TIMEOUT, "attack = lambda x: pow(3, 2**40000 + 1, 2**40000 + 3)"),
    Attack(
        "a factorial",
        TIMEOUT,
        """
            import math
            attack = lambda x: math.factorial(10**6)
        """,
    ),
    Attack(
        "a binomial coefficient",
        TIMEOUT,
        """
            import math
            attack = lambda x: math.comb(10**6, 5 * 10**5)
        """,
    ),
    Attack(
        "the digits of a big integer",
        TIMEOUT,
        """
            import sys
            def attack(x):
                sys.set_int_max_str_digits(0)
                return str(3 ** 10**7)
        """,
    ),
    Attack(
        "an integer from too many digits",
        TIMEOUT,
        """
            import sys
            def attack(x):
                sys.set_int_max_str_digits(0)
                return int('7' * 5 * 10**6) % 7
        """,
    ),
    Attack(
        "a decimal of a million digits",
        TIMEOUT,
        """
            import decimal
            def attack(x):
                decimal.getcontext().prec = 10**6
                return decimal.Decimal(2).ln()
        """,
    ),
    Attack(
        "sort with an endless __lt__",
        TIMEOUT,
        """
            class Evil:
                def __lt__(self, other):
                    while True: pass
            attack = lambda x: sorted([Evil(), Evil()])
        """,
    ),
    Attack(
        "sort that recurses into sort",
        TOO_DEEP,
        """
            class Evil:
                def __lt__(self, other): return sorted([Evil(), Evil()])
            attack = lambda x: sorted([Evil(), Evil()])
        """,
    ),
    Attack(
        "an endless __del__ of a local",
        TIMEOUT,
        """
            class Evil:
                def __del__(self):
                    while True: pass
            def attack(x):
                Evil()
        """,
    ),
    Attack(
        "an endless __del__ of the result",
        TIMEOUT,
        """
            class Evil(str):
                def __del__(self):
                    while True: pass
            attack = lambda x: Evil('x')
        """,
    ),
    Attack(
        "an endless __del__ in a cycle found by the collector",
        TIMEOUT,
        """
            import gc
            class Evil:
                def __init__(self): self.me = self
                def __del__(self):
                    while True: pass
            def attack(x):
                Evil()
                gc.collect()
        """,
    ),
    Attack(
        "a __del__ that makes another one",
        returns(None),  # the recursion limit ends it, and no exception leaves a __del__
        """
            class Hydra:
                def __del__(self): Hydra()
            def attack(x):
                Hydra()
        """,
    ),
    Attack(
        "a weak reference's endless callback",
        TIMEOUT,
        """
            import weakref
            class Thing: pass
            def forever(reference):
                while True: pass
            def attack(x):
                thing = Thing()
                reference = weakref.ref(thing, forever)
                del thing
        """,
    ),
    Attack(
        "an endless __str__ of the error",
        TIMEOUT,
        """
            class Evil(Exception):
                def __str__(self):
                    while True: pass
            def attack(x): raise Evil
        """,
    ),
    Attack(
        "an endless __repr__ inside the error",
        TIMEOUT,
        """
            class Evil:
                def __repr__(self):
                    while True: pass
            def attack(x): raise KeyError(Evil())
        """,
    ),
    Attack(
        "an endless __getattribute__ of the error",
        TIMEOUT,
        """
            class Evil(Exception):
                def __getattribute__(self, name):
                    while True: pass
            def attack(x): raise Evil
        """,
    ),
    Attack(
        "an error whose class has an endless metaclass",
        TIMEOUT,
        """
            class Meta(type):
                def __getattribute__(self, name):
                    while True: pass
            class Evil(Exception, metaclass=Meta): pass
            def attack(x): raise Evil
        """,
    ),
    Attack(
        "an endless __getitem__ of the error's text",
        TIMEOUT,
        """
            class Text(str):
                def __getitem__(self, key):
                    while True: pass
            class Evil(Exception):
                def __str__(self): return Text('x')
            def attack(x):
                while True: str(Evil())[0]
        """,
    ),
    Attack(
        "an endless hook for unraisable errors",
        TIMEOUT,
        """
            import sys
            class Evil:
                def __del__(self): raise ValueError
            def forever(unraisable):
                while True: pass
            def attack(x):
                sys.unraisablehook = forever
                Evil()
        """,
    ),
    Attack(
        "an endless trace function",
        TIMEOUT,
        """
            import sys
            def trace(*args):
                while True: pass
            def attack(x):
                sys.settrace(trace)
                return (lambda: 1)()
        """,
    ),
    Attack(
        "a generator that never yields",
        TIMEOUT,
        """
            def attack(x):
                def never():
                    while True: pass
                    yield
                return list(never())
        """,
    ),
    Attack(
        "two iterators that feed each other",
        TIMEOUT,
        """
            class Endless:
                def __iter__(self): return self
                def __next__(self): return 0
            attack = lambda x: max(Endless())
        """,
    ),
    Attack(
        "an import that never ends",
        TIMEOUT,
        """
            import sys
            class Finder:
                def find_spec(self, *args):
                    while True: pass
            def attack(x):
                sys.meta_path.insert(0, Finder())
                import nothing_of_that_name
        """,
    ),
    Attack(
        "an endless loop while the code is loaded",
        TIMEOUT,
        """
            while True: pass
            lambda x: x
        """,
        Moment.LOAD,
    ),
    Attack(
        "an endless class body",
        TIMEOUT,
        """
            class A:
                while True: pass
            lambda x: x
        """,
        Moment.LOAD,
    ),
    Attack(
        "an endless decorator",
        TIMEOUT,
        """
            def forever(function):
                while True: pass
            @forever
            def attack(x): pass
        """,
        Moment.LOAD,
    ),
    Attack("an endless default value", TIMEOUT, "def attack(x=sum(iter(int, 1))): pass", Moment.LOAD),
    Attack(
        "an endless __call__ behind the signature",
        TIMEOUT,
        """
            class Evil:
                @property
                def __signature__(self):
                    while True: pass
                def __call__(self, x): pass
            Evil()
        """,
        Moment.LOAD,
    ),
    Attack(
        "a constant that takes long to fold",
        TIMEOUT,
        """
            while True: eval('9**9*' * 50 + '1')
            lambda x: x
        """,
        Moment.LOAD,
    ),
    Attack(
        "code that takes long to compile",
        TIMEOUT,
        """
            while True: exec('x = 1\\n' * 1000)
            lambda x: x
        """,
        Moment.LOAD,
    ),
]
