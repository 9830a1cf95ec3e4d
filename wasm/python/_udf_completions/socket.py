"""What the guest's `_socket` lacks or says unclearly: there is no network, and one host."""

import _socket
import socket

_REASON = "no network"


def gethostname():
    """Return the current host name."""
    return "localhost"


def _unknown(name):
    def look_up(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, _REASON)

    look_up.__name__ = look_up.__qualname__ = name
    return look_up


class _Methods:
    """Those of `socket.socket`."""

    def __init__(self, family=-1, type=-1, proto=-1, fileno=None):
        try:
            _init(self, family, type, proto, fileno)
        except OSError as error:
            raise OSError(error.errno, _REASON) from None


def _socketpair(*_, **__):
    socket.socket()


_added = {name: _unknown(name) for name in ("gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getnameinfo")}
_added |= {"gethostname": gethostname, "socketpair": _socketpair}
for _name, _function in _added.items():
    _function.__module__ = "socket"
    setattr(socket, _name, _function)
    if _name not in socket.__all__:
        socket.__all__.append(_name)
_socket.getaddrinfo = _unknown("getaddrinfo")  # which that of `socket` calls
_init = socket.socket.__init__
socket.socket.__init__ = _Methods.__init__
