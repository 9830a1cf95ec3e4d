"""Crafted bytecode. CPython trusts it, so it takes over the guest's memory; that has to be all it gets."""

from tests.evil.attack import ANYTHING, TIMEOUT, Attack, forges, returns

# The address of an object is its id; LOAD_CONST with an index beyond the constants reads any word of memory as a
# pointer to an object. It gets one to a bytearray made of bytes, which claims to be all of memory.
TAKE_OVER = """
import opcode, random, struct

def take_over():
    global kept
    kept = fake = struct.pack('<7I', 2**20, id(bytearray), 2**31 - 1, 2**31 - 1, 0, 0, 0)
    pointer = struct.pack('<I', id(fake) + 16)
    base = (lambda: None).__code__
    distance = ((id(pointer) + 16 - (id(base.co_consts) + 12)) // 4) & (2**30 - 1)
    extend, load, leave = (opcode.opmap[name] for name in ('EXTENDED_ARG', 'LOAD_CONST', 'RETURN_VALUE'))
    a, b, c, d = distance.to_bytes(4, 'big')
    code = bytes([opcode.opmap['RESUME'], 0, extend, a, extend, b, extend, c, load, d, leave, 0])
    return type(take_over)(base.replace(co_code=code, co_stacksize=4), {})()

# The stack comes first in memory, then data, then the heap, whose end a large object shows.
STACK = 8 * 2**20
LARGE = bytes(2**20)
SIZE = id(LARGE) + len(LARGE)
OTHER = b'\\xff' * 4096

def find(memory, data):
    # Wherever these bytes are in memory, except in the stack.
    at, found = STACK, []
    while (at := memory.find(data, at + 1, SIZE)) > 0: found.append(at)
    return found
"""


def _takes_over(name, end, body, **options):
    lines = "".join(f"    {line}\n" for line in body.strip("\n").split("\n"))
    return Attack(name, end, f"{TAKE_OVER}\ndef attack(x):\n    memory = take_over()\n{lines}", **options)


VICTIM = """
import opcode
op = opcode.opmap
def victim(a=1, b=2): return [a, b]
def attack(x):
    changed = victim.__code__.replace(CHANGE)
    return str(type(victim)(changed, {})(1, 2))
"""

NOISE = """
choose = random.Random(SEED)
for _ in range(10 ** choose.randrange(1, 6)):
    memory[choose.randrange(STACK, SIZE)] = choose.randrange(256)
return {'a': 1.5 * x, 'b': None}
"""


def _code(name, change):
    """Bytecode that the compiler would never make."""
    return Attack(name, ANYTHING, VICTIM.replace("CHANGE", change))


# The first row's result is in the codec's buffer when the second looks for it, and for the builder that points at it.
MARKER = """
marker = 'the marker of this attack, ' * 4
if x == 1: return marker
for at in find(memory, marker.encode()):
    for pointer in find(memory, struct.pack('<I', at)):
        if pointer % 4 == 0: CHANGE
return None
"""


def _forges(name, end, change):
    """What the codec has built of the first row changed before the host reads it."""
    return _takes_over(name, end, MARKER.replace("CHANGE", change), rows=2)


ATTACKS = [
    _takes_over(
        "all of memory, read",
        returns([2**31 - 1, 20260101]),
        "return [len(memory), 20260101 if find(memory, struct.pack('<I', id(int))) else 0]",
    ),
    _takes_over("memory beyond its end, read", ANYTHING, "return memory[2**31 - 2]"),
    _takes_over("memory beyond its end, written", ANYTHING, "memory[2**30] = 1"),
    _takes_over("all of memory zeroed", ANYTHING, "for i in range(0, SIZE, 4096): memory[i:i + 4096] = bytes(4096)"),
    _takes_over("all of memory filled with ones", ANYTHING, "memory[:SIZE] = b'\\xff' * SIZE"),
    _takes_over("the stack overwritten", ANYTHING, "memory[:STACK] = b'\\xff' * STACK"),
    _takes_over(
        "a type's slots overwritten",
        ANYTHING,
        "memory[id(int) + 24:id(int) + 184] = b'\\xff\\xff\\x00\\x00' * 40\nreturn 1 + x",
    ),
    _takes_over(
        "a type's slots exchanged with another's",
        ANYTHING,
        "memory[id(int) + 24:id(int) + 184] = memory[id(str) + 24:id(str) + 184]\nreturn str(1 + x)",
    ),
    _takes_over(
        "an object freed and used",
        ANYTHING,
        """
thing = [1, 2, 3]
memory[id(thing):id(thing) + 4] = struct.pack('<I', 1)
other = thing
del other
return [[4, 5] for _ in range(100)] + [thing]
""",
    ),
    _takes_over(
        "the result replaced by a fake of any size",
        ANYTHING,
        "text = 'x' * 100\nmemory[id(text) + 8:id(text) + 12] = struct.pack('<I', 2**31 - 1)\nreturn text",
    ),
    _takes_over(
        "a list that claims a billion items",
        ANYTHING,
        "things = [1]\nmemory[id(things) + 8:id(things) + 12] = struct.pack('<I', 2**30)\nreturn things",
    ),
    _takes_over(
        "a string that isn't UTF-8",
        ANYTHING,
        "text = 'x' * 100\nat = id(text) + 24\nmemory[id(text) + 16:id(text) + 200] = b'\\xff' * 184\nreturn text",
    ),
    _takes_over(
        "a boolean that is neither",
        ANYTHING,
        "memory[id(True) + 8:id(True) + 16] = b'\\x07\\x00\\x00\\x00' * 2\nreturn True",
    ),
    _takes_over(
        "a datetime off the calendar",
        ANYTHING,
        """
import datetime
day = datetime.datetime(2020, 1, 1)
memory[id(day) + 8:id(day) + 24] = b'\\xff' * 16
return day
""",
    ),
    _takes_over(
        "frames that can't be followed when the time is up",
        TIMEOUT,
        """
(at, *_) = find(memory, b'ypgubedx'[::-1])
memory[at + 16:at + 568] = b'\\xff' * 552
while True: pass
""",
    ),
    _takes_over(
        "frames that follow each other for ever when the time is up",
        TIMEOUT,
        """
(at, *_) = find(memory, b'ypgubedx'[::-1])
memory[at + 16:at + 568] = bytes(552)
while True: pass
""",
    ),
    _forges(
        "a result's pointer out of memory",
        forges("outside its"),
        "memory[pointer:pointer + 4] = struct.pack('<I', 2**32 - 16)",
    ),
    _forges(
        "a result's pointer into other memory",
        forges("not valid"),
        "memory[pointer:pointer + 4] = struct.pack('<I', id(OTHER) + 64)",
    ),
    _forges("a result's text that isn't UTF-8", forges("not valid"), "memory[at:at + 8] = b'\\xff' * 8"),
    _forges(
        "a result's builder full of noise",
        ANYTHING,
        "memory[pointer - 64:pointer + 64] = random.Random(7).randbytes(128)",
    ),
    *(
        _takes_over(f"noise in memory, {seed}", ANYTHING, NOISE.replace("SEED", str(seed)), rows=3)
        for seed in range(20)
    ),
    _code("code without a return", "co_code=bytes([op['NOP'], 0] * 4)"),
    _code("code of no opcodes", "co_code=bytes([255, 255] * 10)"),
    _code(
        "code that pops an empty stack",
        "co_code=bytes([op['RESUME'], 0] + [op['POP_TOP'], 0] * 50 + [op['RETURN_VALUE'], 0])",
    ),
    _code(
        "code that pushes beyond the stack",
        "co_code=bytes([op['RESUME'], 0] + [op['PUSH_NULL'], 0] * 100_000 + [op['RETURN_CONST'], 0])",
    ),
    _code(
        "code that jumps backwards out of itself",
        "co_code=bytes([op['RESUME'], 0, op['EXTENDED_ARG'], 255, op['JUMP_BACKWARD_NO_INTERRUPT'], 255])",
    ),
    _code(
        "code that jumps forwards out of itself",
        "co_code=bytes([op['RESUME'], 0, op['EXTENDED_ARG'], 255, op['JUMP_FORWARD'], 255])",
    ),
    _code("code that loops for ever", "co_code=bytes([op['RESUME'], 0, op['JUMP_BACKWARD_NO_INTERRUPT'], 1])"),
    _code(
        "code with locals that aren't there",
        "co_code=bytes([op['RESUME'], 0, op['LOAD_FAST'], 250, op['RETURN_VALUE'], 0])",
    ),
    _code("code that returns NULL", "co_code=bytes([op['RESUME'], 0, op['PUSH_NULL'], 0, op['RETURN_VALUE'], 0])"),
    _code("code that reraises nothing", "co_code=bytes([op['RESUME'], 0, op['PUSH_NULL'], 0, op['RERAISE'], 0])"),
    _code("code with a stack of no size", "co_stacksize=0"),
    _code(
        "code with a wild exception table",
        "co_exceptiontable=b'\\xff' * 50, co_code=bytes([op['RESUME'], 0, op['RAISE_VARARGS'], 0])",
    ),
    _code(
        "code with a wild line table",
        "co_linetable=b'\\xff' * 50, co_code=bytes([op['RESUME'], 0, op['RAISE_VARARGS'], 0])",
    ),
    _code("code with constants of the wrong kind", "co_consts=()"),
    _code(
        "code with names that aren't there",
        "co_code=bytes([op['RESUME'], 0, op['LOAD_GLOBAL'], 99, op['RETURN_VALUE'], 0])",
    ),
    _code("specialized code from outside", "co_code=bytes([op['RESUME'], 0] + [200, 0] * 8 + [op['RETURN_CONST'], 0])"),
]
