from __future__ import annotations

import socket

import pytest

from lorafw.errors import LorafwError, UsageError
from lorafw.serving.listening import is_loopback, listen, names_of, url_of


def test_a_free_port_is_found_and_taken_at_once() -> None:
    with listen("localhost", 0) as listener:
        assert is_loopback(listener)
        assert {"localhost", "127.0.0.1", "::1"} <= set(names_of(listener, "localhost"))
        port = listener.getsockname()[1]
        assert url_of(listener).endswith(f":{port}")
        with pytest.raises(LorafwError, match="in use"):
            listen("localhost", port)
        with socket.create_connection(("localhost", port), timeout=5):
            pass


def test_every_address_has_no_names_and_a_url_of_this_machine() -> None:
    with listen("0.0.0.0", 0) as listener:
        assert not is_loopback(listener)
        assert names_of(listener, "0.0.0.0") == ()
        assert url_of(listener).startswith("http://127.0.0.1:")


@pytest.mark.parametrize("host", ["no.such.host.invalid", "a b", "x" * 300])
def test_hosts_that_are_none(host: str) -> None:
    with pytest.raises(UsageError, match="there is no host"):
        listen(host, 0)
