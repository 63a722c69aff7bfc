"""Which network interface leads to a host."""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
import sys
from pathlib import Path

_SIOCGIFADDR = 0x8915
_ELSEWHERE = "192.0.2.1"
"""An address kept for documentation: the way to it is the default route."""


def choose_interface() -> None:
    """Let Gloo and NCCL use the interface that leads to rank 0's machine.

    Gloo would look up this machine's own name, which often means 127.0.0.1, an address that
    other machines cannot reach. What the user has set stays.
    """
    if os.environ.get("LOCAL_WORLD_SIZE") == os.environ.get("WORLD_SIZE"):
        return
    name = interface_to(os.environ.get("MASTER_ADDR", ""), int(os.environ.get("MASTER_PORT", "1")))
    if name is not None:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", name)
        os.environ.setdefault("NCCL_SOCKET_IFNAME", name)


def interface_to(host: str, port: int) -> str | None:
    """The interface that packets to `host` leave by; None where it cannot be told.

    On rank 0's own machine a name may well mean a loopback address; the default route is taken
    then, unless the loopback address itself was asked for.
    """
    address = source_address(host, port)
    if address is not None and _is_loopback(address) and not _says_loopback(host):
        address = source_address(_ELSEWHERE, port)
    return None if address is None else _interface_of(address)


def source_address(host: str, port: int) -> str | None:
    """This machine's address on the way to a host; nothing is sent."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except OSError:
        return None
    for family, kind, protocol, _, place in found:
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.connect(place)
                return str(probe.getsockname()[0])
        except OSError:
            continue
    return None


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def _says_loopback(host: str) -> bool:
    try:
        return _is_loopback(host)
    except ValueError:
        return host == "localhost"


def _interface_of(address: str) -> str | None:
    if sys.platform != "linux":
        return None
    if ":" in address:
        return _ipv6_interface(address.partition("%")[0])
    names = [name for _, name in socket.if_nameindex()]
    return next((name for name in names if _ipv4_address(name) == address), None)


def _ipv4_address(interface: str) -> str | None:
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        request = struct.pack("256s", interface.encode()[:15])
        try:
            answer = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, request)
        except OSError:  # it has no such address
            return None
    return socket.inet_ntoa(answer[20:24])


def _ipv6_interface(address: str) -> str | None:
    table = Path("/proc/net/if_inet6")
    wanted = ipaddress.ip_address(address).packed.hex()
    lines = table.read_text("ascii").splitlines() if table.exists() else []
    return next((line.split()[5] for line in lines if line.split()[0] == wanted), None)
