"""The HTTP interface, without a network: keys, hosts, other origins, health and counts."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from lorafw.inference.generation.live_batch import LiveBatch
from lorafw.serving.app import Settings, create_app
from lorafw.serving.engine import Engine

if TYPE_CHECKING:
    from lorafw.serving.catalogue import Catalogue

ASKED = {"model": "toy", "prompt": "the cat", "max_tokens": 3, "temperature": 0}
LOCAL = {"host": "127.0.0.1:8000"}


@dataclass(frozen=True)
class Told:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)["error"]
        return found


async def request(app: Any, path: str, body: Any = None, method: str = "", **headers: str) -> Told:
    """One request, straight into the application."""
    raw = b"" if body is None else json.dumps(body).encode()
    named = {**LOCAL, "content-type": "application/json", **headers}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method or ("GET" if body is None else "POST"),
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in named.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
        "scheme": "http",
    }
    messages = [{"type": "http.request", "body": raw, "more_body": False}]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if not messages:
            await asyncio.sleep(3600)
        return messages.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    with suppress(ZeroDivisionError):  # passed on behind the answer, for the log
        await app(scope, receive, send)
    told = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Told(sent[0]["status"], told, b"".join(part["body"] for part in sent[1:]))


def ask(
    catalogue: Catalogue, *requests: tuple[str, Any, dict[str, str]], **options: Any
) -> list[Told]:
    """Several requests to one server, one after the other."""

    async def in_turn() -> list[Told]:
        app = create_app(catalogue, Settings(**options))
        async with app.router.lifespan_context(app):
            return [await request(app, path, body, **more) for path, body, more in requests]

    return asyncio.run(in_turn())


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ({"authorization": "Bearer secret"}, 200),
        ({"authorization": "bearer secret"}, 200),
        ({"authorization": "Bearer Secret"}, 401),
        ({"authorization": "secret"}, 401),
        ({"authorization": "Basic secret"}, 401),
        ({"authorization": "Bearer \N{SNOWMAN}"}, 401),
        ({}, 401),
    ],
)
def test_the_key_opens_the_models(
    catalogue: Catalogue, header: dict[str, str], status: int
) -> None:
    models, answer = ask(
        catalogue,
        ("/v1/models", None, header),
        ("/v1/completions", ASKED, header),
        key="secret",
    )
    assert (models.status, answer.status) == (status, status)
    if status == 401:
        assert models.error["code"] == "invalid_api_key"
        assert models.headers["www-authenticate"] == "Bearer"


def test_page_health_and_metrics_need_no_key(catalogue: Catalogue) -> None:
    paths = [(path, None, {}) for path in ("/", "/health", "/metrics")]
    assert [told.status for told in ask(catalogue, *paths, key="secret")] == [200] * 3


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8000", 200),
        ("LOCALHOST", 200),
        ("[::1]:8000", 200),
        ("rebound.example:8000", 400),
        ("127.0.0.1.rebound.example", 400),
        ("", 400),
    ],
)
def test_only_names_of_this_machine_are_heeded(
    catalogue: Catalogue, host: str, status: int
) -> None:
    hosts = ("localhost", "127.0.0.1", "::1")
    (told,) = ask(catalogue, ("/v1/models", None, {"host": host}), hosts=hosts)
    assert told.status == status


def test_other_origins_are_let_in_only_if_that_is_asked_for(catalogue: Catalogue) -> None:
    preflight = ("/v1/completions", None, {
        "method": "OPTIONS",
        "origin": "https://a.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type",
    })  # fmt: skip
    (refused,) = ask(catalogue, preflight)
    assert refused.status == 405
    assert "access-control-allow-origin" not in refused.headers
    (allowed,) = ask(catalogue, preflight, origins=("https://a.example",), key="secret")
    assert allowed.headers["access-control-allow-origin"] == "https://a.example"
    (other,) = ask(catalogue, preflight, origins=("https://b.example",))
    assert other.status == 400


def test_requests_and_tokens_are_counted(catalogue: Catalogue) -> None:
    *_, told = ask(
        catalogue,
        ("/v1/completions", ASKED, {}),
        ("/v1/completions", {**ASKED, "model": "a", "stream": True}, {}),
        ("/v1/completions", {**ASKED, "n": 0}, {}),
        ("/v1/completions", {**ASKED, "model": "no-such"}, {}),
        ("/metrics", None, {}),
    )
    lines = told.body.decode().splitlines()
    assert 'lorafw_requests_total{model="toy",status="200"} 1.0' in lines
    assert 'lorafw_requests_total{model="a",status="200"} 1.0' in lines
    assert 'lorafw_requests_total{model="none",status="400"} 1.0' in lines
    assert 'lorafw_requests_total{model="none",status="404"} 1.0' in lines
    assert 'lorafw_tokens_total{direction="out",model="a"} 3.0' in lines
    assert 'lorafw_request_seconds_count{model="toy"} 1.0' in lines
    assert {"lorafw_waiting 0.0", "lorafw_growing 0.0"} <= set(lines)


def test_health_tells_when_no_answers_can_be_given(catalogue: Catalogue) -> None:
    async def before_and_after() -> list[int]:
        app = create_app(catalogue, Settings())
        async with app.router.lifespan_context(app):
            well = await request(app, "/health")
        return [well.status, (await request(app, "/health")).status]

    assert asyncio.run(before_and_after()) == [200, 503]


def test_a_fault_of_the_servers_own_has_the_shape_of_the_rest(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(catalogue), "cards", lambda _: 1 / 0)
    (told,) = ask(catalogue, ("/v1/models", None, {}))
    assert told.status == 500
    assert told.error["type"] == "server_error"


@pytest.mark.parametrize("stream", [True, False])
def test_who_is_sent_away_is_told_when_to_come_back(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    monkeypatch.setattr(Engine, "waiting", 5)
    (told,) = ask(catalogue, ("/v1/completions", {**ASKED, "stream": stream}, {}), max_waiting=5)
    assert (told.status, told.error["code"]) == (503, "server_busy")
    assert int(told.headers["retry-after"]) > 0


def test_a_stream_that_breaks_midway_says_so(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = LiveBatch.step
    steps: list[int] = []

    def fail_third(batch: LiveBatch, tokens: Any) -> Any:
        steps.append(1)
        if len(steps) == 3:
            raise MemoryError
        return step(batch, tokens)

    monkeypatch.setattr(LiveBatch, "step", fail_third)
    words_only = {"logit_bias": {str(token): -100 for token in (*range(4), *range(21, 64))}}
    asked = {**ASKED, **words_only, "max_tokens": 9, "stream": True}
    told, after = ask(catalogue, ("/v1/completions", asked, {}), ("/v1/completions", ASKED, {}))
    *pieces, fault, nothing = told.body.decode().split("\n\n")
    assert told.status == 200
    assert len(pieces) == 3
    error = json.loads(fault.removeprefix("data: "))["error"]
    assert (error["type"], error["code"], nothing) == ("server_error", "out_of_memory", "")
    assert after.status == 200


def test_the_page_runs_its_own_script_and_loads_nothing(catalogue: Catalogue) -> None:
    (told,) = ask(catalogue, ("/", None, {}))
    text, policy = told.body.decode(), told.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for element, rule in (("script", "script-src"), ("style", "style-src")):
        (content,) = re.findall(rf"<{element}>(.*?)</{element}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{rule} 'sha256-{digest}'" in policy
    elsewhere = set(re.findall(r"https?://[^\s'\"]+", text)) - {"http://www.w3.org/2000/svg"}
    assert not elsewhere
    assert "innerHTML" not in text
    assert not re.findall(r"\son\w+=|\sstyle=", text)
