"""Modules of the standard library that are part of the snapshot because functions use them.

Not `random`, nor what imports it: its state would be the same in every instance.
"""

import _sitebuiltins
import _strptime
import bisect
import builtins
import calendar
import collections
import copy
import csv
import dataclasses
import datetime  # noqa: ICN001 - under this name
import decimal
import difflib
import enum
import fractions
import functools
import hashlib
import heapq
import html
import io
import itertools
import math
import operator
import re
import string
import struct
import sys
import time
import typing
import unicodedata
import urllib.parse
import uuid
import zoneinfo


class _Quitter(_sitebuiltins.Quitter):
    """`exit` and `quit`. The originals close standard input, too."""

    def __call__(self, code=None):
        raise SystemExit(code)


def _help(thing):
    """Print what pydoc says of a thing. Without `site` there is no `help`, and pydoc's own wants a terminal."""
    import pydoc

    print(pydoc.render_doc(thing, "Help on %s", renderer=pydoc.plaintext))


# What the module `site` adds elsewhere.
builtins.help = _help
builtins.exit = _Quitter("exit", "raise SystemExit")
builtins.quit = _Quitter("quit", "raise SystemExit")
builtins.copyright = _sitebuiltins._Printer("copyright", sys.copyright)
builtins.credits = _sitebuiltins._Printer("credits", "See https://www.python.org/ for the contributors to Python.")
builtins.license = _sitebuiltins._Printer("license", "See https://www.python.org/psf/license/")
