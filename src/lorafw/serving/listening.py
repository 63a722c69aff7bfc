"""The socket that a server listens on, before it has anything to say."""

from __future__ import annotations

import errno
import socket
from ipaddress import ip_address

from lorafw.errors import LorafwError, UsageError

_BACKLOG = 512
_LOCAL = ("localhost", "127.0.0.1", "::1")


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; who connects waits until it is answered.

    Args:
        host: name or address of this machine.
        port: 0 takes a free one.

    Raises:
        UsageError: this machine has no such address.
        LorafwError: the port is in use, or not for this user.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError):
        raise UsageError(f"there is no host {host!r}.", where="--host") from None
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise _explained(error, host, port) from None
    return listener


def is_loopback(listener: socket.socket) -> bool:
    """Whether only this machine reaches a socket."""
    return ip_address(_address(listener)).is_loopback


def names_of(listener: socket.socket, host: str) -> tuple[str, ...]:
    """What a server is called by those that reach it; empty for any name.

    Args:
        listener: its socket.
        host: what it was told to listen on.
    """
    return (*_LOCAL, _address(listener), host.lower()) if is_loopback(listener) else ()


def url_of(listener: socket.socket) -> str:
    """Where a browser on this machine finds it."""
    found = ip_address(_address(listener))
    if found.is_unspecified:
        found = ip_address("::1" if found.version == 6 else "127.0.0.1")
    host = f"[{found}]" if found.version == 6 else str(found)
    return f"http://{host}:{listener.getsockname()[1]}"


def _address(listener: socket.socket) -> str:
    address: str = listener.getsockname()[0]
    return address


def _explained(error: OSError, host: str, port: int) -> LorafwError:
    if error.errno == errno.EADDRINUSE:
        mend = "Take another: --port N; 0 finds a free one."
        return LorafwError(f"port {port} of {host} is in use.", mend=mend)
    if error.errno in (errno.EACCES, errno.EPERM):
        fault = f"you have no permission to listen on port {port}."
        return LorafwError(fault, mend="Take one above 1023: --port N.")
    if error.errno == errno.EADDRNOTAVAIL:
        return UsageError(f"this machine does not have the address {host}.", where="--host")
    return LorafwError(f"cannot listen on port {port} of {host}: {error.strerror}.")
