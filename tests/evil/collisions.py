"""Keys that all have the same hash, where dicts and sets become lists."""

from tests.evil.attack import TIMEOUT, Attack, returns

ATTACKS = [
    Attack(
        "integers of one hash",
        TIMEOUT,
        """
            import sys
            attack = lambda x: len({i * sys.hash_info.modulus: i for i in range(10**6)})
        """,
    ),
    Attack(
        "floats of one hash",
        TIMEOUT,
        """
            import sys
            attack = lambda x: len({float(i * sys.hash_info.modulus) for i in range(10**6)})
        """,
    ),
    Attack(
        "tuples of one hash",
        TIMEOUT,
        """
            import sys
            attack = lambda x: len({(i * sys.hash_info.modulus,) for i in range(10**6)})
        """,
    ),
    Attack(
        "keys with a constant hash",
        TIMEOUT,
        """
            class Key:
                def __hash__(self): return 1
            attack = lambda x: len({Key() for _ in range(10**6)})
        """,
    ),
    Attack(
        "keys with an __eq__ that takes long",
        TIMEOUT,
        """
            class Key:
                def __hash__(self): return 1
                def __eq__(self, other): return sum(range(10**6)) < 0
            attack = lambda x: len({Key() for _ in range(10**4)})
        """,
    ),
    Attack(
        "a counter of one hash",
        TIMEOUT,
        """
            import collections, sys
            attack = lambda x: len(collections.Counter(i * sys.hash_info.modulus for i in range(10**6)))
        """,
    ),
    Attack(
        "a few keys of one hash",
        returns(300),
        """
            import sys
            attack = lambda x: len({i * sys.hash_info.modulus for i in range(300)})
        """,
    ),
    Attack(
        "strings of one hash, by the fixed secret",
        returns(True),
        """
            def attack(x):
                seen = {}
                mask = 2**12 - 1
                for i in range(20_000):
                    seen.setdefault(hash(f'k{i}') & mask, []).append(f'k{i}')
                worst = max(seen.values(), key=len)
                return len(set(worst)) == len(worst) > 5
        """,
    ),
]
