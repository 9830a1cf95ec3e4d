"""Programs that want more memory than there is."""

from tests.evil.attack import OUT_OF_FRAMES, OUT_OF_MEMORY, RESULT_TOO_LARGE, TOO_DEEP, Attack, Moment, raises, returns

ATTACKS = [
    Attack("a list of a billion", OUT_OF_MEMORY, "attack = lambda x: len([0] * 10**9)"),
    Attack(
        "a list that grows",
        OUT_OF_MEMORY,
        """
            def attack(x):
                kept = []
                while True: kept.append(bytes(2**16))
        """,
    ),
    Attack(
        "a list that extends itself",
        OUT_OF_MEMORY,
        """
            def attack(x):
                kept = [0]
                while True: kept += kept
        """,
    ),
    Attack("a string of a billion", OUT_OF_MEMORY, "attack = lambda x: len('ä' * 10**9)"),
    Attack(
        "a string that doubles",
        OUT_OF_MEMORY,
        """
            def attack(x):
                kept = 'x'
                while True: kept += kept
        """,
    ),
    Attack("a string by replacement", OUT_OF_MEMORY, "attack = lambda x: len(('a' * 10**4).replace('a', 'b' * 10**4))"),
    Attack("a padded string", OUT_OF_MEMORY, "attack = lambda x: len(format(1, '1000000000d'))"),
    Attack("a padded string by the old operator", OUT_OF_MEMORY, "attack = lambda x: len('%*d' % (10**9, 1))"),
    Attack("a joined string", OUT_OF_MEMORY, "attack = lambda x: len(('x' * 10**5).join(['y' * 10**5] * 1000))"),
    Attack("an integer of a billion bits", OUT_OF_MEMORY, "attack = lambda x: (1 << 10**9).bit_length()"),
    Attack("a range made a list", OUT_OF_MEMORY, "attack = lambda x: len(list(range(10**9)))"),
    Attack("a dict that grows", OUT_OF_MEMORY, "attack = lambda x: len({i: i for i in range(10**8)})"),
    Attack("a set that grows", OUT_OF_MEMORY, "attack = lambda x: len(set(range(10**8)))"),
    Attack(
        "a product made a list",
        OUT_OF_MEMORY,
        """
            import itertools
            attack = lambda x: len(list(itertools.product(range(10**3), repeat=3)))
        """,
    ),
    Attack(
        "a bytearray that is resized",
        OUT_OF_MEMORY,
        """
            def attack(x):
                kept = bytearray()
                while True: kept.extend(bytes(2**20))
        """,
    ),
    Attack(
        "an array of the array module",
        OUT_OF_MEMORY,
        """
            import array
            attack = lambda x: len(array.array('d', [0.0]) * 10**8)
        """,
    ),
    Attack(
        "a struct of a billion bytes",
        OUT_OF_MEMORY,
        """
            import struct
            attack = lambda x: len(struct.pack('1000000000x'))
        """,
    ),
    Attack(
        "a text in memory",
        OUT_OF_MEMORY,
        """
            import io
            def attack(x):
                kept = io.StringIO()
                while True: kept.write('x' * 10**6)
        """,
    ),
    Attack(
        "a bomb of zeros, decompressed",
        OUT_OF_MEMORY,
        """
            import zlib
            def attack(x):
                squeeze = zlib.compressobj(9)
                bomb = b''.join([squeeze.compress(bytes(10**6)) for _ in range(200)] + [squeeze.flush()])
                return len(zlib.decompress(bomb))
        """,
    ),
    Attack(
        "a billion laughs",
        OUT_OF_MEMORY,
        """
            def attack(x):
                laugh = 'lol' * 10
                for _ in range(10): laugh = laugh * 10
                return len(laugh)
        """,
    ),
    Attack(
        "recursion that keeps everything",
        OUT_OF_FRAMES,
        """
            import sys
            def dig(kept): return dig([kept, bytes(2**16)])
            def attack(x):
                sys.setrecursionlimit(2**30)
                return dig(None)
        """,
    ),
    Attack(
        "generators inside generators",
        TOO_DEEP,
        """
            def attack(x):
                kept = iter(())
                while True: kept = (i for i in kept)
        """,
    ),
    Attack(
        "fragments of every size",
        OUT_OF_MEMORY,
        """
            def attack(x):
                kept = []
                size = 1
                while True:
                    kept += [bytes(size * i % 100_003) for i in range(1, 200)]
                    del kept[::2]
                    size += 1
        """,
    ),
    Attack(
        "fragments, given back, leave room",
        returns(8),
        """
            def attack(x):
                for _ in range(5):
                    kept = [bytes(i * 37 % 5000) for i in range(2000)]
                    del kept[::2]
                    kept += [bytes(i * 91 % 9000) for i in range(500)]
                    kept.clear()
                return len(bytes(8 * 2**20)) >> 20
        """,
    ),
    Attack(
        "cycles with garbage, the collector off",
        OUT_OF_MEMORY,
        """
            import gc
            def attack(x):
                gc.disable()
                while True:
                    cycle = [bytes(10_000)]
                    cycle.append(cycle)
        """,
    ),
    Attack(
        "classes without end",
        OUT_OF_MEMORY,
        """
            def attack(x):
                kept = []
                while True: kept.append(type('A', (), {'data': bytes(10_000)}))
        """,
    ),
    Attack(
        "interned strings",
        OUT_OF_MEMORY,
        """
            import sys
            def attack(x):
                i = 0
                kept = []
                while True:
                    i += 1
                    kept.append(sys.intern(str(i) * 1000))
        """,
    ),
    Attack(
        "memory caught and asked for again",
        OUT_OF_MEMORY,
        """
            def attack(x):
                kept = []
                for size in (2**24, 2**22, 2**20, 2**16, 2**10):
                    try:
                        while True: kept.append(bytearray(size))
                    except MemoryError: pass
                while True: kept.append([])
        """,
    ),
    Attack(
        "running out while the error is described",
        OUT_OF_MEMORY,
        """
            class Evil(Exception):
                def __str__(self): return 'x' * 10**9
            def attack(x): raise Evil
        """,
    ),
    Attack("a MemoryError of its own", OUT_OF_MEMORY, "def attack(x): raise MemoryError"),
    Attack(
        "running out inside a finally",
        OUT_OF_MEMORY,
        """
            def attack(x):
                try: 1 / 0
                finally: [0] * 10**9
        """,
    ),
    Attack(
        "strings that fill the codec's buffer",
        OUT_OF_MEMORY,
        """
            TEXT = 'x' * 10**6
            attack = lambda x: TEXT
        """,
        rows=2000,
    ),
    Attack(
        "a list that fills the codec's buffers",
        OUT_OF_MEMORY,
        """
            LONG = [0.5] * 10**6
            attack = lambda x: LONG
        """,
        rows=2000,
    ),
    Attack(
        "dicts of other keys in every row",
        raises("more than 10000 keys"),
        "attack = lambda x: {f'k{x}_{i}': i for i in range(6000)}",
        rows=2,
    ),
    Attack(
        "lists of nothing",
        RESULT_TOO_LARGE,
        """
            LONG = [None] * 10**6
            attack = lambda x: LONG
        """,
        rows=5,
    ),
    Attack(
        "a string whose UTF-8 doesn't fit beside it", OUT_OF_MEMORY, "attack = lambda x: '\\U0001F600' * (5 * 10**6)"
    ),
    Attack(
        "more memory than there is while the code is loaded",
        OUT_OF_MEMORY,
        """
            kept = bytes(10**9)
            lambda x: x
        """,
        Moment.LOAD,
    ),
    Attack(
        "a bomb for the constant folder",
        OUT_OF_MEMORY,
        """
            BOMB = 'x' * 40_000 * 40_000
            lambda x: x
        """,
        Moment.LOAD,
    ),
]
