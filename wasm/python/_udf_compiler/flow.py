"""Variables, and what is known of them at a point of the code."""


class Variable:
    """Where a variable is kept: `t` are the types it has anywhere, the others numbers of locals."""

    def __init__(self):
        self.t = frozenset()
        self.i = self.f = self.tag = self.bound = None
        self.needs_flag = False


class Flow:
    """What holds at a point: which variables are bound for sure, and their (types, least, greatest) where known."""

    def __init__(self, assigned=(), known=()):
        self.assigned, self.known = set(assigned), dict(known)

    def copy(self):
        """Return a copy."""
        return Flow(self.assigned, self.known)

    def joined(self, other):
        """Return what holds where two points meet, of which the other may be None."""
        if other is None:
            return self
        a, b = self.known, other.known
        known = {
            name: (a[name][0] | b[name][0], min(a[name][1], b[name][1]), max(a[name][2], b[name][2]))
            for name in a.keys() & b.keys()
        }
        return Flow(self.assigned & other.assigned, known)

    def forget(self, names):
        """Forget what is known of variables that may have changed."""
        for name in names:
            self.known.pop(name, None)
        # A tuple's items are variables of their own.
        prefixes = tuple([f"{name}." for name in names])
        for item in [known for known in self.known if known.startswith(prefixes)]:
            del self.known[item]
