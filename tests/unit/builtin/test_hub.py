from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lorafw.builtin.auto import Auto
from lorafw.builtin.hub import Hub
from lorafw.contracts import ExportRequest
from lorafw.errors import ConfigError, ExportError
from lorafw.testing.component import ComponentContract
from lorafw.testing.toy_injector import ToyInjector
from lorafw.testing.toys import toy_bundle
from lorafw.testing.values import as_if_trained


class TestHub(ComponentContract, kind="exporter"):
    @pytest.fixture
    def exporter(self) -> Hub:
        return Hub(repo_id="someone/pirate")


FILES = {"adapter_config.json": b"{}", "adapter_model.safetensors": b"\0" * 64}


@dataclass
class FakeHub:
    """What a hub on this machine was asked, and what it answers with."""

    status: int = 200
    asked: list[tuple[str, str]] = field(default_factory=list)
    created: dict[str, Any] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    token: str = ""

    def answer(self, path: str, body: bytes) -> dict[str, Any]:
        if path.endswith("/repos/create"):
            self.created = json.loads(body)
            return {"url": "http://127.0.0.1/someone/pirate", "name": "someone/pirate"}
        if "/preupload/" in path:
            named = [entry["path"] for entry in json.loads(body)["files"]]
            plain = {"uploadMode": "regular", "shouldIgnore": False}
            return {"files": [{"path": name, **plain} for name in named]}
        if "/commit/" in path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    value = line["value"]
                    self.files[value["path"]] = base64.b64decode(value["content"])
            return {"commitUrl": "http://127.0.0.1/someone/pirate/commit/abc", "commitOid": "abc"}
        return {}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    from huggingface_hub import constants

    fake = FakeHub()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            fake.asked.append((self.command, self.path))
            fake.token = self.headers.get("Authorization", "")
            answer = fake.answer(self.path, body)
            if fake.status != 200:
                answer = {"error": "You are not allowed to write here."}
            text = json.dumps(answer).encode()
            self.send_response(fake.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=lambda: server.serve_forever(0.01), daemon=True)
    thread.start()
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_environment")
    yield fake
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run's folder with a certified adapter, and an empty folder for the exporter."""
    (tmp_path / "adapter").mkdir()
    for name, content in FILES.items():
        (tmp_path / "adapter" / name).write_bytes(content)
    (tmp_path / "adapter" / "certificate.json").write_text("{}")
    (tmp_path / ".hub.new").mkdir()
    return tmp_path / ".hub.new"


def asked() -> ExportRequest:
    model = ToyInjector(r=2).inject(toy_bundle())
    as_if_trained(model)
    return ExportRequest(model, Auto(path="org/base"), {"model": {"path": "org/base"}})


def test_the_certified_export_and_a_card_are_pushed_in_one_commit(hub: FakeHub, run: Path) -> None:
    files = Hub(repo_id="someone/pirate").export(asked(), run)
    assert [file.name for file in files] == ["README.md", "hub.json"]
    assert hub.token == "Bearer hf_of_the_environment"
    assert hub.created["name"] == "pirate"
    # Clients of the hub say it in one of two ways.
    assert hub.created.get("visibility", "private") == "private"
    assert hub.created.get("private", True) is True
    assert {name: hub.files[name] for name in FILES} == FILES
    assert hub.files.keys() - FILES.keys() == {"README.md", "certificate.json"}
    assert 'lorafw.load("someone/pirate")' in hub.files["README.md"].decode()
    note = json.loads((run / "hub.json").read_text())
    assert note["commit"].endswith("/commit/abc")
    assert note["files"]["adapter_model.safetensors"] == 64
    assert "hf_of_the_environment" not in (run / "hub.json").read_text()


def test_a_dry_run_says_what_would_be_pushed(hub: FakeHub, run: Path) -> None:
    Hub(repo_id="someone/pirate", dry_run=True, revision="v2").export(asked(), run)
    assert hub.asked == []
    note = json.loads((run / "hub.json").read_text())
    assert (note["commit"], note["dry_run"], note["revision"]) == (None, True, "v2")
    assert note["files"]["adapter_config.json"] == 2
    assert note["files"]["README.md"] == (run / "README.md").stat().st_size


def test_another_branch_is_made(hub: FakeHub, run: Path) -> None:
    Hub(repo_id="someone/pirate", revision="v2").export(asked(), run)
    assert ("POST", "/api/models/someone/pirate/branch/v2") in hub.asked
    assert any(path.endswith("/commit/v2") for _, path in hub.asked)


def test_a_refusal_of_the_hub_is_one_error(hub: FakeHub, run: Path) -> None:
    hub.status = 403
    with pytest.raises(ExportError, match=r"someone/pirate: the hub does not take it: .*allowed"):
        Hub(repo_id="someone/pirate").export(asked(), run)
    assert not (run / "hub.json").exists()


def test_a_hub_that_cannot_be_reached_is_one_error(
    hub: FakeHub, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ExportError, match="the hub does not take it"):
        Hub(repo_id="someone/pirate").export(asked(), run)


def test_only_a_certified_export_is_pushed(hub: FakeHub, run: Path) -> None:
    (run.parent / "adapter" / "certificate.json").unlink()
    with pytest.raises(ExportError, match=r"no certified export 'adapter'.*\[adapter, hub\]"):
        Hub(repo_id="someone/pirate").export(asked(), run)
    assert hub.asked == []


@pytest.mark.parametrize("repo", ["pirate", "a/b/c", "a b/c", "/tmp/x", "a--b/c", "a/.b"])
def test_a_name_that_the_hub_cannot_have_is_refused(repo: str) -> None:
    with pytest.raises(ConfigError, match=r"exporters\.hub\.repo_id: .*owner/name"):
        Hub(repo_id=repo, dry_run=True).preflight()


def test_a_missing_token_is_told_before_training(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    Hub(repo_id="someone/pirate").preflight()
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    Hub(repo_id="someone/pirate", dry_run=True).preflight()
    with pytest.raises(ConfigError, match=r"no token for the hub.*HF_TOKEN"):
        Hub(repo_id="someone/pirate").preflight()


def test_a_hub_switched_off_is_told_before_training(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigError, match=r"switched off.*HF_HUB_OFFLINE"):
        Hub(repo_id="someone/pirate").preflight()
