"""Programs that are entered again while they run, and cursors that don't behave."""

from tests.evil.attack import OUT_OF_MEMORY, TIMEOUT, TOO_DEEP, Attack, Moment, raises, returns, traps

ITERATION = Moment.ITERATION

ATTACKS = [
    Attack(
        "a generator that pulls from itself",
        raises("generator already executing"),
        """
            def attack(x):
                def twice(): yield next(me)
                me = twice()
                return next(me)
        """,
    ),
    Attack(
        "a generator that throws into itself",
        raises("generator already executing"),
        """
            def attack(x):
                def twice(): yield me.throw(ValueError)
                me = twice()
                return next(me)
        """,
    ),
    Attack(
        "define called from inside",
        raises("RecursionError"),
        """
            import _udf_guest, json
            def attack(x):
                unit = dict(source='lambda x: attack(x)', name='f', entry=None, preferred=None, code=None)
                unit |= dict(captured=None, imports={}, links={})
                definition = dict(units=[unit], return_null=False, by_batch=False, table=False, described=False)
                f, *_ = _udf_guest.define(json.dumps(definition))
                f.__globals__['attack'] = attack
                return f(x)
        """,
    ),
    Attack(
        "define called with something else",
        raises("JSONDecodeError"),
        """
            import _udf_guest
            attack = lambda x: _udf_guest.define('{')
        """,
    ),
    Attack(
        "the function itself called from its result's encoding",
        returns(1),
        """
            import decimal
            class Lie(decimal.Decimal):
                def __str__(self): return str(f(0))[:0] + '1'
            attack = lambda x: Lie(1)
        """,
        result="DECIMAL(9,0)",
    ),
    Attack(
        "a sort that sorts the list it sorts",
        raises("list modified during sort"),
        """
            def attack(x):
                things = list(range(100))
                def key(i):
                    things.append(i)
                    return i
                things.sort(key=key)
        """,
    ),
    Attack(
        "a dict that changes while it is walked",
        raises("changed size during iteration"),
        """
            def attack(x):
                d = {1: 1}
                for i in d: d[i + 1] = 1
        """,
    ),
    Attack(
        "a __del__ that collects",
        returns(1),
        """
            import gc
            class A:
                def __init__(self): self.me = self
                def __del__(self): gc.collect()
            def attack(x):
                for _ in range(100): A()
                gc.collect()
                return 1
        """,
    ),
    Attack(
        "an object that rises again and again",
        returns(0),
        """
            kept = []
            class A:
                def __del__(self): kept.append(self)
            def attack(x):
                A()
                for _ in range(100): kept.clear()
                return len(kept)
        """,
    ),
    Attack(
        "an import that imports its importer",
        TOO_DEEP,
        """
            import sys
            class Finder:
                def find_spec(self, name, *args): return __import__(name + 'x')
            def attack(x):
                sys.meta_path.insert(0, Finder())
                import nothing
        """,
    ),
    Attack(
        "a cursor's endless step",
        TIMEOUT,
        """
            def attack(x):
                while True: pass
                yield
        """,
        ITERATION,
    ),
    Attack(
        "a cursor that yields nothing for ever",
        TIMEOUT,
        """
            class Endless:
                def __iter__(self): return self
                def __next__(self):
                    while True: pass
            attack = lambda x: Endless()
        """,
        ITERATION,
    ),
    Attack(
        "a cursor's endless finally",
        TIMEOUT,
        """
            def attack(x):
                try: yield 1
                finally:
                    while True: pass
        """,
        ITERATION,
    ),
    Attack(
        "a cursor that refuses to be closed",
        returns(1),
        """
            def attack(x):
                while True:
                    try: yield 1
                    except GeneratorExit: pass
        """,
        ITERATION,
    ),
    Attack(
        "a cursor that exits",
        raises("SystemExit"),
        """
            def attack(x):
                yield 1
                raise SystemExit
        """,
        ITERATION,
    ),
    Attack(
        "a cursor that leaves the process",
        traps("tried to leave its process"),
        """
            import os
            def attack(x):
                yield 1
                os._exit(0)
        """,
        ITERATION,
    ),
    Attack(
        "a cursor that grows",
        OUT_OF_MEMORY,
        """
            def attack(x):
                kept = []
                while True:
                    kept.append(bytes(2**20))
                    yield 1
        """,
        ITERATION,
    ),
    Attack(
        "a cursor whose __iter__ isn't one",
        raises("iter() returned non-iterator"),
        """
            class A:
                def __iter__(self): return 5
            attack = lambda x: A()
        """,
        ITERATION,
    ),
    Attack(
        "a cursor over what changes",
        raises("changed size during iteration"),
        """
            kept = {1: 1}
            def attack(x):
                for i in kept:
                    kept[len(kept) + 1] = 1
                    yield i
        """,
        ITERATION,
    ),
    Attack(
        "a cursor that pulls from itself",
        raises("generator already executing"),
        """
            def attack(x):
                global me
                def twice(): yield next(me)
                me = twice()
                return me
        """,
        ITERATION,
    ),
    Attack("a cursor that recurses", raises("RecursionError"), "def attack(x): yield from attack(x)", ITERATION),
    Attack(
        "a cursor of no types",
        raises("returned object"),
        """
            def attack(x):
                yield 1
                yield object()
        """,
        ITERATION,
    ),
]
