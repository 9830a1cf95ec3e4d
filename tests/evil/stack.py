"""Programs that recurse, in Python and in the interpreter's C."""

from tests.evil.attack import (
    OUT_OF_FRAMES,
    TIMEOUT,
    TOO_COMPLEX,
    TOO_DEEP,
    TOO_MANY_BRACKETS,
    Attack,
    Moment,
    raises,
    returns,
)

# CPython counts C calls to free what is deep in steps, but to 5000, more than the guest's stack has room for.

DEEP = "def deep(n=10**5):\n    a = []\n    for _ in range(n): a = [a]\n    return a\n"

ATTACKS = [
    Attack("recursion", raises("RecursionError"), "def attack(x): return attack(x)"),
    Attack(
        "recursion without a limit",
        OUT_OF_FRAMES,
        """
            import sys
            def dig(): dig()
            def attack(x):
                sys.setrecursionlimit(2**31 - 1)
                dig()
        """,
    ),
    Attack(
        "recursion that catches its end",
        TIMEOUT,
        """
            def attack(x):
                try: return attack(x)
                except RecursionError: return attack(x)
        """,
    ),
    Attack(
        "two methods that call each other through C",
        TOO_DEEP,
        """
            class A:
                def __eq__(self, other): return other == self
            attack = lambda x: A() == A()
        """,
    ),
    Attack(
        "__getattr__ that asks for itself",
        TOO_DEEP,
        """
            class A:
                def __getattr__(self, name): return getattr(self, name + 'x')
            attack = lambda x: A().a
        """,
    ),
    Attack(
        "__repr__ that shows itself",
        TOO_DEEP,
        """
            class A:
                def __repr__(self): return f'{self!r}'
            attack = lambda x: repr(A())
        """,
    ),
    Attack(
        "map inside map",
        TOO_DEEP,
        """
            def attack(x):
                it = iter([1])
                for _ in range(10**5): it = map(int, it)
                return next(it)
        """,
    ),
    Attack(
        "chains of chains",
        TOO_DEEP,
        """
            import itertools
            def attack(x):
                it = iter([1])
                for _ in range(10**5): it = itertools.chain(it)
                return next(it)
        """,
    ),
    Attack(
        "generators inside generators",
        TOO_DEEP,
        """
            def attack(x):
                it = iter([1])
                for _ in range(10**5): it = (i for i in it)
                return next(it)
        """,
    ),
    Attack(
        "yield from a deep chain",
        raises("RecursionError"),
        """
            def dig(n):
                yield from dig(n + 1)
            attack = lambda x: next(dig(0))
        """,
    ),
    Attack("repr of deep lists", TOO_DEEP, DEEP + "attack = lambda x: repr(deep())"),
    Attack("comparing deep lists", TOO_DEEP, DEEP + "attack = lambda x: deep() == deep()"),
    Attack(
        "hashing deep tuples",
        TOO_DEEP,
        """
            def attack(x):
                a = ()
                for _ in range(10**5): a = (a,)
                return hash(a)
        """,
    ),
    Attack("freeing deep lists", returns(1), DEEP + "attack = lambda x: deep() and 1"),
    Attack("json of deep lists", TOO_DEEP, DEEP + "import json\nattack = lambda x: json.dumps(deep())"),
    Attack(
        "reading deep json",
        TOO_DEEP,
        """
            import json
            attack = lambda x: json.loads('[' * 10**5)
        """,
    ),
    Attack(
        "reading deep json objects",
        TOO_DEEP,
        """
            import json
            attack = lambda x: json.loads('{"a":' * 10**5)
        """,
    ),
    Attack("pickling deep lists", TOO_DEEP, DEEP + "import pickle\nattack = lambda x: pickle.dumps(deep())"),
    Attack(
        "marshalling deep lists",
        raises("too deeply nested to marshal"),
        DEEP + "import marshal\nattack = lambda x: marshal.dumps(deep())",
    ),
    Attack(
        "unmarshalling deep tuples",
        TOO_DEEP,
        """
            import marshal
            attack = lambda x: marshal.loads(b'(\\x01\\0\\0\\0' * 10**5 + b'N')
        """,
    ),
    Attack("copying deep lists", OUT_OF_FRAMES, DEEP + "import copy\nattack = lambda x: copy.deepcopy(deep())"),
    Attack(
        "nested groups in re",
        TOO_DEEP,
        """
            import re
            attack = lambda x: re.compile('(' * 5000 + ')' * 5000)
        """,
    ),
    Attack(
        "nested repeats in re",
        TOO_DEEP,
        """
            import re
            attack = lambda x: re.compile('(?:' * 5000 + 'a' + ')*' * 5000)
        """,
    ),
    Attack("compiling nested parentheses", TOO_MANY_BRACKETS, "attack = lambda x: compile('(' * 10**5, 's', 'eval')"),
    Attack(
        "compiling a long chain of operators", TOO_COMPLEX, "attack = lambda x: compile('-' * 10**5 + '1', 's', 'eval')"
    ),
    Attack(
        "compiling a long chain of attributes", TOO_DEEP, "attack = lambda x: compile('a' + '.b' * 10**4, 's', 'eval')"
    ),
    Attack("compiling a long sum", TOO_DEEP, "attack = lambda x: compile('+'.join('1' * 10**4), 's', 'eval')"),
    Attack(
        "compiling nested blocks",
        raises("too many"),
        """
            def attack(x):
                source = ''.join(' ' * i + 'if 1:\\n' for i in range(200))
                compile(source, 's', 'exec')
        """,
    ),
    Attack(
        "compiling a deep tree",
        TOO_DEEP,
        """
            import ast
            def attack(x):
                tree = ast.Constant(1)
                for _ in range(10**4): tree = ast.UnaryOp(ast.USub(), tree)
                compile(ast.fix_missing_locations(ast.Expression(tree)), 's', 'eval')
        """,
    ),
    Attack(
        "a deep tree of bare nodes",
        TOO_DEEP,
        """
            import ast
            def attack(x):
                tree = ast.Constant(1, lineno=1, col_offset=0)
                for _ in range(10**4): tree = ast.UnaryOp(ast.USub(), tree, lineno=1, col_offset=0)
                compile(ast.Expression(tree), 's', 'eval')
        """,
    ),
    Attack(
        "ast.literal_eval of nested lists",
        TOO_COMPLEX,
        """
            import ast
            def attack(x):
                return ast.literal_eval('[' * 150 + ']' * 150 + '-' * 10**5 + '1')
        """,
    ),
    Attack("code nested too deep to load", TOO_MANY_BRACKETS, "lambda x: " + "(" * 300 + "1" + ")" * 300, Moment.LOAD),
    Attack("code with too many operators to load", TOO_COMPLEX, "lambda x: " + "-" * 20_000 + "1", Moment.LOAD),
    Attack(
        "isinstance over deep tuples",
        TOO_DEEP,
        """
            def attack(x):
                a = (int,)
                for _ in range(10**5): a = (a,)
                return isinstance('', a)
        """,
    ),
    Attack(
        "a class with an ancestry that grows",
        TIMEOUT,
        """
            def attack(x):
                a = object
                while True: a = type('A', (a,), {})
        """,
    ),
    Attack(
        "exceptions that cause each other, by thousands",
        raises("ValueError: 19999"),
        """
            def attack(x):
                error = ValueError(0)
                for i in range(20_000):
                    following = ValueError(i)
                    following.__cause__ = error
                    error = following
                raise error
        """,
    ),
    Attack(
        "exception groups inside each other",
        raises("ExceptionGroup: group"),
        """
            def attack(x):
                error = ValueError('innermost')
                for _ in range(10_000): error = ExceptionGroup('group', [error])
                raise error
        """,
    ),
    Attack(
        "functools.partial in partial",
        TOO_DEEP,
        """
            import functools
            def attack(x):
                f = int
                for _ in range(10**5):
                    g = functools.partial(f)
                    g.__setstate__((f, (), {}, {}))
                    f = g
                return f('1')
        """,
    ),
    Attack(
        "methods bound to methods",
        TOO_DEEP,
        """
            import types
            def attack(x):
                f = print
                for _ in range(10**5): f = types.MethodType(f, 1)
                return f()
        """,
    ),
    Attack(
        "an object that calls itself",
        TOO_DEEP,
        """
            class A:
                def __call__(self): return self()
            attack = lambda x: A()()
        """,
    ),
    Attack(
        "a property found by a deep chain of __getattribute__",
        TOO_DEEP,
        """
            class A:
                def __getattribute__(self, name): return self.name
            attack = lambda x: A().x
        """,
    ),
    Attack(
        "__index__ by __index__",
        TOO_DEEP,
        """
            class A:
                def __index__(self): return range(10)[A()]
            attack = lambda x: [0][A()]
        """,
    ),
    Attack(
        "__import__ by __import__",
        TOO_DEEP,
        """
            import builtins
            original = builtins.__import__
            def attack(x):
                def again(*args):
                    import os
                builtins.__import__ = again
                import os
        """,
    ),
    Attack(
        "unions of unions",
        TOO_DEEP,
        """
            from typing import *
            def attack(x):
                a = int
                for i in range(10**4): a = List[a]
                return len(repr(a)) > 0
        """,
    ),
    Attack(
        "deep generic aliases",
        TOO_DEEP,
        """
            def attack(x):
                a = int
                for i in range(10**5): a = list[a]
                return len(repr(a)) > 0
        """,
    ),
    Attack(
        "a deep generic alias, hashed",
        TOO_DEEP,
        """
            def attack(x):
                a = int
                for i in range(10**5): a = list[a]
                return hash(a)
        """,
    ),
    Attack(
        "a deep exception table of with blocks",
        raises("too many statically nested blocks"),
        """
            attack = lambda x: compile('\\n'.join(' ' * i + 'with a:' for i in range(99)) + ' pass', 's', 'exec')
        """,
    ),
    Attack(
        "str.format that nests",
        raises("Max string recursion exceeded"),
        "attack = lambda x: '{:{:{:{}}}}'.format(1, 2, 3, 4)",
    ),
    Attack(
        "deep objects in collections.ChainMap",
        TOO_DEEP,
        """
            import collections
            def attack(x):
                a = {}
                for _ in range(10**4): a = collections.ChainMap(a)
                return len(a)
        """,
    ),
    Attack(
        "descriptors that call each other in sorted keys", TOO_DEEP, "def attack(x): return sorted([1, 2], key=attack)"
    ),
    Attack(
        "an abc's deep subclass check",
        TOO_DEEP,
        """
            import abc
            class A(abc.ABC):
                @classmethod
                def __subclasshook__(cls, other): return issubclass(other, A)
            attack = lambda x: issubclass(int, A)
        """,
    ),
]
