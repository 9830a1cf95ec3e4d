"""The functions of the host's that the sandbox was given.

`host.name(x)` calls one, in an async function `await host.name(x)`. `host.name.batch(xs)` calls it for many values at
once. `dir(host)` lists them, `help(host.name)` describes one.
"""

import inspect
import json

import _udf
from _udf import HostError

_NOTHING = "the sandbox was given no host functions: Sandbox(host_functions=[...]) grants them"


class gather:  # noqa: N801 - asyncio's name
    """Await several calls, or coroutines, at once; gives the list of their results, in order.

    Args:
        awaitables: calls of host functions, coroutines, other gathers.
        return_exceptions: an exception is a result like others; otherwise the first one ends the others and is raised.
    """

    def __init__(self, *awaitables, return_exceptions=False):
        self._awaitables = awaitables
        self._return_exceptions = return_exceptions

    def __await__(self):
        results = [None] * len(self._awaitables)
        waiting = {place: _await(awaitable) for place, awaitable in enumerate(self._awaitables)}
        try:
            while waiting:
                asked = []
                for place, coroutine in list(waiting.items()):
                    try:
                        awaited = coroutine.send(None)
                        asked.extend(awaited if isinstance(awaited, list) else [awaited])
                    except StopIteration as stopped:
                        results[place] = stopped.value
                        del waiting[place]
                    except Exception as error:
                        if not self._return_exceptions:
                            raise
                        results[place] = error
                        del waiting[place]
                if asked:
                    yield asked
        finally:
            for coroutine in waiting.values():
                coroutine.close()
        return results


async def _await(awaitable):
    return await awaitable


def _load():
    """Make the functions; their types are asked for when one is called."""
    described = json.loads(_udf.host_import("host:functions") or b"[]")
    for number, function in enumerate(described):
        globals()[function["name"]] = _function(number, **function)
    return [function["name"] for function in described]


def _function(number, name, doc, parameters, returns):
    """Make a host function, described as one of Python's."""
    signature = ", ".join(
        parameter["name"] + (f"={parameter['default']}" if parameter["default"] is not None else "")
        for parameter in parameters
    )
    values = "".join(f"{parameter['name']}, " for parameter in parameters)
    namespace = {"__name__": __name__}
    exec(f"def {name}({signature}): return ({values})", namespace)
    bind = namespace[name]
    function = _udf.HostFunction(number, name, bind)
    bind.__annotations__ = {parameter["name"]: parameter["type"] for parameter in parameters} | {"return": returns}
    function.__signature__ = inspect.signature(bind)
    function.__name__ = function.__qualname__ = name
    function.__module__ = __name__
    function.__doc__ = doc
    return function


def _missing(name):
    """Return the message for a function that was not granted."""
    granted = ", ".join(_granted)
    return f"there is no host function {name!r}; {f'there are: {granted}' if granted else _NOTHING}"


_granted = _load()

__all__ = ["HostError", "gather", *_granted]  # noqa: PLE0604 - names, made above


def __dir__():
    return __all__
