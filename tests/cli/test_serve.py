from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lorafw.cli.main import main
from lorafw.testing.toys import toy_folder

LOADING = "lorafw.serving.catalogue_loading.load_catalogue"


def serve(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["serve", *arguments])


@pytest.fixture
def unloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may be loaded: what is wrong is found before."""

    def load(*_args: object, **_named: object) -> None:
        pytest.fail("the model was loaded")

    monkeypatch.setattr(LOADING, load)


@pytest.mark.usefixtures("unloaded")
def test_a_port_in_use_is_told_before_anything_is_loaded() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = serve("lorafw:demo", "--port", port)
    assert done.exit_code == 1
    assert done.output == (
        f"Error: port {port} of 127.0.0.1 is in use. Take another: --port N; 0 finds a free one.\n"
    )


@pytest.mark.usefixtures("unloaded")
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--host", "no such host"], 2, "--host: there is no host 'no such host'."),
        (["--host", "203.0.113.7"], 2, "this machine does not have the address"),
        (["--adapter", "sql"], 2, "'sql' is not NAME=PATH"),
        (["--port", "70000"], 2, "--port"),
        (["--max-waiting", "0"], 2, "--max-waiting"),
    ],
)
def test_wrong_options_are_one_line(arguments: list[str], code: int, words: str) -> None:
    done = serve("lorafw:demo", *arguments)
    assert done.exit_code == code
    assert words in done.output
    assert "Traceback" not in done.output


@pytest.mark.usefixtures("unloaded")
def test_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lorafw.cli.serve.find_spec", lambda _: None)
    done = serve("lorafw:demo")
    assert done.exit_code == 1
    assert "fastapi is not installed" in done.output
    assert "pip install 'lorafw[serve]'" in done.output


def test_what_cannot_be_served_is_one_line(tmp_path: Path) -> None:
    done = serve(str(tmp_path / "nothing"), "--port", "0")
    assert done.exit_code != 0
    assert str(tmp_path / "nothing") in done.output
    base = toy_folder(tmp_path / "toy")
    done = serve(str(base), "--adapter", f"small={base}", "--port", "0")
    assert done.exit_code == 2
    assert f"{base}: is a whole model" in done.output
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    config["architectures"] = ["LlamaForSequenceClassification"]
    (base / "config.json").write_text(json.dumps(config), encoding="utf-8")
    done = serve(str(base), "--port", "0")
    assert done.exit_code == 2
    assert f"{base}: is a classifier" in done.output
    assert done.output.count("\n") == 1


def test_everybody_may_ask_only_after_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_args: object, **_named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(LOADING, load)
    assert "Warning" in serve("lorafw:demo", "--port", "0", "--host", "0.0.0.0").output
    assert "Warning" not in serve("lorafw:demo", "--port", "0").output
    monkeypatch.setenv("LORAFW_API_KEY", "secret")
    done = serve("lorafw:demo", "--port", "0", "--host", "0.0.0.0")
    assert "Warning" not in done.output
    assert done.exit_code == 130


def test_a_process_ends_when_asked_to_and_lets_an_answer_end(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "lorafw", "serve", str(toy_folder(tmp_path / "toy"))]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "LORAFW_API_KEY": "secret"}
    process = subprocess.Popen(
        [*words, "--port", "0", "--device", "cpu"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("Serving toy at http://127.0.0.1:")
    body = {"model": "toy", "prompt": "the cat", "max_tokens": 120, "logit_bias": {"2": -100}}
    request = urllib.request.Request(
        line.split()[3] + "/completions",
        json.dumps({**body, "stream": True}).encode(),
        {"Content-Type": "application/json", "Authorization": "Bearer secret"},
    )
    with urllib.request.urlopen(request, timeout=30) as stream:
        told = stream.readline()
        process.send_signal(signal.SIGTERM)
        told += stream.read()
    assert told.endswith(b"data: [DONE]\n\n")
    assert b'"finish_reason":"length"' in told
    began = time.monotonic()
    _, errors = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGTERM
    assert time.monotonic() - began < 10
    assert "Traceback" not in errors
