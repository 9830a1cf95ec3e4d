"""Programs that want out of the sandbox, or into what watches over it."""

from duckdb_wasi_udf import GuestError, LimitExceeded, ProtocolError, SignatureError
from tests.evil.attack import ANYTHING, OUT_OF_MEMORY, TIMEOUT, Attack, End, Moment, forges, raises, returns, traps

ANY_REFUSAL = End((GuestError, ProtocolError))

# A guest that says what it likes of its own errors.
EXPLAIN = """
    import _udf_guest
    def attack(x):
        _udf_guest.explain.__code__ = (lambda *a: INSTEAD).__code__
        raise ValueError('x')
"""


def _explain(instead):
    return EXPLAIN.replace("INSTEAD", instead)


# A guest that says what it likes of its function. A bare instance doesn't read that, registration does.
DESCRIBED = """
import json
class Text(str):
    def encode(self): return INSTEAD
json.dumps = lambda *a: Text()
lambda x: x
"""


def _described(instead):
    return DESCRIBED.replace("INSTEAD", repr(instead.encode()))


ATTACKS = [
    Attack("reading a file", raises("FileNotFoundError"), "attack = lambda x: open('/etc/passwd').read()"),
    Attack("writing a file", raises("FileNotFoundError"), "attack = lambda x: open('/tmp/evil', 'w')"),
    Attack(
        "opening descriptors one after another",
        returns(0),
        """
            import os
            def attack(x):
                opened = 0
                for number in range(3, 2000):
                    try: os.read(number, 1); opened += 1
                    except OSError: pass
                return opened
        """,
    ),
    Attack(
        "listing the root",
        raises("FileNotFoundError"),
        """
            import os
            attack = lambda x: str(os.listdir('/'))
        """,
    ),
    Attack("walking upwards", raises("FileNotFoundError"), "attack = lambda x: open('../' * 50 + 'etc/passwd').read()"),
    Attack(
        "reading the environment",
        returns([0]),
        """
            import os
            attack = lambda x: [len(os.environ)]
        """,
    ),
    Attack("reading /proc", raises("FileNotFoundError"), "attack = lambda x: open('/proc/self/environ').read()"),
    Attack(
        "a socket",
        raises("the sandbox has no network"),
        """
            import socket
            attack = lambda x: str(socket.create_connection(('127.0.0.1', 1)))
        """,
    ),
    Attack(
        "a name server",
        raises("gaierror"),
        """
            import socket
            attack = lambda x: str(socket.getaddrinfo('example.com', 80))
        """,
    ),
    Attack(
        "a socket from a descriptor",
        raises("OSError"),
        """
            import socket
            attack = lambda x: str(socket.socket(fileno=3))
        """,
    ),
    Attack(
        "urllib",
        raises("URLError"),
        """
            import urllib.request
            attack = lambda x: urllib.request.urlopen('http://127.0.0.1/').read()
        """,
    ),
    Attack(
        "a subprocess",
        raises("Error"),
        """
            import subprocess
            attack = lambda x: str(subprocess.run(['ls']))
        """,
    ),
    Attack(
        "os.system",
        raises("has no attribute 'system'"),
        """
            import os
            attack = lambda x: os.system('ls')
        """,
    ),
    Attack(
        "os.fork",
        raises("has no attribute 'fork'"),
        """
            import os
            attack = lambda x: os.fork()
        """,
    ),
    Attack(
        "os.execv",
        raises("has no attribute 'execv'"),
        """
            import os
            attack = lambda x: os.execv('/bin/sh', [])
        """,
    ),
    Attack(
        "multiprocessing",
        raises("Error"),
        """
            import multiprocessing
            attack = lambda x: multiprocessing.Process(target=print).start()
        """,
    ),
    Attack(
        "ctypes",
        raises("No module named '_ctypes'"),
        """
            import ctypes
            attack = lambda x: 1
        """,
        Moment.LOAD,
    ),
    Attack(
        "mmap",
        raises("No module named 'mmap'"),
        """
            import mmap
            attack = lambda x: 1
        """,
        Moment.LOAD,
    ),
    Attack(
        "an extension module by its loader",
        raises("Error"),
        """
            import importlib.util, importlib.machinery
            def attack(x):
                loader = importlib.machinery.ExtensionFileLoader('evil', '/tmp/evil.so')
                return str(importlib.util.module_from_spec(importlib.util.spec_from_loader('evil', loader)))
        """,
    ),
    Attack(
        "a module from a path",
        raises("ModuleNotFoundError"),
        """
            import sys
            def attack(x):
                sys.path[:] = ['/', '/tmp', '.']
                import evil
        """,
    ),
    Attack(
        "a module of the importer's own",
        raises("dlopen not implemented"),
        """
            import _imp
            attack = lambda x: str(_imp.create_dynamic(type('S', (), {'name': 'a', 'origin': '/a'})()))
        """,
    ),
    Attack(
        "the codec's native half",
        returns("['Column', 'HostError', 'HostFunction', 'archive', 'host_import', 'run', 'scrypt_mix']"),
        """
            import _udf
            attack = lambda x: str([n for n in dir(_udf) if n[:2] != '__'])
        """,
    ),
    Attack(
        "asking the host for its files",
        returns("[]"),
        """
            import _udf
            NAMES = ['/etc/passwd', 'file:///etc/passwd', '/packages/../../etc/passwd', '/packages/', '..', '', '\\0',
                     '/packages/\\0', '/packages/host.pyc', 'x' * 1000, 'x' * 10_000_000, '\\u202e/packages/', '%00']
            attack = lambda x: str([name for name in NAMES if _udf.host_import(name) is not None])
        """,
    ),
    Attack(
        "asking the host without end",
        TIMEOUT,
        """
            import _udf
            def attack(x):
                while True: _udf.host_import('/packages/')
        """,
    ),
    Attack(
        "importing without end",
        TIMEOUT,
        """
            import importlib, itertools
            def attack(x):
                for number in itertools.count():
                    try: importlib.import_module(f'p{number}.q')
                    except ImportError: pass
        """,
    ),
    Attack(
        "a package of one's own, which nobody else gets",
        returns("1"),
        """
            import _udf_packages, marshal
            code = marshal.dumps(compile('A = 1', 'x', 'exec'))
            _udf_packages.PackageImporter.read = lambda self, path: code if path == 'mine.pyc' else None
            def attack(x):
                import mine
                return str(mine.A)
        """,
    ),
    Attack(
        "a package whose code was never compiled by anybody",
        ANYTHING,
        """
            import _udf_packages
            _udf_packages.PackageImporter.read = lambda self, path: b'\\xe3' + bytes(100) if path[-1] == 'c' else None
            def attack(x):
                import mine
        """,
    ),
    Attack(
        "writing into the library's archive",
        raises("read-only"),
        """
            import _udf
            def attack(x): _udf.archive()[0] = 1
        """,
    ),
    Attack(
        "the archive beyond its end",
        raises("IndexError"),
        """
            import _udf
            attack = lambda x: _udf.archive()[2**31 - 1]
        """,
    ),
    Attack(
        "all objects, by the collector",
        returns(1),
        """
            import gc
            attack = lambda x: len([repr(o)[:0] for o in gc.get_objects()]) and 1
        """,
    ),
    Attack(
        "all dicts cleared, by the collector",
        ANYTHING,
        """
            import gc
            def attack(x):
                for thing in gc.get_referrers(int, str, len, print):
                    if type(thing) is dict: thing.clear()
        """,
    ),
    Attack(
        "all subclasses of object, called",
        End((GuestError, LimitExceeded), may_return=True),
        """
            def attack(x):
                for kind in object.__subclasses__():
                    for arguments in ((), (1,), ('x',), (b'x', 1), (None, None, None)):
                        try: kind(*arguments)
                        except BaseException: pass
                return 1
        """,
    ),
    Attack(
        "walking frames to the caller",
        returns(["f", "driver"]),
        """
            import sys
            def attack(x):
                names, frame = [], sys._getframe(1)
                while frame is not None:
                    names.append(frame.f_code.co_name)
                    frame = frame.f_back
                return names
        """,
    ),
    Attack(
        "walking the frames of an exception",
        returns(["attack"]),
        """
            def attack(x):
                try: 1 / 0
                except ZeroDivisionError as error:
                    names, step = [], error.__traceback__
                    while step is not None:
                        names.append(step.tb_frame.f_code.co_name)
                        step = step.tb_next
                    return names
        """,
    ),
    Attack(
        "__builtins__ cleared",
        raises("could not be described"),
        """
            import builtins
            def attack(x):
                vars(builtins).clear()
                return len([1])
        """,
    ),
    Attack(
        "__builtins__ lying",
        returns(1),
        """
            import builtins
            def attack(x):
                builtins.len = builtins.str = builtins.isinstance = builtins.type = lambda *a: 5
                return 1
        """,
    ),
    Attack(
        "__builtins__ lying while an error is described",
        raises(""),
        """
            import builtins
            def attack(x):
                builtins.str = builtins.type = builtins.len = builtins.getattr = lambda *a: 5
                raise ValueError('x')
        """,
    ),
    Attack(
        "explain replaced",
        raises("ValueError: x"),
        """
            import _udf_guest
            def attack(x):
                _udf_guest.explain = lambda *a: b'{}'
                raise ValueError('x')
        """,
    ),
    Attack("explain's code replaced by one that gives no bytes", raises("could not be described"), _explain("5")),
    Attack("explain's code replaced by one that gives no JSON", forges("can't be read"), _explain("b'\\xff{'")),
    Attack("explain's code replaced by one that gives no object", forges("no JSON object"), _explain("b'[]'")),
    Attack("explain's code replaced by one that gives deep JSON", forges("can't be read"), _explain("b'[' * 200_000")),
    Attack("explain's code replaced by one that gives 10 MB", forges("more than 4194304"), _explain("b' ' * 10**7")),
    Attack(
        "explain's code replaced by one that gives endless digits",
        forges("can't be read"),
        _explain("b'{\"row\": ' + b'9' * 10**5 + b'}'"),
    ),
    Attack(
        "explain's code replaced by one that gives wrong types",
        raises("<not text but list>: <not text but dict>"),
        _explain("""b'{"type": [], "message": {}, "row": "x", "arguments": 1, "traceback": NaN}'"""),
    ),
    Attack(
        "explain's code replaced by one that gives lists as deep as JSON may be",
        ANY_REFUSAL,
        _explain("b'{\"type\": ' + b'[' * 900 + b']' * 900 + b'}'"),
    ),
    Attack(
        "explain's code replaced by one that gives 200 kB",
        raises("yyy"),
        _explain('b\'{"type": "x", "message": "\' + b\'y\' * 200_000 + b\'"}\''),
    ),
    Attack("explain's code replaced by one that gives nothing", raises("<not text but NoneType>"), _explain("b'{}'")),
    Attack(
        "explain's code replaced by one that claims anything",
        raises("in row -1 of the batch"),
        _explain("""b'{"row": -1, "arguments": [[], {}, null]}'"""),
    ),
    Attack(
        "explain that never ends",
        TIMEOUT,
        """
            import _udf_guest
            def forever(*a):
                while True: pass
            def attack(x):
                _udf_guest.explain.__code__ = forever.__code__
                raise ValueError('x')
        """,
    ),
    Attack("explain that fails", raises("could not be described"), _explain("1 / 0")),
    Attack(
        "json.dumps replaced",
        raises("could not be described"),
        """
            import json
            def attack(x):
                json.dumps = lambda *a: 5
                raise ValueError('x')
        """,
    ),
    Attack(
        "json.dumps that lies",
        raises("lie: lie"),
        """
            import json
            def attack(x):
                json.dumps = lambda *a: '{"type": "lie", "message": "lie"}'
                raise ValueError('x')
        """,
    ),
    Attack(
        "traceback replaced",
        raises("ValueError: x"),
        """
            import traceback
            def attack(x):
                traceback.TracebackException = None
                raise ValueError('x')
        """,
    ),
    Attack(
        "linecache with lines that aren't",
        raises("ZeroDivisionError"),
        """
            import linecache
            def attack(x):
                for name in linecache.cache: linecache.cache[name] = (1, None, [5, None, []], name)
                return 1 / 0
        """,
    ),
    Attack(
        "a description of parameters that are none",
        End((ProtocolError,), "description of a parameter is malformed", may_return=True),
        _described('{"parameters": [5]}'),
        Moment.LOAD,
    ),
    Attack(
        "a description of parameters without end",
        End((ProtocolError,), "description of a parameter is malformed", may_return=True),
        _described('{"parameters": [' + ", ".join(['{"name": "x"}'] * 3000) + "]}"),
        Moment.LOAD,
    ),
    Attack(
        "a description with an annotation of control characters",
        End((SignatureError,), r"\x1b[2J", may_return=True),
        _described(
            r'{"parameters": null, "returns": {"annotation": "\u001b[2J", "sql": "\u001b[2J", "none": false, '
            r'"json": false, "problem": null}}'
        ),
        Moment.LOAD,
    ),
    Attack(
        "a description with an annotation nested deep",
        End((SignatureError,), "is neither a Python type that SQL has", may_return=True),
        _described(
            '{"parameters": null, "returns": {"annotation": "x", "sql": "int' + "[]" * 3_000 + '", "none": false, '
            '"json": false, "problem": null}}'
        ),
        Moment.LOAD,
    ),
    Attack(
        "a description that is none",
        forges("can't be read"),
        """
            import json
            class Text(str):
                def encode(self): return b'{'
            json.dumps = lambda *a: Text()
            attack = lambda x: 1
        """,
        Moment.LOAD,
    ),
    Attack(
        "a description that is no bytes",
        raises("could not be described"),
        """
            import json
            class Text(str):
                def encode(self): return 5
            json.dumps = lambda *a: Text()
            attack = lambda x: 1
        """,
        Moment.LOAD,
    ),
    Attack(
        "the definition's dict emptied while it is loaded",
        raises("KeyError"),
        """
            import sys
            frame = sys._getframe()
            while frame.f_code.co_name != 'define': frame = frame.f_back
            frame.f_locals['definition'].clear()
            attack = lambda x: 1
        """,
        Moment.LOAD,
    ),
    Attack(
        "sys.modules emptied",
        raises("NameError: name 'nothing'"),
        """
            import sys
            def attack(x):
                sys.modules.clear()
                return nothing
        """,
    ),
    Attack(
        "sys.modules replaced",
        returns(1),
        """
            import sys
            def attack(x):
                sys.modules = {}
                return 1
        """,
    ),
    Attack(
        "sys emptied",
        raises("NameError"),
        """
            import sys
            def attack(x):
                vars(sys).clear()
                return nothing
        """,
    ),
    Attack(
        "decimal replaced before a result is encoded",
        raises("returned X"),
        """
            import decimal, sys
            class X: pass
            def attack(x):
                decimal.Decimal = X
                return X()
        """,
    ),
    Attack(
        "BaseException caught around the deadline",
        TIMEOUT,
        """
            def attack(x):
                while True:
                    try:
                        while True: pass
                    except BaseException: pass
                    finally: attack(x)
        """,
    ),
    Attack(
        "a finally around the deadline",
        TIMEOUT,
        """
            def attack(x):
                try:
                    while True: pass
                finally:
                    while True: pass
        """,
    ),
    Attack(
        "an exit handler",
        raises("SystemExit"),
        """
            import atexit
            def attack(x):
                atexit.register(print)
                raise SystemExit
        """,
    ),
    Attack(
        "a thread",
        raises("can't start new thread"),
        """
            import threading
            attack = lambda x: threading.Thread(target=print).start()
        """,
    ),
    Attack(
        "a thread from below",
        raises("can't start new thread"),
        """
            import _thread
            attack = lambda x: _thread.start_new_thread(print, ())
        """,
    ),
    Attack(
        "a pool of threads",
        raises("can't start new thread"),
        """
            import concurrent.futures
            attack = lambda x: str(concurrent.futures.ThreadPoolExecutor().submit(print).result())
        """,
    ),
    Attack(
        "a timer",
        raises("can't start new thread"),
        """
            import threading
            attack = lambda x: threading.Timer(0, print).start()
        """,
    ),
    Attack(
        "interrupting the main thread",
        raises("KeyboardInterrupt"),
        """
            import _thread, signal
            def attack(x):
                signal.signal(signal.SIGINT, signal.default_int_handler)
                _thread.interrupt_main()
                for _ in range(10**5): pass
        """,
    ),
    Attack(
        "an exception set in a thread",
        raises("Error"),
        """
            import ctypes.util, signal
            attack = lambda x: signal.pthread_kill(1, 9)
        """,
        Moment.LOAD,
    ),
    Attack(
        "a signal that kills",
        traps("crashed"),
        """
            import signal
            attack = lambda x: signal.raise_signal(9)
        """,
    ),
    Attack(
        "a signal that aborts",
        traps("crashed"),
        """
            import signal
            attack = lambda x: signal.raise_signal(signal.SIGABRT)
        """,
    ),
    Attack(
        "a signal to another process",
        raises("has no attribute 'kill'"),
        """
            import os
            attack = lambda x: os.kill(1, 9)
        """,
    ),
    Attack(
        "an alarm",
        raises("has no attribute 'alarm'"),
        """
            import signal
            attack = lambda x: signal.alarm(1)
        """,
    ),
    Attack(
        "sys.exit",
        raises("SystemExit: 3"),
        """
            import sys
            attack = lambda x: sys.exit(3)
        """,
    ),
    Attack(
        "sys.exit while the code is loaded",
        raises("SystemExit"),
        """
            import sys
            sys.exit()
        """,
        Moment.LOAD,
    ),
    Attack(
        "os._exit",
        traps("tried to leave its process"),
        """
            import os
            attack = lambda x: os._exit(0)
        """,
    ),
    Attack(
        "os._exit while the code is loaded",
        traps("tried to leave its process"),
        """
            import os
            os._exit(0)
        """,
        Moment.LOAD,
    ),
    Attack(
        "os.abort",
        traps("crashed"),
        """
            import os
            attack = lambda x: os.abort()
        """,
    ),
    Attack(
        "faulthandler's own crash",
        traps("crashed"),
        """
            import faulthandler
            attack = lambda x: faulthandler._sigabrt()
        """,
    ),
    Attack(
        "the collector's callbacks",
        raises("ValueError: in a callback"),
        """
            import gc
            def attack(x):
                def callback(*a): raise ValueError
                gc.callbacks.append(callback)
                gc.collect()
                raise ValueError('in a callback')
        """,
    ),
    Attack(
        "audit hooks",
        raises("RuntimeError"),
        """
            import sys
            def hook(*a): raise RuntimeError
            def attack(x):
                sys.addaudithook(hook)
                return str(compile('1', '', 'eval'))
        """,
    ),
    Attack(
        "a wrong switch interval and recursion limit",
        raises("RecursionError"),
        """
            import sys
            def attack(x):
                sys.setswitchinterval(1e-9)
                sys.setrecursionlimit(20)
                return attack(x)
        """,
    ),
    Attack(
        "loading an unmarshalled code object",
        ANYTHING,
        """
            import marshal
            def attack(x):
                data = bytearray(marshal.dumps(attack.__code__))
                for i in range(8, len(data)):
                    changed = data[:]
                    changed[i] ^= 0x15
                    try: exec(marshal.loads(bytes(changed)), {})
                    except Exception: pass
                return 1
        """,
    ),
    Attack(
        "unpickling what calls",
        raises("Can't get attribute 'system'"),
        """
            import pickle
            attack = lambda x: pickle.loads(b"cos\\nsystem\\n(S'ls'\\ntR.")
        """,
    ),
    Attack(
        "random bytes without end",
        TIMEOUT,
        """
            import os
            def attack(x):
                while True: os.urandom(2**20)
        """,
    ),
    *(
        Attack(f"{name}, where errors become NULL", end, code, rows=3, return_null=True)
        for name, end, code in [
            ("an ordinary error", returns(None), "attack = lambda x: 1 / 0"),
            ("an exit", returns(None), "def attack(x): raise SystemExit"),
            ("an interrupt", returns(None), "def attack(x): raise KeyboardInterrupt"),
            ("recursion", returns(None), "def attack(x): return attack(x)"),
            ("a result of no type", returns(None), "attack = lambda x: object()"),
            ("half a result", returns(None), "attack = lambda x: [1, 2, {'a': [object()]}]"),
            ("an endless loop", TIMEOUT, "def attack(x):\n    while True: pass"),
            ("too much memory", OUT_OF_MEMORY, "attack = lambda x: [0] * 10**9"),
            ("leaving the process", traps("tried to leave its process"), "import os\nattack = lambda x: os._exit(0)"),
        ]
    ),
]
